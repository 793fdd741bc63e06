"""What stands in the directory of a trial that runs as a job of Slurm.

    slurm.json   the number of its last job, written by the launcher
    slurm.log    notes of its jobs, such as `42 began 1795817883 n1` and
                 `42 ended 1795817999 0`, and what Slurm said meanwhile

The job itself is a shell script around the trial's command, so that a node needs what
the command needs and no more.
"""

import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

from s2sjax import json_objects
from s2sjax.errors import RunError, UsageError
from s2sjax.runs import atomic
from s2sjax.runs.run_files import TRIAL
from s2sjax.sweeps.trial_files import LOG

JOB, NOTES = "slurm.json", "slurm.log"
# Exit codes of a node that lacks something, before it has noted anything.
NO_TRIAL, NO_PROGRAM = 66, 67
LACK_SECONDS = 12  # that it takes, or it would have the whole queue before we know
# Slurm signals the steps of a job before its limit and its preemption, not the script:
# hence srun, whose own exit code knows nothing of a node that failed.
_SCRIPT = """\
#!/bin/sh
[ -e {trial} ] || {{ sleep {LACK_SECONDS}; exit {NO_TRIAL}; }}
[ -x {program} ] || {{ sleep {LACK_SECONDS}; exit {NO_PROGRAM}; }}
cd {folder} && exec >>{notes} 2>&1 </dev/null || exit
exec srun --nodes=1 --ntasks=1 --cpus-per-task={cpus} --mpi=none sh -c '
notes=$1; shift
echo "$SLURM_JOB_ID began $(date +%s) $SLURMD_NODENAME" >>"$notes"
trap : TERM
"$@" >>"$0" 2>&1
code=$?
echo "$SLURM_JOB_ID ended $(date +%s) $code" >>"$notes"
exit $code' {log} {notes} {command}
"""


def script(directory: Path, command: Sequence[str], cpus: int) -> str:
    """What a node executes to run a command in the launcher's folder."""
    places = {
        "trial": directory / TRIAL,
        "program": shutil.which(command[0]) or command[0],
        "folder": Path.cwd(),
        "notes": directory / NOTES,
        "log": directory / LOG,
    }
    quoted = {name: shlex.quote(str(place)) for name, place in places.items()}
    return _SCRIPT.format(
        command=shlex.join(command),
        cpus=cpus,
        NO_TRIAL=NO_TRIAL,
        NO_PROGRAM=NO_PROGRAM,
        LACK_SECONDS=LACK_SECONDS,
        **quoted,
    )


class _Kept(TypedDict):
    """`slurm.json`."""

    job: str


def keep_number(directory: Path, number: str) -> None:
    """Keeps which job a trial runs as.

    Raises:
      RunError: it could not be written.
    """
    try:
        text = json_objects.encode(_Kept(job=number))
        atomic.write_text(directory / JOB, text)
    except OSError as error:
        raise RunError(f"cannot write to {directory}: {error.strerror}") from None


def read_number(directory: Path) -> str:
    """Which job a trial ran as last; empty where nothing says so."""
    try:
        return json_objects.read(directory / JOB, _Kept)["job"]
    except UsageError:
        return ""


class Notes(NamedTuple):
    """What a job has noted."""

    began: float | None = None
    code: int | None = None  # its exit code, once it has ended
    seconds: float = 0.0  # between the two
    said: str = ""  # the first error that Slurm told it


def read_notes(directory: Path, number: str) -> Notes:
    """What a job has noted so far."""
    try:
        text = (directory / NOTES).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Notes()
    return parsed(text, number)


def parsed(text: str, number: str) -> Notes:
    """What a job has noted among others.

    >>> parsed("7 began 100 n1", "7").began
    100.0
    >>> parsed("7 began 100 n1\\n7 ended 120 143\\n8 began 130 n2", "7")[1:3]
    (143, 20.0)
    """
    notes = Notes()
    is_mine = True
    for line in text.splitlines():
        found = re.fullmatch(r"(\d+) (?:began (\d+) .*|ended (\d+) (\d+))", line)
        if found is not None:
            is_mine = found[1] == number
        if not is_mine:
            continue
        if found is None:
            if "error: " in line and not notes.said:
                said = line.rpartition("error: ")[2].strip("* ")
                notes = notes._replace(said=said)
        elif found[2]:
            notes = notes._replace(began=float(found[2]))
        else:
            seconds = float(found[3]) - (notes.began or float(found[3]))
            notes = notes._replace(code=int(found[4]), seconds=seconds)
    return notes

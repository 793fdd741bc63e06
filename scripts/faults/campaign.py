"""A campaign of faults against s2sjax, that anyone can run and repeat.

    python scripts/faults KIND [--seed=0] [--minutes=1] [--work=DIR] [--case=N]

The kinds:

    train     kills, signals, full disks, errors of files, limits of memory and
              descriptors, no permission, outputs that fail: of `train`
    sweep     the same of sweeps and searches, in one process and in several
    damage    files of runs and sweeps that are flipped, cut, removed, replaced; each
              field of each JSON file made something else
    inputs    hostile numbers, texts, specs, configs, corpora and files, on each command
    received  directories from others: flags, code, links, paths that lead outside

What is promised, and held to account in each case:

    1. A command that was disturbed and is run again ends where the undisturbed one
       ends, to the bit: every array of the newest checkpoint (by SHA-256), the
       metrics without the clock, test.json, trials.jsonl.
    2. Otherwise there is one line on standard error that says why. No traceback, no
       crash of the interpreter or a library, no control character of a foreign text.
    3. Exit 2 leaves nothing on the disk, and changes nothing that is there.
    4. No answer differs in silence: what is damaged gives the same answer, or a line.
    5. Nothing hangs: SIGTERM ends what takes long, and what does not end is killed,
       with every thread's stack.
    6. What was received executes nothing, and writes nothing beside its directory,
       but where a line says so.

A case is a pure function of (kind, seed, number), named, and run again by `--case=N`,
which keeps its folder. Progress goes to standard error; on standard output comes one
JSON object: counts by sort and outcome, and each fault with its name, the command that
repeats it and the last lines of what was said. Exit 1 with any fault, 2 for usage.

An outcome is "done" (the same answer), "told" (another one, and a line), "failed" (exit
1), "refused" (exit 2), "killed", "stopped" (by a signal) or "undisturbed" (it had
ended before, or never came to the place).
"""

import argparse
import collections
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import random
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from faults import damage, inputs, kills, received
from faults.case import Case, Fault, Kind, Workshop
from faults.commands import HERE, ROOT, Commands

KINDS: dict[str, Callable[[Workshop], Kind]] = {
    "train": kills.of_train,
    "sweep": kills.of_sweep,
    "damage": damage.Damage,
    "inputs": inputs.Inputs,
    "received": received.Received,
}
SHOWN = 40  # lines of a fault


class Campaign:
    """Cases of one kind, one after another.

    Args:
      kind: a name of `KINDS`.
      seed: of the draws.
      work: a folder of its own.
      module: what is tried, see `Commands`.
      say: takes a line of progress.
    """

    def __init__(
        self,
        kind: str,
        seed: int,
        work: Path,
        module: str = "s2sjax",
        say: Callable[[str], None] = lambda line: None,
    ):
        self._name, self._seed, self._work, self._say = kind, seed, work, say
        self._commands = Commands(work, module)
        self._kind = KINDS[kind](Workshop(work, self._commands))
        self.counts: dict[str, collections.Counter[str]] = {}
        self.faults: list[dict[str, Any]] = []

    def case(self, number: int) -> Case:
        """The case of a number; the same whenever it is asked for."""
        draw = random.Random(f"{self._name}/{self._seed}/{number}")
        return self._kind.case(draw, number)

    def run(self, number: int, *, keep: bool = False) -> None:
        """Runs a case and notes what came of it."""
        folder = self._work / "cases" / f"{self._name}-{self._seed}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        begun = time.monotonic()
        case = Case("preparation", "what the case needs", lambda folder: "")
        try:
            case = self.case(number)
            outcome = case.run(folder)
        except Fault as fault:
            outcome = "FAULT"
            self._note(number, case, fault, folder)
        except Exception as error:  # of the campaign: to be mended, too
            outcome = "FAULT"
            what = f"the campaign itself: {type(error).__name__}: {error}"
            self._note(number, case, Fault(what), folder)
        self.counts.setdefault(case.sort, collections.Counter())[outcome] += 1
        seconds = time.monotonic() - begun
        self._say(f"{number:4d}  {seconds:5.1f} s  {outcome:11}  {case.name}")
        if outcome == "FAULT":
            self._say(f"      {self.faults[-1]['what']}")
        elif not keep:
            for path in (folder, *folder.parent.glob(f"{folder.name}.*")):
                _remove(path)

    def summary(self, seconds: float) -> dict[str, Any]:
        """What the campaign has found."""
        outcomes = {sort: dict(counts) for sort, counts in sorted(self.counts.items())}
        return {
            "kind": self._name,
            "seed": self._seed,
            "seconds": round(seconds),
            "cases": sum(map(lambda c: sum(c.values()), self.counts.values())),
            "sorts": outcomes,
            "faults": self.faults,
        }

    def close(self) -> None:
        """Ends what it has started."""
        self._commands.close()

    def _note(self, number: int, case: Case, fault: Fault, folder: Path) -> None:
        words = ["python", "scripts/faults", self._name, f"--seed={self._seed}"]
        done = fault.done
        self.faults.append(
            {
                "case": number,
                "sort": case.sort,
                "name": case.name,
                "what": str(fault),
                "command": shlex.join([*words, f"--case={number}"]),
                "folder": str(folder),
                "argv": shlex.join(["s2sjax", *done.argv]) if done else "",
                "said": done.tail.splitlines()[-SHOWN:] if done else [],
            }
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the campaign; the exit code is 0, 1 (a fault) or 2 (usage)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    parser.add_argument(
        "--minutes", type=_minutes, default=1.0, help="after which no case begins"
    )
    parser.add_argument("--work", type=Path, help="a folder of its own, kept")
    parser.add_argument("--case", type=_number, help="run this one alone")
    parser.add_argument("--module", default="s2sjax", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    begun = time.monotonic()
    work = given.work or _default_work()
    try:
        work.mkdir(parents=True, exist_ok=True)
        opened = contextlib.ExitStack()
        opened.enter_context(_alone(work))
    except OSError as error:
        parser.error(f"--work={work}: {error.strerror}")
    sys.path.insert(0, str(ROOT))  # what reads the checkpoints back
    os.environ["JAX_PLATFORMS"] = "cpu"
    with opened:
        folder = work.resolve() / _version(given.module)
        folder.mkdir(mode=0o755, exist_ok=True)
        campaign = Campaign(given.kind, given.seed, folder, given.module, _say)
        opened.callback(campaign.close)
        numbers = range(sys.maxsize) if given.case is None else [given.case]
        for number in numbers:
            campaign.run(number, keep=given.case is not None)
            if time.monotonic() - begun > 60 * given.minutes:
                break
        summary = campaign.summary(time.monotonic() - begun)
    print(json.dumps(summary, indent=1))
    return int(bool(summary["faults"]))


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes above 0")
    return value


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text} is not a number of a case, from 0")
    return int(text)


def _default_work() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "s2sjax" / "faults"


def _version(module: str) -> str:
    """A name for what is tried: what was made with other sources is of no use."""
    sources = importlib.util.find_spec(module)
    origin = sources.origin if sources is not None else None
    digest = hashlib.sha256(f"{sys.version} {module}".encode())
    for folder in {HERE, Path(origin).parent if origin else HERE}:
        for path in sorted([*folder.rglob("*.py"), *folder.glob("*.json")]):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    """One campaign at a time in a folder."""
    with open(work / "campaign", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for folder, _, _ in os.walk(path):
            os.chmod(folder, 0o755)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _say(line: str) -> None:
    print(
        line.encode("ascii", "backslashreplace").decode(), file=sys.stderr, flush=True
    )

"""What a case of the campaign is, and the rules that every command must keep."""

import dataclasses
import hashlib
import json
import os
import random
import re
import shutil
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from faults.commands import Commands, Done

CODES = (0, 1, 2, 130, 143)
LONGEST = 2000  # characters of a line for a person
CRASHES: tuple[str, ...] = ("Traceback (most recent call last)", "core dumped")
CRASHES += ("Fatal Python error", "Exception ignored in")
# Not part of an answer: clocks, how often something was tried, and checksums of such.
VOLATILE = ("seconds", "attempts", "since", "crc32")
# How a line among others, which show what goes on, is known to tell of damage.
DAMAGE = "damage|not used|left out|lost|missing|changed|gone|again|cannot be read"


class Fault(Exception):
    """A rule was broken; `done` is the command that broke it, where it was one."""

    def __init__(self, what: str, done: Done | None = None):
        super().__init__(what)
        self.done = done


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing that can go wrong; a pure function of (kind, seed, number)."""

    sort: str  # what is counted together
    name: str  # what is done
    run: Callable[[Path], str]  # in an empty folder; the outcome, or it raises Fault


class Kind(Protocol):
    """One of the campaign's kinds."""

    def case(self, draw: random.Random, number: int) -> Case:
        """The case of a number; all that is random comes from `draw`."""


class Workshop:
    """Where cases run, and what they share: commands, and runs made beforehand."""

    def __init__(self, work: Path, commands: Commands):
        self.work, self.commands = work, commands
        self.made_folder = work / "made"

    def made(self, name: str, make: Callable[[Path], None]) -> Path:
        """A folder that `make` fills the first time that it is asked for."""
        path = self.made_folder / name
        if not path.is_dir():
            half = self.made_folder / f"{name}.half"
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir(parents=True)
            make(half)
            half.rename(path)
        return path

    def copied(self, name: str, make: Callable[[Path], None], folder: Path) -> Path:
        """A copy of `made`, in the folder of a case, to be damaged there."""
        shutil.copytree(self.made(name, make), folder, symlinks=True)
        return folder


def check(done: Done) -> str:
    """Holds a command to what every command promises; "done", "failed" or "refused".

    Raises:
      Fault: it crashed, hung, or did not say why it ended, a line for each reason.
    """
    if done.hung:
        raise Fault("it hangs, also when it is asked to end", done)
    for crash in CRASHES:
        if crash in done.err or crash in done.out:
            raise Fault(f"it says: {crash}", done)
    if done.code not in CODES:
        raise Fault(f"it ended with code {done.code}", done)
    check_text(done)
    lines = [line for line in done.err.splitlines() if line.startswith("s2sjax: ")]
    if done.code == 2 and not lines:  # and one for each thing that is wrong
        raise Fault("exit 2 without a line that says why", done)
    told = "failed" in done.out or "asked for" in done.err  # of a sweep, its trials
    if done.code == 1 and not lines and not told:
        raise Fault("exit 1, and no line says why", done)
    if len(lines) > 1 and done.code != 2:
        raise Fault(f"{len(lines)} lines say why it ended", done)
    return {0: "done", 1: "failed", 2: "refused"}.get(done.code, "stopped")


def check_text(done: Done) -> None:
    """What reaches a terminal has no control characters, and lines that one can read.

    Raises:
      Fault: it has.
    """
    for text in (done.out, done.err):
        for line in text.split("\n"):
            if any(unicodedata.category(c) == "Cc" and c != "\t" for c in line):
                raise Fault(f"a control character: {line[:200]!a}", done)
    for line in done.err.splitlines():
        if len(line) > LONGEST:
            raise Fault(f"a line of {len(line)} characters on standard error", done)


def check_json(done: Done) -> list[Any]:
    """The objects of an answer in strict JSON, one a line.

    Raises:
      Fault: it is not.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        lines = [line for line in done.out.split("\n") if line]
        return [json.loads(line, parse_constant=refuse) for line in lines]
    except ValueError as error:
        raise Fault(f"its answer is not JSON: {error}", done) from None


def state(folder: Path) -> dict[str, str]:
    """What a folder holds: a hash for each file, the target of each link.

    Locks are left out: they stay, and say nothing once they are free.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"link to {os.readlink(path)}"
        elif path.is_dir():
            found[name] = "folder"
        elif path.is_file() and path.name != "lock":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name != "lock":
            found[name] = "special"
    return found


def check_untouched(before: Mapping[str, str], folder: Path, done: Done) -> None:
    """After exit 2 everything is as it was.

    Raises:
      Fault: it is not.
    """
    changes = changed(before, state(folder))
    if done.code == 2 and changes:
        raise Fault(f"exit 2, and it left behind: {', '.join(changes[:5])}", done)


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What differs between two states."""
    return sorted(n for n in {**before, **after} if before.get(n) != after.get(n))


def ending(path: Path) -> dict[str, str]:
    """What a run or a sweep came to, without clocks: a hash or a text by name."""
    found: dict[str, str] = {}
    for run in [path, *sorted((path / "trials").glob("*"))]:
        if not run.is_dir():
            continue
        name = "" if run == path else f"{run.name}/"
        for file in ("metrics.jsonl", "test.json", "trials.jsonl"):
            if (run / file).is_file():  # and no device, which has no end
                text = (run / file).read_text(encoding="utf-8", errors="replace")
                found[name + file] = "\n".join(map(_steady, text.splitlines()))
        if (run / "checkpoints").is_dir():
            found[name + "checkpoint"] = _arrays(run / "checkpoints")
    for group in sorted((path / "groups").glob("*/checkpoints")):
        found[f"groups/{group.parent.name}"] = _arrays(group)
    return found


def trials_of(found: Mapping[str, str]) -> dict[str, str]:
    """Of an ending what its trials came to, whatever their numbers are."""
    parts = [name.partition("/") for name in found]
    return {
        f"{trial.partition('-')[2]}/{file}": found[f"{trial}/{file}"]
        for trial, slash, file in parts
        if slash and trial != "groups"
    }


def check_same(found: Mapping[str, str], wanted: Mapping[str, str], done: Done) -> None:
    """A run that was disturbed ends where it would have ended.

    Raises:
      Fault: it does not, and in what.
    """
    names = changed(wanted, found)
    if names:
        first = names[0]
        detail = f"{found.get(first, 'nothing')[-300:]!r}, not "
        detail += f"{wanted.get(first, 'nothing')[-300:]!r}"
        raise Fault(f"it ends elsewhere: {', '.join(names)}: {detail}", done)


def _steady(line: str) -> str:
    """A line of JSON without what no two runs have in common."""
    try:
        value = json.loads(line)
    except ValueError:
        return line
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if k not in VOLATILE}
    return json.dumps(value, sort_keys=True)


def _arrays(checkpoints: Path) -> str:
    """A hash of every array of the newest checkpoint, verified as it is read."""
    from s2sjax.errors import RunError, UsageError
    from s2sjax.runs import manifest
    from s2sjax.runs.checkpoint import CheckpointReader

    found = [path for path in checkpoints.rglob("*") if path.exists()]
    if not all(path.is_file() or path.is_dir() for path in found):
        return "none: a pipe or a device is there"
    reader = CheckpointReader(checkpoints, metric_better="max")
    try:
        newest = reader.steps()[-1]
        reader.restore_params(newest)
    except (IndexError, UsageError, RunError) as error:
        return f"none: {error}"
    saved = manifest.read(checkpoints / str(newest))
    text = repr((saved.metric, saved.leaves))
    return hashlib.sha256(text.encode()).hexdigest()


def new_lines(done: Done, usual: Done) -> list[str]:
    """Lines for a person that an undisturbed command does not have.

    Those of standard error, and among what a command shows those of damage.
    """
    shown = [line for line in done.out.splitlines() if not line.startswith("{")]
    shown = [line for line in shown if re.search(DAMAGE, line)]
    lines = [*done.err.splitlines(), *shown]
    return [line for line in lines if line not in usual.err + usual.out]

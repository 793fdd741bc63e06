"""The directory of a sweep: its trials, who may write, and where its code came from.

    sweep.json      format version, and a record of each launch that differs
    lock            names the launcher
    trials.jsonl    a row per trial, derived from `trials`; see `ledger.py`
    trials/NAME/    a run directory per trial; see `trial_files.py`
    code/HASH.diff  what differed from the commit at a launch

Imports no jax.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from s2sjax.errors import RunError, UsageError, cannot_write
from s2sjax.sweeps import trial_files
from s2sjax.sweeps.source_code import SourceCode
from s2sjax.sweeps.trial import Trial, renumbered
from s2sjax.training import atomic, run_files
from s2sjax.training.lock import NAME as LOCK
from s2sjax.training.lock import Lock, is_lock

SWEEP, TRIALS, CODE = "sweep.json", "trials", "code"
EMPTY = (TRIALS, "slurm")  # what a launcher makes first
FORMAT_VERSION = 1


class SweepDirectory:
    """An open sweep, locked for one launcher; use it in a `with` statement.

    Raises:
      UsageError: the directory cannot be one, is something else, is in use, is of a
        newer format, or is damaged.
      RunError: it could not be written.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = run_files.checked_path(path)
        check(self.path)
        try:
            self.trials_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(f"--workdir={path}", error) from None
        self._lock = Lock(self.path)
        try:
            self.launches = read_launches(self.path)
            for half in self.trials_folder.glob(".*"):
                shutil.rmtree(half, ignore_errors=True)
            found = [trial_files.read(each) for each in trial_folders(self.path)]
        except BaseException:
            self.close()
            raise
        found.sort(key=lambda pair: pair[0].index)
        self.trials = [trial for trial, _ in found]
        self.commands = {trial.name: command for trial, command in found}

    @property
    def trials_folder(self) -> Path:
        """Where the trials are."""
        return self.path / TRIALS

    def of(self, trial: Trial) -> Path:
        """The directory of a trial."""
        return self.trials_folder / trial.name

    def add(
        self, defined: Sequence[Trial], command: Callable[[Trial, Path], str]
    ) -> tuple[list[Trial], list[Trial]]:
        """Makes directories for the trials that have none; a trial is its config.

        Returns:
          The trials of the definition, as the directory has them, and those of them
          that are new.

        Raises:
          RunError: they could not be written.
        """
        there = {trial.config: trial for trial in self.trials}
        missing = [trial for trial in defined if trial.config not in there]
        first = 1 + max((trial.index for trial in self.trials), default=-1)
        added = renumbered(missing, first)
        try:
            for trial in added:
                line = command(trial, self.of(trial))
                trial_files.create(self.trials_folder, trial, line)
                self.trials.append(trial)
                self.commands[trial.name] = line
            atomic.sync_directory(self.trials_folder)
        except OSError as error:
            what = f"cannot write to {self.trials_folder}"
            raise RunError(f"{what}: {error.strerror}") from None
        there |= {trial.config: trial for trial in added}
        return [there[trial.config] for trial in defined], added

    def record_launch(
        self,
        command: Sequence[str],
        code: SourceCode,
        config: Sequence[str],
        backend: str = "",
        trials: int = 0,
    ) -> str:
        """Notes a launch; what to say of one whose code differs from the first's.

        Args:
          command: the command line.
          code: what it runs.
          config: `--config` and what overrides it, to continue from; may be empty.
          backend: its spec.
          trials: that it lists.
        """
        now: dict[str, Any] = {
            "command": list(command),
            "config": list(config),
            "backend": backend,
            "trials": trials,
            "code": code.record(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        first = self.launches[0] if self.launches else now
        self.launches.append(now)
        record = {"format_version": FORMAT_VERSION, "launches": self.launches}
        try:
            if code.difference:
                (self.path / CODE).mkdir(exist_ok=True)
                path = self.path / CODE / f"{code.difference_hash}.diff"
                atomic.write_text(path, code.difference)
            text = json.dumps(record, indent=1) + "\n"
            atomic.write_text(self.path / SWEEP, text)
        except OSError as error:
            raise RunError(f"cannot write to {self.path}: {error.strerror}") from None
        return _changed(self.path, first["code"], now["code"])

    def close(self) -> None:
        """Lets another launcher in; again does nothing."""
        self._lock.close()

    def __enter__(self) -> "SweepDirectory":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check(path: Path) -> bool:
    """Whether a sweep is there; writes nothing.

    Raises:
      UsageError: something else is.
    """
    if (path / SWEEP).is_file():
        run_files.check_files(path)
        return True
    if not path.exists() and not path.is_symlink():
        return False
    if not path.is_dir():
        raise UsageError(f"--workdir={path} is not a directory")
    for entry in sorted(path.iterdir()):
        # A launcher that was killed at once leaves its lock, and no trial.
        half = entry.name == f"{SWEEP}.tmp" or (
            entry.name in EMPTY and entry.is_dir() and not any(entry.iterdir())
        )
        if half or entry.name == CODE or (entry.name == LOCK and is_lock(entry)):
            continue
        raise UsageError(
            f"--workdir={path} is not a sweep and not empty (it has {entry.name}); "
            f"choose a new directory"
        )
    return False


def trial_folders(path: Path) -> list[Path]:
    """The directories of a sweep's trials, in order."""
    entries = sorted((path / TRIALS).iterdir())
    return [entry for entry in entries if (entry / trial_files.TRIAL).is_file()]


def read_trials(path: Path) -> list[Trial]:
    """The trials of a sweep, whoever has it.

    Raises:
      UsageError: one is damaged.
    """
    return [trial_files.read(each)[0] for each in trial_folders(path)]


def read_launches(path: Path) -> list[dict[str, Any]]:
    """The launches of a sweep; none where it is new.

    Raises:
      UsageError: the record is damaged, or of a newer format.
    """
    file = path / SWEEP
    if not file.is_file():
        return []
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        version, launches = record["format_version"], record["launches"]
        if all(isinstance(launch["code"], dict) for launch in launches):
            if version > FORMAT_VERSION:
                raise UsageError(
                    f"--workdir={path} has format_version {version}; this s2sjax "
                    f"reads up to {FORMAT_VERSION}: install a newer one"
                )
            return list(launches)
    except UsageError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise UsageError(f"{file} is damaged: not what a sweep wrote")


def _changed(path: Path, then: dict[str, str], now: dict[str, str]) -> str:
    """One line on what differs, or nothing."""
    names = {"s2sjax": "version", "commit": "commit", "difference": "uncommitted edits"}
    parts = [
        f"{names[key]} {then.get(key) or 'none'} then, {now[key] or 'none'} now"
        for key in names
        if then.get(key) != now[key]
    ]
    if not parts:
        return ""
    return f"{path} was launched with other code ({'; '.join(parts)}); it goes on"

"""The directory of a sweep: its trials, who may write, and where its code came from.

    sweep.json      format version, and a record of each launch that differs
    lock            names the launcher
    trials.jsonl    a row per trial, derived from `trials`; see `ledger.py`
    trials/NAME/    a run directory per trial; see `trial_files.py`
    code/HASH.diff  what differed from the commit at a launch

Imports no jax.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NotRequired, TypedDict

from s2sjax import config as configs
from s2sjax import json_objects, places
from s2sjax.closing import Closing
from s2sjax.config import Config
from s2sjax.errors import RunError, UsageError, cannot_write
from s2sjax.runs import atomic, run_files
from s2sjax.runs.lock import NAME as LOCK
from s2sjax.runs.lock import Lock, is_lock
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import trial_files
from s2sjax.sweeps.trials import Trial, renumbered

SWEEP, TRIALS, CODE = "sweep.json", "trials", "code"


class _Launch(TypedDict):
    command: list[str]
    code: dict[str, str]
    config: list[str]
    base: NotRequired[dict[str, Any]]
    backend: str
    ray_address: NotRequired[str]
    trials: int
    data: dict[str, list[str]]
    since: str


class _Record(TypedDict):
    """`sweep.json`."""

    format_version: int
    asked: int
    launches: list[_Launch]


Stored = Mapping[str, tuple[Trial, str]]
"""Trials by the names of their folders, each with the command that trains it."""


class SweepDirectory(Closing):
    """An open sweep, locked for one launcher; use it in a `with` statement.

    Args:
      path: where it is.
      known: what `read_trials` has read of it.

    Raises:
      UsageError: the directory cannot be one, is something else, is in use, is of
        another format, or is damaged.
      RunError: it could not be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], known: Stored = MappingProxyType({})
    ):
        self.path = run_files.checked_path(path)
        check(self.path)
        folders = atomic.missing_folders(self.trials_folder)
        try:
            self.trials_folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.path)
        except OSError as error:
            atomic.take_back(folders, ())
            raise cannot_write(f"path={path}", error) from None
        except Exception:
            atomic.take_back(folders, ())
            raise
        self._made = folders
        try:
            self.launches = read_launches(self.path)
            for half in self.trials_folder.glob(".*"):
                shutil.rmtree(half, ignore_errors=True)
            stored = read_trials(self.path, known)
        except BaseException:
            self.close()
            raise
        self.trials = sorted(
            (trial for trial, _ in stored.values()), key=lambda trial: trial.index
        )
        self.commands = {name: command for name, (_, command) in stored.items()}
        self._by_config = {trial.config: trial for trial in self.trials}

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
        there = self._by_config
        missing = [trial for trial in defined if trial.config not in there]
        first = 1 + self.trials[-1].index if self.trials else 0
        added = renumbered(missing, first)
        try:
            for trial in added:
                line = command(trial, self.of(trial))
                trial_files.create(self.trials_folder, trial, line)
                self.trials.append(trial)
                self.commands[trial.name] = line
                there[trial.config] = trial
            atomic.sync_directory(self.trials_folder)
        except OSError as error:
            what = f"cannot write to {self.trials_folder}"
            raise RunError(f"{what}: {error.strerror}") from None
        return [there[trial.config] for trial in defined], added

    def move_files(
        self, old: str, new: str, command: Callable[[Trial, Path], str]
    ) -> None:
        """Has the trials that read one path of the user's read another.

        Raises:
          RunError: they could not be written.
        """
        there = {trial.config for trial in self.trials}
        for place, trial in enumerate(self.trials):
            config = configs.relocated(trial.config, old, new)
            if config in there:
                continue
            changes = configs.difference(trial.config, config)
            overrides = {
                field: changes[field][1] if field in changes else value
                for field, value in trial.overrides.items()
            }
            moved = dataclasses.replace(trial, overrides=overrides, config=config)
            line = command(moved, self.of(moved))
            try:
                trial_files.move_files(self.of(moved), moved, line)
            except OSError as error:
                what = f"cannot write to {self.of(moved)}"
                raise RunError(f"{what}: {error.strerror}") from None
            self.trials[place] = moved
            self.commands[moved.name] = line
        self._by_config = {trial.config: trial for trial in self.trials}

    def record_launch(
        self,
        command: Sequence[str],
        code: SourceCode,
        config: Sequence[str],
        backend: str = "",
        trials: int = 0,
        data: Mapping[str, Sequence[str]] | None = None,
        base: Config | None = None,
        ray_address: str = "",
    ) -> str:
        """Notes a launch; what to say of one whose code differs from the first's.

        Args:
          command: the command line.
          code: what it runs.
          config: the words of a config and its overrides, to continue from.
          backend: its spec.
          trials: how many it asks for.
          data: the SHA-256 of each file that its trials read, by path.
          base: the config that its trials override; None: those of the directory run.
          ray_address: of the Ray cluster that it went to, if it did.
        """
        now: dict[str, Any] = {
            "command": list(command),
            "config": list(config),
            "backend": backend,
            "trials": trials,
            "data": dict(data or {}),
            "code": code.record(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if base is not None:
            now["base"] = json.loads(configs.canonical_json(base))
        if ray_address:
            now["ray_address"] = ray_address
        first = self.launches[0] if self.launches else now
        self.launches.append(now)
        record = {
            json_objects.VERSION: json_objects.FORMAT_VERSION,
            "asked": asked(self.launches),
            "launches": self.launches,
        }
        try:
            if code.difference:
                (self.path / CODE).mkdir(exist_ok=True)
                path = self.path / CODE / f"{code.difference_hash}.diff"
                atomic.write_text(path, code.difference)
            atomic.write_text(self.path / SWEEP, json_objects.encode(record))
        except OSError as error:
            if not self.launches[1:] and not self.trials:  # nothing has begun
                names = (CODE, SWEEP, LOCK)
                inside = [self.path / name for name in names] * bool(self._made)
                atomic.take_back(self._made, inside)
            raise RunError(f"cannot write to {self.path}: {error.strerror}") from None
        return _changed(self.path, first["code"], now["code"])

    def close(self) -> None:
        """Lets another launcher in; again does nothing."""
        self._lock.close()


def check(path: Path) -> bool:
    """Whether a sweep is there; writes nothing.

    Raises:
      UsageError: something else is, or one of another format.
    """
    if (path / SWEEP).is_file():
        run_files.check_files(path)
        read_launches(path)
        return True
    if not path.exists() and not path.is_symlink():
        return False
    if not path.is_dir():
        raise UsageError(f"path={path} is not a directory")
    for entry in sorted(path.iterdir()):
        # A launcher that was killed at once leaves its lock, and no trial.
        half = entry.name == f"{SWEEP}.tmp" or (
            entry.name == TRIALS and entry.is_dir() and not any(entry.iterdir())
        )
        if half or entry.name == CODE or (entry.name == LOCK and is_lock(entry)):
            continue
        if (path / run_files.CONFIG).is_file():
            what = places.not_a_sweep(path)
        else:
            what = f"is not a sweep and not empty (it has {entry.name})"
        raise UsageError(f"path={path} {what}; choose a new directory")
    return False


def trial_folders(path: Path) -> list[Path]:
    """The directories of a sweep's trials, in order."""
    entries = sorted((path / TRIALS).iterdir())
    return [entry for entry in entries if (entry / trial_files.TRIAL).is_file()]


def read_trials(path: Path, known: Stored = MappingProxyType({})) -> Stored:
    """The trials of a sweep, whoever has it, in the order of their folders.

    Args:
      path: of the sweep.
      known: those that have been read already; they are not read again.

    Raises:
      UsageError: one is damaged.
    """
    folders = trial_folders(path)
    return {
        each.name: known.get(each.name) or trial_files.read(each) for each in folders
    }


def read_launches(path: Path) -> list[dict[str, Any]]:
    """The launches of a sweep; none where it is new.

    Raises:
      UsageError: the record is damaged, or of another format.
    """
    file = path / SWEEP
    if not os.path.lexists(file):
        return []
    launches = json_objects.read(file, _Record)["launches"]
    if not launches:
        raise UsageError(f"{file} is damaged: launches is empty")
    return [dict(launch) for launch in launches]


def is_search(launch: Mapping[str, Any]) -> bool:
    """Whether a launch asked for proposals."""
    return any(str(word).startswith("--search") for word in launch["command"])


def asked(launches: Sequence[Mapping[str, Any]]) -> int:
    """How many trials a sweep is to have: those of its lists, and of its searches."""
    most = {False: 0, True: 0}
    for launch in launches:
        kind = is_search(launch)
        most[kind] = max(most[kind], launch["trials"])
    return sum(most.values())


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

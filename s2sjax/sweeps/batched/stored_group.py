"""Which trials share a program: written when they begin, and the same ever after.

    groups/0000/group.json      the trials, in the order of their replicas
    groups/0000/checkpoints/    the stacked checkpoint; see `runs.slices`

Imports no jax.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from s2sjax import json_objects
from s2sjax.errors import RunError, UsageError, writing
from s2sjax.runs import atomic, run_files
from s2sjax.sweeps.trials import Trial

GROUPS, GROUP = "groups", "group.json"


@dataclass(frozen=True)
class StoredGroup:
    """A group on the disk."""

    path: Path
    trials: tuple[Trial, ...]
    size: int  # replicas, fillers counted

    @property
    def checkpoints(self) -> Path:
        """Where its stacked checkpoint is."""
        return self.path / run_files.CHECKPOINTS

    @property
    def has_saved(self) -> bool:
        """Whether there is a checkpoint beyond the first one, of the start."""
        saved = self.checkpoints.glob("*")
        return any(path.name.isdecimal() and int(path.name) > 0 for path in saved)


class _File(TypedDict):
    """`group.json`."""

    trials: list[str]
    size: int


def read(sweep: Path, trials: Iterable[Trial]) -> list[StoredGroup]:
    """The groups of a sweep, in the order in which they were begun.

    Raises:
      UsageError: one is damaged.
    """
    by_name = {trial.name: trial for trial in trials}
    groups = []
    for path in sorted(sweep.glob(f"{GROUPS}/*/{GROUP}")):
        try:
            stored = json_objects.read(path, _File)
            grouped = tuple(by_name[name] for name in stored["trials"])
        except KeyError as error:
            raise UsageError(f"{path} is damaged: there is no trial {error}") from None
        # As `programs.padded_size` pads.
        padded = len(grouped) <= stored["size"] < 2 * len(grouped)
        if not padded or len(set(grouped)) < len(grouped):
            raise UsageError(f"{path} is damaged: not a group of trials")
        groups.append(StoredGroup(path.parent, grouped, stored["size"]))
    return groups


def write(sweep: Path, trials: Sequence[Trial], size: int) -> StoredGroup:
    """Begins a group.

    Raises:
      RunError: it could not be written.
    """
    folder = sweep / GROUPS
    numbers = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]
    path = folder / f"{1 + max(numbers, default=-1):04d}"
    stored = {"trials": [trial.name for trial in trials], "size": size}
    with writing(f"cannot write to {folder}", RunError):
        path.mkdir(parents=True)
        atomic.write_text(path / GROUP, json_objects.encode(stored))
        atomic.sync_directory(folder)
    return StoredGroup(path, tuple(trials), size)


def forget(group: StoredGroup) -> None:
    """Takes a group away whose trials are in others now.

    Raises:
      RunError: it could not be.
    """
    try:
        (group.path / GROUP).unlink()  # first, since without it there is no group
        shutil.rmtree(group.path)
    except OSError as error:
        raise RunError(f"cannot remove {group.path}: {error.strerror}") from None

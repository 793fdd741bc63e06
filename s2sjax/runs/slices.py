"""Replicas share one stacked checkpoint, of which each run reads its slice.

    replica.json    in the run: where the checkpoint is, and which replica the run is

The checkpoint holds `state`, the last of every replica, and `best`, the parameters of
each at its best step. What was padded to a size that others needed is cut off again.
It says of each replica which config it is of, so that a slice is never another run's.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import jax

from s2sjax import json_objects
from s2sjax.errors import RunError, UsageError
from s2sjax.runs import arrays, atomic, run_files
from s2sjax.runs.checkpoint import CheckpointReader, NoCheckpoint, Restored, Which

NAME = run_files.REPLICA


def write(run: Path, checkpoints: Path, replica: int) -> None:
    """Notes in a run where its slice is.

    Raises:
      OSError: it could not be written.
    """
    where = {"checkpoints": os.path.relpath(checkpoints, run), "replica": replica}
    atomic.write_text(run / NAME, json_objects.encode(where))


def identity(run: Path) -> str:
    """Which config a replica is of; empty where the run has none yet."""
    config = run_files.read_object(run / run_files.CONFIG, plain=True)
    return run_files.identity(config) if config else ""


class _Replica(TypedDict):
    step: int
    best_step: int
    ended: str
    config: str  # its identity


class _Kept(TypedDict):
    """What the stacked checkpoint keeps beside its arrays."""

    replicas: list[_Replica]


class SliceReader(CheckpointReader):
    """The slice of one run.

    Args:
      run: its directory, which has a `replica.json`.
      say: takes one line for a person, about a damaged checkpoint.

    Raises:
      UsageError: the file is damaged.
    """

    def __init__(self, run: Path, say: Callable[[str], None] = lambda line: None):
        replica = run_files.read_replica(run)
        self._run, self._replica = run, replica["replica"]
        directory = run / replica["checkpoints"]
        # Each replica has a best step of its own: the store is asked for the last.
        super().__init__(directory, metric_better="max", say=say)
        run_files.check_files(self.directory)

    def restore_slice(self, which: Which, shapes: Any) -> Restored:
        """The parameters of the run.

        Args:
          which: "last", "best", or the step of one of them.
          shapes: the tree of the run's own parameters.

        Raises:
          NoCheckpoint: there is none, or not of this step.
          UsageError: `replica.json` names another run's slice.
          RunError: it cannot be read.
        """
        saved, stored = self._load("last")
        progress = self._progress(saved.progress)
        last, best = progress["step"], progress["best_step"]
        if progress["ended"] == "failed":
            self._say(f"{self._run}: this trial has failed; its result.json says why")
        newest = ("state", "params")
        roots: dict[Which, tuple[str, ...]] = {best: ("best",), "best": ("best",)}
        if best < 0:  # never evaluated: the last is all there is
            roots = {"best": newest}
        roots |= {last: newest, "last": newest}
        if which not in roots:
            known = ", ".join(str(step) for step in sorted({best, last} - {-1}))
            raise NoCheckpoint(
                f"no checkpoint {which} of this trial in {self.directory} "
                f"(there are: {known})"
            )
        root = roots[which]
        values = [
            stored[*root, *path][self._replica][tuple(map(slice, leaf.shape))]
            for path, leaf in arrays.paths(shapes).items()
        ]
        step = best if root == ("best",) else last
        params = jax.tree.unflatten(jax.tree.structure(shapes), values)
        return Restored(step, params, progress)

    def _progress(self, record: Any) -> dict[str, Any]:
        """What the checkpoint says of the run; of no other."""
        path = self._run / NAME
        try:
            replicas = json_objects.checked(record, _Kept)["replicas"]
        except ValueError as error:
            raise RunError(f"{self.directory} is damaged: {error}") from None
        if not 0 <= self._replica < len(replicas):
            raise UsageError(
                f"{path} is damaged: {self.directory} has no replica {self._replica} "
                f"(it has {len(replicas)})"
            )
        progress = dict(replicas[self._replica])
        mine = identity(self._run)
        if mine and progress["config"] != mine:
            raise UsageError(
                f"{path} is damaged: replica {self._replica} of {self.directory} is "
                f"another run than {self._run}"
            )
        return progress

"""Saving checkpoints so that a kill, a full disk or a NaN never costs a good one."""

import contextlib
import dataclasses
import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from s2sjax import places
from s2sjax.errors import RunError, UsageError
from s2sjax.runs import arrays, atomic, failpoints
from s2sjax.runs import manifest as manifests
from s2sjax.runs.manifest import Damaged, Manifest
from s2sjax.runs.progress import finite, ranked

ARRAYS = "arrays"

Which = Literal["last", "best"] | int


class NoCheckpoint(UsageError):
    """There is no checkpoint to restore."""


class Restored(NamedTuple):
    """A checkpoint that was read back."""

    step: int
    state: Any  # the tree that was asked for
    progress: dict[str, Any]


class CheckpointReader:
    """The checkpoints of a run, for reading while another process may be training.

    Args:
      directory: `RUN/checkpoints`; need not exist.
      metric_better: whether a larger or a smaller metric is better.
      say: takes one line for a person, about a damaged checkpoint.
    """

    def __init__(
        self,
        directory: Path,
        *,
        metric_better: Literal["max", "min"],
        say: Callable[[str], None] = lambda line: None,
    ):
        self.directory = Path(directory).absolute()
        self._lower = metric_better == "min"
        self._say = say

    def steps(self) -> list[int]:
        """The saved steps, ascending; a damaged manifest is no step."""
        return [m.step for m in self._scan()[0]]

    def last(self) -> Manifest | None:
        """What is said of the newest checkpoint."""
        return next(reversed(self._scan()[0]), None)

    def best_step(self) -> int | None:
        """The step with the best finite metric; of equals, the least nll; or newest."""
        ranked = self._ranked(self._scan()[0])
        return ranked[0].step if ranked else None

    def restore(self, target: Any, which: Which) -> Restored:
        """Reads a checkpoint into the structure of `target`, bit for bit.

        A damaged checkpoint is passed over with a line, and the next newest (for
        "best": the next best, then the last) is taken. Where no step was evaluated
        "best" means the last, with a line.

        Args:
          target: a tree of arrays or `jax.ShapeDtypeStruct`; a sharding is honoured.
          which: "last", "best" or a step.

        Raises:
          NoCheckpoint: none is there, or none that is intact.
          UsageError: no such step; or a leaf is missing, or has another shape or
            dtype than the target.
          RunError: the step that was asked for is damaged; or an intact one cannot
            be read by the library that is installed.
        """
        saved, stored = self._load(which)
        arrays.check_same(
            stored, arrays.paths(target), f"checkpoint {saved.step} in {self.directory}"
        )
        values = [
            arrays.place(stored[path], leaf)
            for path, leaf in arrays.paths(target).items()
        ]
        state = jax.tree.unflatten(jax.tree.structure(target), values)
        return Restored(saved.step, state, saved.progress)

    def restore_params(self, which: Which = "best", target: Any = None) -> Restored:
        """Reads the parameters alone, as a nested dict of numpy arrays.

        Args:
          which: "last", "best" or a step.
          target: a tree of `jax.ShapeDtypeStruct`, to compare with; None: whatever
            the manifest says.

        Raises as `restore` does.
        """
        saved, stored = self._load(which)
        leaves = {
            path[1:]: array for path, array in stored.items() if path[0] == "params"
        }
        if target is not None:
            where = f"checkpoint {saved.step} in {self.directory}"
            arrays.check_same(leaves, arrays.paths(target), where)
        return Restored(saved.step, arrays.nested(leaves), saved.progress)

    def _path(self, step: int) -> Path:
        return self.directory / str(step)

    def _scan(self) -> tuple[list[Manifest], dict[int, Damaged]]:
        """Manifests by ascending step, and the steps whose manifest is damaged."""
        intact, damaged = [], {}
        for step in manifests.steps(self.directory):
            try:
                intact.append(self._manifest(step))
            except Damaged as damage:
                if self._path(step).exists():  # else the trainer has just deleted it
                    damaged[step] = damage
        return intact, damaged

    def _manifest(self, step: int) -> Manifest:
        manifest = manifests.read(self._path(step))
        if manifest.step != step:
            raise Damaged(f"it says that it is step {manifest.step}")
        return manifest

    def _ranked(self, saved: list[Manifest]) -> list[Manifest]:
        """Best first; those without a metric left out."""
        evaluated = [m for m in saved if m.metric is not None]

        def rank(saved: Manifest) -> tuple[float, ...]:
            metric = saved.metric or 0.0
            return (*ranked(metric, saved.nll, lower=self._lower), -saved.step)

        return sorted(evaluated, key=rank)

    def _load(self, which: Which) -> tuple[Manifest, dict[tuple[str, ...], np.ndarray]]:
        unusable: set[int] = set()
        while True:
            intact, damaged = self._scan()
            saved = [m for m in intact if m.step not in unusable]
            if isinstance(which, int):
                saved = self._only(which, intact, damaged)
            else:
                for step in damaged.keys() - unusable:
                    unusable.add(step)
                    self._set_aside(step, damaged[step])
            if not saved:
                raise NoCheckpoint(f"no intact checkpoint in {self.directory}")
            choice = saved[-1]
            if which == "best":
                ranked = self._ranked(saved)
                if ranked:
                    choice = ranked[0]
                else:
                    self._say(
                        f"no evaluated checkpoint in {self.directory}; "
                        f"the last is used, step {choice.step}"
                    )
            try:
                return choice, self._read_arrays(choice)
            except (Damaged, RunError) as damage:
                if not self._path(choice.step).exists():
                    continue  # the trainer has just deleted it: look again
                if isinstance(damage, RunError):
                    raise  # the bytes are those that were saved: nothing to set aside
                if isinstance(which, int):
                    raise RunError(self._damage_line(which, damage)) from None
                unusable.add(choice.step)
                self._set_aside(choice.step, damage)

    def _only(
        self, step: int, intact: list[Manifest], damaged: dict[int, Damaged]
    ) -> list[Manifest]:
        if step in damaged:
            raise RunError(self._damage_line(step, damaged[step]))
        saved = [m for m in intact if m.step == step]
        if not saved:
            known = ", ".join(str(m.step) for m in intact) or "none"
            raise NoCheckpoint(
                f"no checkpoint {step} in {self.directory} (there are: {known})"
            )
        return saved

    def _damage_line(self, step: int, damage: Damaged) -> str:
        return f"checkpoint {step} in {self.directory} is damaged: {damage}"

    def _set_aside(self, step: int, damage: Damaged) -> None:
        self._say(f"{self._damage_line(step, damage)}; it is not used")

    def _read_arrays(self, saved: Manifest) -> dict[tuple[str, ...], np.ndarray]:
        path = self._path(saved.step)
        manifests.check_files(path, saved.files)
        return arrays.read(path / ARRAYS, saved.leaves)


QUARANTINE = "quarantine"
_TEMPORARY, _TRASH = "tmp-", "trash-"  # and a step
_LEFT = re.compile(rf"(?:{_TEMPORARY}|{_TRASH})\d+", re.ASCII)


class Checkpoints(CheckpointReader):
    """The checkpoints of a run, for the one process that trains it.

    A step is written to a temporary directory and renamed: it is there whole or not
    at all. Which step is best follows from the metrics kept in the checkpoints, so
    there is no pointer that could disagree with them. Opening removes what killed
    saves and deletions left behind; damaged checkpoints are moved to `quarantine/`.

    Args:
      directory: `RUN/checkpoints`; made if it is not there.
      metric_better: whether a larger or a smaller metric is better.
      keep_best: how many of the best steps are kept, at least 1.
      keep_last: how many of the newest steps are kept, at least 1; with 2, the one
        before a damaged one is there.
      say: takes one line for a person, about a damaged checkpoint.
    """

    def __init__(
        self,
        directory: Path,
        *,
        metric_better: Literal["max", "min"],
        keep_best: int = 1,
        keep_last: int = 2,
        say: Callable[[str], None] = lambda line: None,
    ):
        super().__init__(directory, metric_better=metric_better, say=say)
        self._keep_best, self._keep_last = max(1, keep_best), max(1, keep_last)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for path in self.directory.iterdir():
                if _LEFT.fullmatch(path.name):  # a link may lead to others' files
                    _remove(path)
        except OSError as error:
            raise RunError(
                f"cannot use {self.directory} for checkpoints: {error.strerror}"
            ) from None

    def save(
        self,
        step: int,
        state: Any,
        progress: dict[str, Any],
        metric: float | None = None,
        nll: float | None = None,
    ) -> None:
        """Saves a step and deletes those that are neither among the newest nor best.

        Blocks until the step is committed. Saving the arrays of a saved step again
        only replaces its progress, metric and nll.

        Args:
          step: from 0.
          state: a tree of arrays.
          progress: what else the loop needs to go on; finite JSON.
          metric: given where this step was evaluated; unless finite, never the best.
          nll: where metrics are equal, the least is best.

        Raises:
          RunError: the disk is full or cannot be written, or the step is saved with
            other values. What was saved before is intact.
        """
        jax.block_until_ready(state)
        values = {p: np.asarray(leaf) for p, leaf in arrays.paths(state).items()}
        leaves = tuple(manifests.describe(p, array) for p, array in values.items())
        record = Manifest(step, finite(metric), progress, leaves, {}, finite(nll))
        manifests.encode(record)  # raises before anything is written
        needed = sum(array.nbytes for array in values.values())
        needed += needed // 10 + 64 * 1024
        try:
            failpoints.reach("checkpoint.before_save")
            if not self._rewritten(record):
                self._check_space(needed)
                self._write(record, list(values.values()))
            self._delete_others(step)
        except RunError:
            raise
        except Exception as error:  # the library raises many kinds
            raise self._failed(step, error, needed) from error
        finally:
            with contextlib.suppress(OSError):
                _remove(self.directory / f"{_TEMPORARY}{step}")

    def _write(self, record: Manifest, values: list[np.ndarray]) -> None:
        temporary = self.directory / f"{_TEMPORARY}{record.step}"
        _remove(temporary)
        temporary.mkdir()
        arrays.write(temporary / ARRAYS, values)
        failpoints.reach("checkpoint.after_arrays")
        files = manifests.scan_files(temporary)
        complete = dataclasses.replace(record, files=files)
        atomic.write_text(temporary / manifests.NAME, manifests.encode(complete))
        failpoints.reach("checkpoint.before_commit")
        os.rename(temporary, self._path(record.step))
        atomic.sync_directory(self.directory)
        failpoints.reach("checkpoint.after_commit")

    def _rewritten(self, record: Manifest) -> bool:
        """Whether the step was there with the same arrays; clears junk in its place."""
        path = self._path(record.step)
        if not os.path.lexists(path):
            return False
        try:
            if record.step not in manifests.steps(self.directory):
                raise Damaged("it is not a directory")
            stored = self._manifest(record.step)
            manifests.check_files(path, stored.files)
        except Damaged as damage:
            self._set_aside(record.step, damage)
            return False
        if stored.leaves != record.leaves:
            raise RunError(
                f"checkpoint {record.step} in {self.directory} is there with other "
                f"values; it was not overwritten"
            )
        if record.metric is None:
            record = dataclasses.replace(record, metric=stored.metric, nll=stored.nll)
        updated = dataclasses.replace(record, files=stored.files)
        if updated != stored:
            atomic.write_text(path / manifests.NAME, manifests.encode(updated))
        return True

    def _delete_others(self, step: int) -> None:
        saved = self._scan()[0]
        staying = {m.step for m in self._ranked(saved)[: self._keep_best]}
        staying |= {m.step for m in saved[-self._keep_last :]} | {step}
        for old in (m.step for m in saved if m.step not in staying):
            failpoints.reach("checkpoint.before_delete")
            trash = self.directory / f"{_TRASH}{old}"
            _remove(trash)
            os.rename(self._path(old), trash)
            failpoints.reach("checkpoint.during_delete")
            _remove(trash)

    def _check_space(self, needed: int) -> None:
        if shutil.disk_usage(self.directory).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _failed(self, step: int, error: Exception, needed: int) -> RunError:
        last = max(self.steps(), default=None)
        good = "no step was saved before" if last is None else f"step {last} is intact"
        if _is_full(error):
            return RunError(
                f"disk full: checkpoint {step} needs {needed} bytes in "
                f"{self.directory}, free are {shutil.disk_usage(self.directory).free}; "
                f"{good}"
            )
        reason = str(error).partition("\n")[0]
        return RunError(
            f"cannot save checkpoint {step} in {self.directory}: {reason}; {good}"
        )

    def _set_aside(self, step: int, damage: Damaged) -> None:
        quarantine = self.directory / QUARANTINE
        try:
            quarantine.mkdir(exist_ok=True)
            place = places.unused(quarantine / str(step))
            os.rename(self._path(step), place)
        except OSError:
            super()._set_aside(step, damage)
            return
        self._say(
            f"{self._damage_line(step, damage)}; it was moved to "
            f"{QUARANTINE}/{place.name}"
        )


def _is_full(error: BaseException | None) -> bool:
    """Whether a failure, however wrapped by a library, comes from a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if os.strerror(errno.ENOSPC) in str(error) or "ENOSPC" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

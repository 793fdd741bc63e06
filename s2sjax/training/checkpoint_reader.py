"""Reading saved checkpoints: every byte is verified, and nothing is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from s2sjax.errors import RunError, UsageError
from s2sjax.training import arrays
from s2sjax.training import manifest as manifests
from s2sjax.training.manifest import Damaged, Manifest
from s2sjax.training.progress import ranked

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
        saved, found = self._load(which)
        arrays.check_same(
            found, arrays.paths(target), f"checkpoint {saved.step} in {self.directory}"
        )
        values = [
            arrays.place(found[path], leaf)
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
        saved, found = self._load(which)
        leaves = {
            path[1:]: array for path, array in found.items() if path[0] == "params"
        }
        if target is not None:
            where = f"checkpoint {saved.step} in {self.directory}"
            arrays.check_same(leaves, arrays.paths(target), where)
        params: dict[str, Any] = {}
        for inner, array in leaves.items():
            node = params
            for parent in inner[:-1]:
                node = node.setdefault(parent, {})
            node[inner[-1]] = array
        return Restored(saved.step, params, saved.progress)

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
        found = manifests.read(self._path(step))
        if found.step != step:
            raise Damaged(f"it says that it is step {found.step}")
        return found

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
            there = ", ".join(str(m.step) for m in intact) or "none"
            raise NoCheckpoint(
                f"no checkpoint {step} in {self.directory} (there are: {there})"
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

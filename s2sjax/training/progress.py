"""What the loop must remember beyond the state, saved with every checkpoint."""

import dataclasses
import math
from typing import Any

from s2sjax import json_objects
from s2sjax.errors import UsageError
from s2sjax.training.journal import Mark

# Metrics of which less is better.
LOWER = ("edit_distance", "nll", "wer")


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where the loop is."""

    evaluated: int = -1  # the last step that was evaluated
    best: float | None = None  # the best finite metric so far
    best_step: int = -1
    waited: int = 0  # evaluations since then
    loss: float = 0.0  # sums over the steps since the last line of metrics
    tokens: float = 0.0
    seconds: float = 0.0  # of training, evaluation and checkpoints left out
    lines: int | None = None  # of the journal; None: not counted
    crc32: int = 0  # of those lines

    def after_evaluation(self, step: int, metric: str, value: float) -> "Progress":
        """The progress after an evaluation.

        What is not finite is never best. An equal value takes the best's place, for
        more training stands behind it, but does not count as an improvement.
        """
        sign = -1 if metric in LOWER else 1
        seen = dataclasses.replace(self, evaluated=step, waited=self.waited + 1)
        if not math.isfinite(value):
            return seen
        if self.best is None or sign * value > sign * self.best:
            return dataclasses.replace(seen, best=value, best_step=step, waited=0)
        if value == self.best:
            return dataclasses.replace(seen, best_step=step)
        return seen

    def logged(self) -> "Progress":
        """The progress once a line of training metrics has been written."""
        return dataclasses.replace(self, loss=0.0, tokens=0.0)

    @property
    def mark(self) -> Mark:
        """Of the journal."""
        return Mark(self.lines or 0, self.crc32)

    def marked(self, mark: Mark) -> "Progress":
        """The progress once lines have been written."""
        return dataclasses.replace(self, lines=mark.lines, crc32=mark.crc32)

    @classmethod
    def from_json(cls, kept: Any) -> "Progress":
        """The progress that a checkpoint kept; what else is there is left out.

        Raises:
          UsageError: it is none.
        """
        try:
            return json_objects.built(kept, cls)
        except ValueError as error:
            raise UsageError(f"the progress in a checkpoint: {error}") from None

    def to_json(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return dataclasses.asdict(self)

"""What the loop must remember beyond the state, saved with every checkpoint."""

import dataclasses
import math
from typing import Any

# Metrics of which less is better.
LOWER = ("edit_distance", "nll")


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

    def to_json(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return dataclasses.asdict(self)

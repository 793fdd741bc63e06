"""What a training loop remembers beside its state, saved with every checkpoint."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from s2sjax import json_objects, metrics
from s2sjax.errors import UsageError
from s2sjax.runs.journal import Mark


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where the loop is."""

    evaluated: int = -1  # the last step that was evaluated
    best: float | None = None  # the best finite metric so far
    best_step: int = -1
    best_nll: float | None = None  # at that step; None: not finite
    waited: int = 0  # evaluations since `best` became better
    loss: float = 0.0  # sums over the steps since the last line of metrics
    tokens: float = 0.0
    seconds: float = 0.0  # of training, evaluation and checkpoints left out
    lines: int = 0  # of the journal
    crc32: int = 0  # of those lines

    def after_evaluation(
        self, step: int, metric: str, values: Mapping[str, Any]
    ) -> "Progress":
        """The progress after an evaluation.

        The best has the best metric; of equal ones the least nll; where that is equal
        too it is the newest, for more training stands behind it. A metric that is not
        finite is never best. Patience counts the metric alone: a lower nll at an equal
        metric does not begin its count anew.

        Args:
          step: that was evaluated.
          metric: what the best is chosen by.
          values: of the evaluation; metric and nll among them.
        """
        lower = metrics.metric(metric).lower
        value, nll = values[metric], finite(values.get("nll"))
        seen = dataclasses.replace(self, evaluated=step, waited=self.waited + 1)
        if not math.isfinite(value):
            return seen
        best = dataclasses.replace(seen, best=value, best_step=step, best_nll=nll)
        if self.best is None:
            return dataclasses.replace(best, waited=0)
        now = ranked(value, nll, lower=lower)
        then = ranked(self.best, self.best_nll, lower=lower)
        if now[0] < then[0]:
            return dataclasses.replace(best, waited=0)
        return best if now <= then else seen

    def improves_on(self, before: "Progress") -> bool:
        """Whether something got better since: the metric, or at an equal one the nll.

        A new best that is equal in both is no improvement.
        """
        now, then = (self.best, self.best_nll), (before.best, before.best_nll)
        return self.best_step > before.best_step and now != then

    def logged(self) -> "Progress":
        """The progress once a line of training metrics has been written."""
        return dataclasses.replace(self, loss=0.0, tokens=0.0)

    @property
    def mark(self) -> Mark:
        """Of the journal."""
        return Mark(self.lines, self.crc32)

    def marked(self, mark: Mark) -> "Progress":
        """The progress once lines have been written."""
        return dataclasses.replace(self, lines=mark.lines, crc32=mark.crc32)

    @classmethod
    def from_json(cls, record: Any) -> "Progress":
        """The progress that a checkpoint kept; what else is there is left out.

        Raises:
          UsageError: it is none.
        """
        try:
            return json_objects.built(record, cls)
        except ValueError as error:
            raise UsageError(f"the progress in a checkpoint: {error}") from None

    def to_json(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return dataclasses.asdict(self)


def finite(value: Any) -> float | None:
    """A number that is finite; None for anything else.

    >>> finite(0.5), finite(math.nan), finite(None)
    (0.5, None, None)
    """
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if is_number else None


def ranked(value: float, nll: float | None, *, lower: bool) -> tuple[float, float]:
    """What orders evaluations, best first: by the metric, and equal ones by their nll.

    Args:
      value: of the metric.
      nll: None, where it is not known or not finite, comes last.
      lower: whether less of the metric is better.

    >>> found = [(0.5, 0.1), (0.75, None), (0.75, 0.4), (0.75, 0.2)]
    >>> sorted(found, key=lambda each: ranked(*each, lower=False))
    [(0.75, 0.2), (0.75, 0.4), (0.75, None), (0.5, 0.1)]
    """
    return (value if lower else -value), (math.inf if nll is None else nll)

"""What a side of a task is, where it is numbers and not symbols."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from s2sjax import types
from s2sjax.config import Config
from s2sjax.errors import UsageError

THERE = " is there"  # ends the name of a mask


@dataclass(frozen=True)
class Numbers:
    """The numbers at each step of a side: `Task.source_vocabulary`, or the target's.

    A row of `Batch.source` begins with the targets' own past, `own` of them; what
    else is read follows, and then a mask for each that can be missing. A row of
    `Batch.target` is `names`, and of `Given.known` it is `known`.
    """

    names: tuple[str, ...]  # F of a source, G of a target, in order
    steps: int  # S or T of training: the context or the horizon
    own: int = 0  # of a source: how many are the targets' past, which come first
    known: tuple[str, ...] = ()  # of a target: what is known ahead of each step, C
    season: int = 1  # of a target: steps after which it repeats
    scaling: str = "none"  # what `Given.shift` and `Given.scale` are
    gaps: bool = False  # of a target: whether some are missing
    counts: bool = False  # whether a target is whole numbers from 0, wherever it is
    # Of a source, how each number enters, (number - shift) / scale; what is scaled by
    # window is as it is. And the least and the most in training, as it enters.
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    least: tuple[float, ...] = ()
    most: tuple[float, ...] = ()

    def __len__(self) -> int:
        """How many numbers a step has."""
        return len(self.names)

    @property
    def side(self) -> types.Numbers:
        """What a model of them is made for."""
        return types.Numbers(len(self), len(self.known), self.gaps)


class Origins(NamedTuple):
    """Where N forecasts of files begin: `Bucket.references`, where they are numbers."""

    series: np.ndarray  # [N] object, the names of the series
    times: np.ndarray  # [N] of the first step that is forecast
    seasonal: np.ndarray  # [N, G] mean |y(t) - y(t - season)| of the series in training

    def taken(self, rows: np.ndarray) -> "Origins":
        """The forecasts `rows` [n] alone, in their order."""
        return Origins(self.series[rows], self.times[rows], self.seasonal[rows])


def are_counts(targets: np.ndarray) -> bool:
    """Whether all that is there is a whole number from 0 on; NaN is missing."""
    there = targets[~np.isnan(targets)]
    return bool((there >= 0).all() and (there == np.round(there)).all())


def check_counts(config: Config, target: Numbers, where: str) -> None:
    """Whether a model of counts can write these targets.

    Raises:
      UsageError: they are no counts, or are scaled with a shift.
    """
    if not config.model.of_counts:
        return
    output = f"model.output={config.model.output}"
    if target.scaling not in ("none", "window_mean"):
        raise UsageError(
            f"task.scaling={target.scaling} shifts numbers, and {output} is of 0, 1, "
            f"2, ..; use none or window_mean"
        )
    if not target.counts:
        raise UsageError(
            f"{where}: {', '.join(target.names)}: some are fractions or below 0, and "
            f"{output} is of 0, 1, 2, .."
        )

"""What became of numbers: forecasts beside what came, in plain arrays.

N  examples (windows)      T  steps of the horizon      G  numbers at a step
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

# The shares of which forecasts have quantiles: the tenths that the weighted quantile
# loss takes, and the ends of the intervals that hold 50 and 90 %.
LEVELS = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)
TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Forecasts(NamedTuple):
    """Forecasts of N examples, in the units of the numbers; arrays of numpy, floats.

    A target that is missing, or beyond an example's horizon, is NaN.
    """

    target: np.ndarray  # [N, T, G]
    mean: np.ndarray  # [N, T, G], free-running
    median: np.ndarray  # [N, T, G], free-running
    naive: np.ndarray  # [N, G], mean absolute error of the seasonal naive forecast in
    # what the example's series was trained on; NaN or 0: there is none to compare with
    series: np.ndarray  # [N] int, which series
    quantiles: np.ndarray | None = None  # [N, T, G, LEVELS]; None: of a point
    crps: np.ndarray | None = None  # [N, T, G]; likewise
    log_probs: np.ndarray | None = None  # [N, T, G], forced; None: no distribution

    @property
    def observed(self) -> np.ndarray:
        """Which targets there are, [N, T, G] bool."""
        return np.isfinite(self.target)

    def quantile(self, level: float) -> np.ndarray:
        """Those of one of `LEVELS`, [N, T, G]."""
        assert self.quantiles is not None
        return self.quantiles[..., LEVELS.index(level)]

    def at(self, examples: Any = slice(None), steps: Any = slice(None)) -> "Forecasts":
        """Those of some examples, and of some steps of theirs."""

        def cut(name: str, column: Any) -> Any:
            if column is None:
                return None
            by_step = name not in ("naive", "series")
            return column[examples][:, steps] if by_step else column[examples]

        return Forecasts(*(cut(*each) for each in self._asdict().items()))


def concatenate(parts: Sequence[Forecasts]) -> Forecasts:
    """Joins forecasts of the same kind; shorter horizons go on with NaN."""
    longest = max(part.target.shape[1] for part in parts)

    def joined(columns: tuple[Any, ...], by_step: bool) -> Any:
        if columns[0] is None:
            return None
        if by_step:
            columns = tuple(_longer(each, longest) for each in columns)
        return np.concatenate(columns)

    names = Forecasts._fields
    columns = zip(*parts, strict=True)
    return Forecasts(
        *(
            joined(column, name not in ("naive", "series"))
            for name, column in zip(names, columns, strict=True)
        )
    )


def _longer(column: np.ndarray, steps: int) -> np.ndarray:
    missing = [(0, 0)] * column.ndim
    missing[1] = (0, steps - column.shape[1])
    return np.pad(column, missing, constant_values=np.nan)


Terms = Callable[[Forecasts], tuple[np.ndarray, np.ndarray] | None]
"""`terms(forecasts) -> (sums, counts)`: of each number what it adds to a metric and to
what that is divided by, both [N, T, G], 0 where nothing came; None where the forecasts
have no such metric. Over all numbers, those of a step, or those of a series, a metric
is the sum of the first divided by that of the second."""


def _seen(forecasts: Forecasts, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of the numbers that came, each counted once."""
    observed = forecasts.observed
    return np.where(observed, values, 0.0).astype(float), observed.astype(float)


def absolute_error(forecasts: Forecasts) -> tuple[np.ndarray, np.ndarray]:
    """|y - median|."""
    return _seen(forecasts, np.abs(forecasts.target - forecasts.median))


def squared_error(forecasts: Forecasts) -> tuple[np.ndarray, np.ndarray]:
    """(y - mean)^2."""
    return _seen(forecasts, (forecasts.target - forecasts.mean) ** 2)


def symmetric_error(forecasts: Forecasts) -> tuple[np.ndarray, np.ndarray]:
    """200 |y - median| / (|y| + |median|), 0 where both are 0.

    (Makridakis 1993, as in the M4 competition.)
    """
    size = np.abs(forecasts.target) + np.abs(forecasts.median)
    error = 200 * np.abs(forecasts.target - forecasts.median)
    return _seen(forecasts, error / np.where(size == 0, 1, size))


def scaled_error(forecasts: Forecasts) -> tuple[np.ndarray, np.ndarray]:
    """|y - median| over that of the seasonal naive forecast in training.

    (Hyndman and Koehler 2006.) Where that was never wrong there is nothing to divide
    by, and a number does not count.
    """
    naive = forecasts.naive[:, None, :]
    has = (naive > 0) & forecasts.observed
    error = np.abs(forecasts.target - forecasts.median)
    return np.where(has, error / np.where(naive > 0, naive, 1), 0.0), has.astype(float)


def crps(forecasts: Forecasts) -> tuple[np.ndarray, np.ndarray] | None:
    """The integral over x of (F(x) - [x >= y])^2, of the distribution F forecast."""
    return None if forecasts.crps is None else _seen(forecasts, forecasts.crps)


def quantile_loss(forecasts: Forecasts) -> tuple[np.ndarray, np.ndarray] | None:
    """2 (q - [y < y_q]) (y - y_q), the mean of the tenths q; divided by |y|.

    (Salinas et al. 2020, section 4: the weighted quantile loss.)
    """
    if forecasts.quantiles is None:
        return None
    losses = [pinball(forecasts.target, forecasts.quantile(q), q) for q in TENTHS]
    total, observed = _seen(forecasts, 2 * np.mean(losses, axis=0))
    return total, np.where(observed > 0, np.abs(forecasts.target), 0.0)


def pinball(target: np.ndarray, quantile: np.ndarray, level: float) -> np.ndarray:
    """(q - [y < y_q]) (y - y_q), which the quantile of level q makes least."""
    over = target - quantile
    return np.maximum(level * over, (level - 1) * over)


def nll(forecasts: Forecasts) -> tuple[np.ndarray, np.ndarray] | None:
    """-log p(y) of the number in its own units, forced, in nats."""
    if forecasts.log_probs is None:
        return None
    return _seen(forecasts, -forecasts.log_probs)


def coverage(low: float, high: float) -> Terms:
    """Whether y is from the quantile of `low` to that of `high`."""

    def terms(forecasts: Forecasts) -> tuple[np.ndarray, np.ndarray] | None:
        if forecasts.quantiles is None:
            return None
        above = forecasts.target >= forecasts.quantile(low)
        below = forecasts.target <= forecasts.quantile(high)
        return _seen(forecasts, (above & below).astype(float))

    return terms


def width(low: float, high: float) -> Terms:
    """How far the quantile of `high` is from that of `low`."""

    def terms(forecasts: Forecasts) -> tuple[np.ndarray, np.ndarray] | None:
        if forecasts.quantiles is None:
            return None
        return _seen(forecasts, forecasts.quantile(high) - forecasts.quantile(low))

    return terms


def reliability(forecasts: Forecasts) -> np.ndarray:
    """Of each of `LEVELS` the share of numbers that are at most its quantile.

    Where forecasts are as sure as they can be, it is the level itself.
    """
    assert forecasts.quantiles is not None
    below = forecasts.target[..., None] <= forecasts.quantiles
    return below[forecasts.observed].mean(axis=0)  # -> [LEVELS]

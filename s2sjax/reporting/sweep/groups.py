"""Trials that differ only in what is averaged over: their mean, and how sure it is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from s2sjax.reporting.measure import measure
from s2sjax.reporting.sweep.factor import Factor
from s2sjax.reporting.sweep.table import SweepTable

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean, and the ends of its interval; NaN where there is none."""

    mean: float
    low: float
    high: float
    n: int


class Group(NamedTuple):
    """The trials at one level of each factor.

    `trials` are positions in the table; only those that are done are in `estimate`.
    """

    levels: tuple[int, ...]
    trials: tuple[int, ...]
    estimate: Estimate


def estimate(
    values: Sequence[float], most: float | None = None, examples: int = 0
) -> Estimate:
    r"""The mean of n values with its interval at 95 %.

    Of values without limits it is Student's: with t = t_{0.975, n-1}, the numbers μ
    for which

        (mean - μ)² <= t² s² / n,  s² = Σ (x - mean)² / (n - 1)

    Values between 0 and `most` scatter less the nearer they are to these ends. The
    interval is then a score interval, which leaves them never and has the mean in it:

        (mean - μ)² <= ρ μ (1 - μ / most),  ρ = t² s² / (n mean (1 - mean / most))

    For shares this is Wilson's (Journal of the American Statistical Association 22,
    1927), with the effective number of examples that follows from the scatter of the
    values (Korn and Graubard, Survey Methodology 24, 1998). Shares of a known number
    of examples scatter at least as those by chance: ρ is at least z² / examples, so
    that equal values, or one alone, have an interval too.

    Args:
      values: independent draws.
      most: see `Measure.most`.
      examples: what shares are of, all values together; 0: unknown.

    >>> estimate([0.25, 0.75])  # doctest: +ELLIPSIS
    Estimate(mean=0.5, low=-2.67..., high=3.67..., n=2)
    >>> [round(end, 3) for end in estimate([1.0, 1.0], 1.0, examples=200)[1:3]]
    [0.981, 1.0]
    >>> estimate([1.0], 1.0).n, estimate([])
    (1, Estimate(mean=nan, low=nan, high=nan, n=0))
    """
    count = len(values)
    if not count:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(np.mean(values))
    square = 0.0  # of half the width, where nothing limits it
    if count > 1:
        square = t_quantile(count - 1) ** 2 * float(np.var(values, ddof=1)) / count
    elif not examples:
        return Estimate(mean, np.nan, np.nan, 1)
    if most is None or not 0 <= mean <= most:
        return Estimate(mean, mean - square**0.5, mean + square**0.5, count)
    room = mean * (1 - mean / most)
    rho = square / room if room > 0 else 0.0
    if examples:
        rho = max(rho, float(stats.norm.ppf(0.5 + CONFIDENCE / 2)) ** 2 / examples)
    middle, half = mean + rho / 2, (rho * room + rho**2 / 4) ** 0.5
    low, high = ((middle + sign * half) / (1 + rho / most) for sign in (-1, 1))
    # Rounding alone can put an end beyond its limits.
    return Estimate(mean, min(max(low, 0.0), mean), max(min(high, most), mean), count)


def t_quantile(freedom: int) -> float:
    """t_{0.975} of Student's distribution.

    >>> round(t_quantile(2), 3)
    4.303
    """
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom))


def groups(table: SweepTable, by: Sequence[Factor], metric: str) -> list[Group]:
    """The groups that have a trial, in the order of the factors' levels.

    Without factors all trials are one group.
    """
    members: dict[tuple[int, ...], list[int]] = {}
    for place in range(len(table.trials)):
        levels = tuple(factor.codes[place] for factor in by)
        members.setdefault(levels, []).append(place)
    return [
        Group(levels, tuple(places), _estimate(table, places, metric))
        for levels, places in sorted(members.items())
    ]


def _estimate(table: SweepTable, places: Sequence[int], metric: str) -> Estimate:
    measured = measure(metric)
    done = [place for place in places if table.trials[place].value(metric) is not None]
    examples = [table.trials[place].examples.get(measured.split, 0) for place in done]
    known = measured.share and all(examples)
    numbers = values(table, done, metric)
    return estimate(numbers, measured.most, sum(examples) if known else 0)


def values(table: SweepTable, places: Sequence[int], metric: str) -> list[float]:
    """The metric of those trials at `places` that are done and have it."""
    measured = (table.trials[place].value(metric) for place in places)
    return [value for value in measured if value is not None]

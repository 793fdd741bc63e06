"""Trials that differ only in what is averaged over: their mean, and how sure it is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from s2sjax.reporting.factor import Factor
from s2sjax.reporting.sweep_table import SweepTable

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean, and half the width of its interval; NaN where there is none."""

    mean: float
    half: float
    n: int


class Group(NamedTuple):
    """The trials at one level of each factor.

    `trials` are positions in the table; only those that are done are in `estimate`.
    """

    levels: tuple[int, ...]
    trials: tuple[int, ...]
    estimate: Estimate


def estimate(values: Sequence[float]) -> Estimate:
    r"""The mean with Student's interval at 95 %.

        mean ± t_{0.975, n-1} s / sqrt(n),  s² = Σ (x - mean)² / (n - 1)

    It takes the n values as independent draws from a normal distribution. With one
    value there is no interval.

    >>> estimate([0.25, 0.75])  # doctest: +ELLIPSIS
    Estimate(mean=0.5, half=3.17..., n=2)
    >>> estimate([1.0]).n, estimate([])
    (1, Estimate(mean=nan, half=nan, n=0))
    """
    count = len(values)
    if not count:
        return Estimate(np.nan, np.nan, 0)
    mean = float(np.mean(values))
    if count == 1:
        return Estimate(mean, np.nan, 1)
    error = float(np.std(values, ddof=1)) / count**0.5
    return Estimate(mean, t_quantile(count - 1) * error, count)


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
        Group(levels, tuple(places), estimate(values(table, places, metric)))
        for levels, places in sorted(members.items())
    ]


def values(table: SweepTable, places: Sequence[int], metric: str) -> list[float]:
    """The metric of those trials at `places` that are done and have it."""
    found = (table.trials[place].value(metric) for place in places)
    return [value for value in found if value is not None]

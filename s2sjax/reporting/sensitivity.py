"""How much a metric depends on each factor of a sweep."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from s2sjax.reporting.factor import Factor
from s2sjax.reporting.sweep_table import SweepTable

FORMULA = (
    "range: of the levels' means m_l; share: sum n_l (m_l - m)^2 / sum (y - m)^2; "
    "by chance: (levels - 1) / (n - 1)"
)


class Effect(NamedTuple):
    """The main effect of a factor on a metric; NaN where nothing can be said."""

    field: str
    span: float
    share: float
    chance: float
    lowest: str  # the level with the lowest mean
    highest: str
    levels: int
    n: int  # trials


def effects(table: SweepTable, by: Sequence[Factor], metric: str) -> list[Effect]:
    r"""The main effect of each factor, over the trials that are done; largest first.

    With y the metric of n trials, m their mean, and m_l the mean of the n_l trials
    at level l of a factor,

        span   = max_l m_l - min_l m_l
        share  = Σ_l n_l (m_l - m)² / Σ_i (y_i - m)²
        chance = (levels - 1) / (n - 1)

    The share is the correlation ratio η², the variance explained by this factor
    alone (Fisher, Statistical Methods for Research Workers, 1925, section 45). Where
    all combinations were tried equally often the shares add up to at most 1, and the
    rest is interaction and chance; elsewhere they may overlap. `chance` is what a
    factor without effect has on average.
    """
    found = [trial.value(metric) for trial in table.trials]
    done = np.array([value is not None for value in found], bool)
    y = np.array([value for value in found if value is not None], float)
    result = [_effect(factor, y, np.array(factor.codes)[done]) for factor in by]
    return sorted(result, key=lambda one: -np.nan_to_num(one.share, nan=-1.0))


def _effect(factor: Factor, y: np.ndarray, codes: np.ndarray) -> Effect:
    present = np.unique(codes)
    total = float(((y - y.mean()) ** 2).sum()) if len(y) else 0.0
    if len(present) < 2:
        nothing = (np.nan, np.nan, np.nan)
        return Effect(factor.field, *nothing, "", "", len(present), len(y))
    means = np.array([y[codes == level].mean() for level in present])
    counts = np.array([(codes == level).sum() for level in present])
    between = float((counts * (means - y.mean()) ** 2).sum())
    return Effect(
        factor.field,
        float(means.max() - means.min()),
        # Of a metric that does not vary at all, nothing explains a share.
        between / total if total > 1e-24 * max(len(y), 1) else np.nan,
        (len(present) - 1) / (len(y) - 1),
        factor.labels[present[np.argmin(means)]],
        factor.labels[present[np.argmax(means)]],
        len(present),
        len(y),
    )

"""What a sweep says about one metric: groups, sensitivity, and the best trial."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from s2sjax.reporting.measure import SPLITS, Measure, measure
from s2sjax.reporting.sweep.factor import Factor, factors
from s2sjax.reporting.sweep.groups import Group, groups
from s2sjax.reporting.sweep.table import SEED, SweepTable, Trial
from s2sjax.reporting.sweep.trial_files import command_line
from s2sjax.runs.progress import ranked

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

    def as_json(self) -> dict[str, Any]:
        """As `report --json` and the page say it."""
        return {
            "field": self.field,
            "range": _number(self.span),
            "share": _number(self.share),
            "by_chance": _number(self.chance),
            "lowest": self.lowest,
            "highest": self.highest,
            "n": self.n,
        }


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
    values = [trial.value(metric) for trial in table.trials]
    done = np.array([value is not None for value in values], bool)
    y = np.array([value for value in values if value is not None], float)
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


@dataclasses.dataclass(frozen=True)
class Findings:
    """The answer of a sweep, computed once for tables, pictures and files.

    Attributes:
      measure: the metric that is asked for, of one split.
      beside: the same of the other split; None: no trial has it.
      by: the factors that the groups are of.
      averaged: fields that vary within the groups, the seed among them.
      groups: in the order of the factors' levels.
      groups_beside: the same groups, with the means of `beside`.
      effects: of every factor, and of the seed where others share it, largest first.
      best: the trial that is best on validation examples, whatever split is asked
        for: test data choose nothing. Of equal ones it has the least validation nll,
        and of several the lowest index. None: none is done and has the metric.
      equal: how many trials are as good.
    """

    table: SweepTable
    measure: Measure
    beside: Measure | None
    by: tuple[Factor, ...]
    averaged: tuple[str, ...]
    groups: tuple[Group, ...]
    groups_beside: tuple[Group, ...]
    effects: tuple[Effect, ...]
    best: Trial | None
    equal: int

    @property
    def measures(self) -> list[Measure]:
        """What is asked for, and what stands beside it."""
        return [self.measure, *([self.beside] if self.beside else [])]

    @property
    def ranking(self) -> Measure:
        """What trials and groups are ranked by."""
        return measure(f"valid_{self.measure.quantity}")

    def best_group(self) -> Group | None:
        """The group with the best mean on validation examples; None: none has one."""
        by = {
            measured.split: groups
            for measured, groups in zip(
                self.measures, (self.groups, self.groups_beside), strict=False
            )
        }
        done = [group for group in by.get("valid", ()) if group.estimate.n]

        def rank(group: Group) -> tuple[float, int]:
            return self.badness(group.estimate.mean), -group.estimate.n

        return min(done, key=rank, default=None)

    def badness(self, value: float) -> float:
        """A value so that less is better, whatever the metric."""
        return value if self.measure.lower else -value

    def interval(self) -> str:
        """In words, what a mean is over and what its interval is."""
        alone = all(group.estimate.n <= 1 for group in self.groups)
        nothing = "nothing: one trial in each group" if alone else "of the same bins"
        over = ", ".join(self.averaged) or nothing
        return f"mean and {self.measure.interval} over n trials ({over})"


def find(
    table: SweepTable, metric: str, group_by: Sequence[str] | None = None
) -> Findings:
    """Reads the answer from the trials that are done.

    Args:
      metric: its name, of validation examples where they have it; `test_NAME` is that
        of the test.
      group_by: the fields that groups are of; None: every factor but the seed.

    Raises:
      UsageError: a metric that no trial has, with the nearest one.
    """
    metric = table.metric_named(metric)
    varying = table.varying()
    by = tuple(factors(table, varying if group_by is None else group_by))
    fields = [*varying, *([SEED] if len(table.values(SEED)) > 1 else [])]
    measured = measure(metric)
    others = [f"{split}_{measured.quantity}" for split in SPLITS]
    known = [name for name in others if name != metric and name in table.metrics()]
    beside = measure(known[0]) if known else None
    ranks = _ranks(table, measured)
    best = min(ranks, key=ranks.__getitem__, default=None)
    return Findings(
        table,
        measured,
        beside,
        by,
        tuple(f for f in fields if f not in [factor.field for factor in by]),
        tuple(groups(table, by, metric)),
        tuple(groups(table, by, beside.name)) if beside else (),
        tuple(effects(table, factors(table, compared(table)), metric)),
        None if best is None else table.trials[best],
        0 if best is None else list(ranks.values()).count(ranks[best]),
    )


def _ranks(table: SweepTable, measured: Measure) -> dict[int, tuple[float, float]]:
    """What orders the trials that are done, by their places in the table."""
    ranks = {}
    for place, trial in enumerate(table.trials):
        value = trial.value(f"valid_{measured.quantity}")
        if value is not None:
            nll = trial.metrics.get("valid_nll")
            ranks[place] = ranked(value, nll, lower=measured.lower)
    return ranks


def compared(table: SweepTable) -> list[str]:
    """The fields whose effects are told: the factors, and a seed that trials share.

    A seed of its own for every trial would explain all of the variance.
    """
    varying, seeds = table.varying(), len(table.values(SEED))
    shared = bool(varying) and 1 < seeds < len(table.trials)
    return [*varying, *([SEED] if shared else [])]


def as_json(findings: Findings) -> dict[str, Any]:
    """What `report --json` prints; numbers that there are none of are null."""
    table, metric = findings.table, findings.measure.name
    best = findings.best
    beside = map(_estimate, findings.groups_beside)
    return {
        "trials": len(table.trials),
        "asked": len(table.trials) + table.lacking,
        "status": table.counts(),
        "metric": metric,
        "beside": findings.beside and findings.beside.name,
        "ranked_by": findings.ranking.name,
        "group_by": [factor.field for factor in findings.by],
        "averaged_over": list(findings.averaged),
        "interval": findings.measure.interval,
        "groups": [
            {
                "levels": levels(findings, group),
                **_estimate(group),
                "trials": len(group.trials),
                "beside": next(beside, None),
            }
            for group in findings.groups
        ],
        "sensitivity": [effect.as_json() for effect in findings.effects],
        "best": best
        and {
            "name": best.name,
            "value": best.metrics[findings.ranking.name],
            "metrics": dict(best.metrics),
            "best_step": best.best_step,
            "seed": best.seed,
            "overrides": dict(best.overrides),
            "command": command_line(table, best),
        },
    }


def levels(findings: Findings, group: Group) -> dict[str, str]:
    """The level of a group by field."""
    pairs = zip(findings.by, group.levels, strict=True)
    return {factor.field: factor.labels[level] for factor, level in pairs}


def _estimate(group: Group) -> dict[str, Any]:
    mean, low, high, count = group.estimate
    ends = {"mean": _number(mean), "low": _number(low), "high": _number(high)}
    return {**ends, "n": count}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

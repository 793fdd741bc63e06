"""What a sweep says about one metric: groups, sensitivity, and the best trial."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from s2sjax.reporting.factor import Factor, factors
from s2sjax.reporting.groups import Group, groups
from s2sjax.reporting.measure import Measure, measure
from s2sjax.reporting.sensitivity import Effect, effects
from s2sjax.reporting.sweep_table import SEED, SweepTable, Trial
from s2sjax.reporting.trial_files import command_line


@dataclasses.dataclass(frozen=True)
class Findings:
    """The answer of a sweep, computed once for tables, pictures and files.

    Attributes:
      by: the factors that the groups are of.
      averaged: fields that vary within the groups, the seed among them.
      groups: in the order of the factors' levels.
      effects: of every factor, and of the seed where others share it, largest first.
      best: the trial with the best value; of several the first. None: none is done.
    """

    table: SweepTable
    measure: Measure
    by: tuple[Factor, ...]
    averaged: tuple[str, ...]
    groups: tuple[Group, ...]
    effects: tuple[Effect, ...]
    best: Trial | None

    def best_group(self) -> Group | None:
        """The group with the best mean; None where none is done."""
        done = [group for group in self.groups if group.estimate.n]

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
      group_by: the fields that groups are of; None: every factor but the seed.

    Raises:
      UsageError: a metric that no trial has, with the nearest one.
    """
    table.check_metric(metric)
    varying = table.varying()
    by = tuple(factors(table, varying if group_by is None else group_by))
    fields = [*varying, *([SEED] if len(table.values(SEED)) > 1 else [])]
    measured = measure(metric)
    done = [t for t in table.trials if t.value(metric) is not None]
    sign = 1.0 if measured.lower else -1.0
    return Findings(
        table,
        measured,
        by,
        tuple(f for f in fields if f not in [factor.field for factor in by]),
        tuple(groups(table, by, metric)),
        tuple(effects(table, factors(table, compared(table)), metric)),
        min(done, key=lambda trial: sign * trial.metrics[metric], default=None),
    )


def compared(table: SweepTable) -> list[str]:
    """The fields whose effects are told: the factors, and a seed that trials share.

    A seed of its own for every trial would explain all of the variance.
    """
    varying, seeds = table.varying(), len(table.values(SEED))
    shared = bool(varying) and 1 < seeds < len(table.trials)
    return [*varying, *([SEED] if shared else [])]


def as_json(found: Findings) -> dict[str, Any]:
    """What `report --json` prints; numbers that there are none of are null."""
    table, metric = found.table, found.measure.name
    best = found.best
    return {
        "trials": len(table.trials),
        "asked": len(table.trials) + table.lacking,
        "status": table.counts(),
        "metric": metric,
        "group_by": [factor.field for factor in found.by],
        "averaged_over": list(found.averaged),
        "interval": found.measure.interval,
        "groups": [
            {
                "levels": levels(found, group),
                "mean": _number(group.estimate.mean),
                "low": _number(group.estimate.low),
                "high": _number(group.estimate.high),
                "n": group.estimate.n,
                "trials": len(group.trials),
            }
            for group in found.groups
        ],
        "sensitivity": [
            {
                "field": effect.field,
                "range": _number(effect.span),
                "share": _number(effect.share),
                "by_chance": _number(effect.chance),
                "lowest": effect.lowest,
                "highest": effect.highest,
            }
            for effect in found.effects
        ],
        "best": best
        and {
            "name": best.name,
            "value": best.metrics[metric],
            "overrides": dict(best.overrides),
            "command": command_line(table, best),
        },
    }


def levels(found: Findings, group: Group) -> dict[str, str]:
    """The level of a group by field."""
    pairs = zip(found.by, group.levels, strict=True)
    return {factor.field: factor.labels[level] for factor, level in pairs}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

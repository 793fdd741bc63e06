"""What `s2sjax sweep --dry_run` shows: trials, commands, groups and their costs."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from s2sjax.cli import printing
from s2sjax.errors import UsageError

if TYPE_CHECKING:
    from s2sjax.sweeps.backend_choice import Choice
    from s2sjax.sweeps.cost import Cost
    from s2sjax.sweeps.groups import Group
    from s2sjax.sweeps.trial import Trial


def show(
    trials: "Sequence[Trial]",
    commands: Sequence[str],
    choice: "Choice",
    *,
    as_json: bool = False,
) -> None:
    """Prints the plan of a sweep.

    Raises:
      UsageError: a trial that cannot be.
    """
    from s2sjax.reporting import table
    from s2sjax.reporting.screen import Screen
    from s2sjax.sweeps.groups import group

    groups = group(trials)
    costs = [_cost(each) for each in groups]
    if as_json:
        pairs = zip(groups, costs, strict=True)
        described = [_described(each, cost) for each, cost in pairs]
        plan = {
            "trials": len(trials),
            "backend": choice.backend,
            "groups": described,
            "commands": list(commands),
        }
        printing.line(json.dumps(plan))
        return
    screen = Screen()
    rows = [
        (f"{trial.index:04d}", trial.config_hash, command)
        for trial, command in zip(trials, commands, strict=True)
    ]
    title = f"{len(trials):,} trials"
    table.show(table.Table(title, ("trial", "config", "command"), rows), screen)
    table.show(_groups(groups, costs), screen)
    screen.line(choice.line or f"backend: {choice.backend}")


def _cost(group: "Group") -> "Cost":
    from s2sjax.sweeps import cost

    try:
        return cost.estimate(group.widest)
    except UsageError as error:
        raise UsageError(f"trial {group.trials[0].index}: {error}") from None


def _groups(groups: "Sequence[Group]", costs: "Sequence[Cost]") -> Any:
    from s2sjax.reporting import table
    from s2sjax.reporting.formats import number

    header = ("group", "trials", "parameters", "GFLOP/step", "GFLOP", "MiB", "varying")
    rows = []
    for place, (group, cost) in enumerate(zip(groups, costs, strict=True)):
        size = len(group.trials)
        flops = cost.step_flops * size
        rows.append(
            (
                str(place),
                f"{size:,}",
                f"{cost.parameters:,}",
                number(flops / 1e9, 3),
                number(flops * cost.steps / 1e9, 3),
                f"{cost.memory * size / 2**20:,.1f}",
                ", ".join(group.varying()) or "nothing",
            )
        )
    return table.Table(
        "Groups of trials that differ in numbers alone, and can share one program",
        header,
        rows,
        header[:-1],
        "Parameters are of one trial, FLOPs (of matrix products) and memory of all "
        "trials of a group, each padded to the largest.",
    )


def _described(group: "Group", cost: "Cost") -> dict[str, Any]:
    """A group for programs: of one trial, padded to the largest, and of all of them."""
    size = len(group.trials)
    return {
        "trials": [trial.index for trial in group.trials],
        "varying": group.varying(),
        "steps": cost.steps,
        "parameters_per_trial": cost.parameters,
        "step_flops_per_trial": cost.step_flops,
        "step_flops_of_group": cost.step_flops * size,
        "memory_per_trial": cost.memory,
        "memory_of_group": cost.memory * size,
    }

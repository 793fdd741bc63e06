"""`s2sjax sweep`: many runs of one experiment, launched, stopped and continued."""

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2sjax.cli import printing, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError

if TYPE_CHECKING:
    from s2sjax.sweeps.backends import Choice
    from s2sjax.sweeps.batched.grouping import Group
    from s2sjax.sweeps.preflight import Cost
    from s2sjax.sweeps.trials import Trial


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
    from s2sjax.sweeps.batched.grouping import group

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
    screen.line(COMMAND.in_flags(choice.line) or f"backend: {choice.backend}")


def _cost(group: "Group") -> "Cost":
    from s2sjax.sweeps import preflight

    try:
        return preflight.estimate(group.widest)
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


COMMAND = Command(
    "sweep",
    "Trains every trial of a sweep; on a directory that holds one, continues it.\n"
    "The config file describes it: sweep(config) returns flat overrides such as\n"
    '{"task.length": 8, "seed": 1}; --sweep=NAME chooses sweep_NAME(config), and\n'
    "--search draws from the space that search(config) returns.",
    flags=(
        Flag("workdir", "where the sweep is kept", value="DIR", argument="path"),
        Flag(
            "sweep",
            "sweeps of the file; of several, their product",
            value="NAME,..",
            argument="sweep",
        ),
        Flag(
            "backend",
            "how trials run: batched, processes, ray:cpus=1,gpus=0 or "
            "slurm:partition=NAME,gpus=1,minutes=60; unset: batched or processes",
            value="SPEC",
            argument="backend",
        ),
        Flag(
            "workers",
            "trials at a time, or proposals of a search; unset: what fits",
            type=int,
            least=1,
            argument="workers",
        ),
        Flag(
            "max_trials",
            "only so many trials",
            type=int,
            least=1,
            argument="max_trials",
        ),
        Flag(
            "add",
            "add the trials of a config that differs from that of earlier launches",
            False,
            bool,
            argument="add",
        ),
        Flag(
            "dry_run",
            "show trials, groups and costs; start nothing",
            False,
            bool,
            argument="dry_run",
        ),
        Flag(
            "search",
            "propose trials with Optuna: tpe, random, gp",
            value="SPEC",
            argument="search",
        ),
        Flag(
            "pruner",
            "end hopeless ones: asha, hyperband, median",
            value="SPEC",
            argument="pruner",
        ),
        Flag("retries", "new tries of a trial that fails", 1, int, least=0),
        Flag(
            "preemptions",
            "new tries of one that is killed before it came any further",
            10,
            int,
            least=0,
        ),
        Flag(
            "silence",
            "seconds without a sign of life after which a worker has failed",
            1800,
            int,
            least=1,
        ),
        Flag(
            "retry_failed",
            "try what failed in earlier launches again",
            False,
            bool,
            argument="retry_failed",
        ),
        dataclasses.replace(
            start.TRACKER,
            doc="as of train, for each trial; unset: as this sweep was begun, else "
            "tensorboard in processes and none in one program",
        ),
        start.NO_USER_CODE,
        Flag(
            "ray_address",
            "of a Ray cluster, or local; unset: that of earlier launches, else local",
            value="ADDRESS",
            argument="ray_address",
        ),
        Flag("json", "one JSON object at the end", False, bool),
    ),
    config="optional",
    memory="train.batch_size, task.length or model.units of the trials, or --workers",
    examples=(
        "s2sjax sweep --config=experiments/data_size.py --workdir=sweeps/data_size",
        "s2sjax sweep --config=experiments/data_size.py:smoke --dry_run",
        "s2sjax sweep --workdir=sweeps/data_size",
    ),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    from s2sjax.commands import sweep, sweep_plan

    start.check_tracker(parsed.values)

    values = parsed.values
    names = {f.name for f in COMMAND.flags} - {"workdir", "json", "no_user_code"}
    launch = sweep_plan.Launch(
        path=values.workdir,
        config_file=parsed.config_file,
        config=parsed.config,
        overrides=parsed.overrides,
        quiet=values.json,
        command=["s2sjax", *sys.argv[1:]],
        say=parsed.say,
        note=lambda line: parsed.say(line) if line else None,
        **{name: getattr(values, name) for name in names},
    )
    sweep_plan.check(launch)
    if launch.search:
        if values.no_user_code and parsed.config is not None:
            start.refuse_user_code(parsed.config, f"--config={parsed.config_file}")
        space, choice = sweep_plan.planned_search(launch)
        outcome = sweep.run_search(launch, space, choice)
    else:
        found = sweep_plan.found(launch)
        trials = found.trials
        if values.no_user_code:
            for trial in trials:
                start.refuse_user_code(trial.config, f"trial {trial.name}")
        choice = sweep_plan.prepared(launch, trials)
        if parsed.config is None:
            _announce_user_code(values.workdir, trials, parsed.say)
        if values.dry_run:
            folder = Path(values.workdir or "DIR") / "trials"
            lines = [launch.command_of(each, folder / each.name) for each in trials]
            show(trials, lines, choice, as_json=values.json)
            return 0
        outcome = sweep.run_trials(launch, found, choice)
    if values.json:
        printing.line(json.dumps({"trials": outcome.trials, **outcome.counts}))
    return outcome.exit_code


def _announce_user_code(
    workdir: str, trials: "Sequence[Trial]", say: Callable[[str], None]
) -> None:
    """Says which files of the user's are executed, once for each."""
    from s2sjax.config import code_files
    from s2sjax.runs import code, run_files

    announced: set[tuple[tuple[str, str], ...]] = set()
    for trial in trials:
        files = code.pattern(trial.config) | code_files(trial.config)
        if tuple(files.items()) not in announced:
            announced.add(tuple(files.items()))
            folder = run_files.checked_path(workdir) / "trials" / trial.name
            code.announce(folder, files, say)

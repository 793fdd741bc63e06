"""`s2sjax sweep`: many runs of one experiment, launched, stopped and continued."""

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2sjax import environment, places, program_cache
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
    screen.line(choice.line or f"backend: {choice.backend}")


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


def prepare(
    parsed: Parsed,
    trials: "Sequence[Trial]",
    sweep: Path | None,
    space: Collection[str] = (),
) -> "Choice":
    """The backend that was asked for, or the one that is chosen; checks the trials.

    Args:
      parsed: the command.
      trials: what it trains, or some that stand for it.
      sweep: its directory; None: it has none yet.
      space: of a search, the fields that it proposes.

    Raises:
      UsageError: trials that the backend cannot train.
    """
    start.warn(program_cache.keep(os.environ))
    choice = _choice(parsed, trials, sweep, space)
    before = os.environ.get("XLA_FLAGS")
    lines = _split_cpu(trials) if choice.is_batched else []
    if not choice.is_batched or parsed.values.dry_run:
        _leave_devices()

    from s2sjax.sweeps import preflight
    from s2sjax.sweeps.batched import run
    from s2sjax.sweeps.pools.processes import gpus

    if parsed.config is not None:
        preflight.check(trials)
    # The memory of a GPU is known once it is taken.
    can_be_checked = not (parsed.values.dry_run and gpus(os.environ))
    if choice.is_batched and (choice.is_free or parsed.config) and can_be_checked:
        try:
            run.check(trials)
        except UsageError as error:
            if not (choice.is_free and _on_cpu()):
                raise
            _restore(before)  # for the processes that are started
            return choice._replace(backend="processes", why=f"since {error}")
    start.warn([] if parsed.values.dry_run else lines)
    return choice


def _choice(
    parsed: Parsed,
    trials: "Sequence[Trial]",
    sweep: Path | None,
    space: Collection[str],
) -> "Choice":
    from s2sjax.sweeps.backends import Choice, begun, choose, choose_search

    asked = parsed.values.backend
    if asked is not None:
        return Choice(asked)
    there = begun(sweep) if sweep is not None else ""
    if there:
        return Choice(there, "as this sweep was begun")
    if space:
        return choose_search(trials, space)
    if parsed.values.workers is not None:
        why = f"since --workers={parsed.values.workers} counts them"
        return Choice("processes", why, is_free=True)
    return choose(trials)


def _split_cpu(trials: "Sequence[Trial]") -> list[str]:
    """Sets the flags of trials that share a process: a device of the CPU for each
    core. What to say of them.
    """
    deterministic = any(trial.config.train.deterministic for trial in trials)
    cores = len(environment.cores())
    return environment.prepare(
        os.environ, threads=1, deterministic=deterministic, devices=cores
    )


def _leave_devices() -> None:
    """Leaves the devices to the trials; here only shapes are computed."""
    import jax

    jax.config.update("jax_platforms", "cpu")


def _on_cpu() -> bool:
    """Whether the launcher, which has started jax, holds no device of the trials.

    What is too large for a GPU by itself is so for a process on it too.
    """
    import jax

    return jax.devices()[0].platform == "cpu"


def _restore(flags: str | None) -> None:
    if flags is None:
        os.environ.pop("XLA_FLAGS", None)
    else:
        os.environ["XLA_FLAGS"] = flags


COMMAND = Command(
    "sweep",
    "Trains every trial of a sweep; on a directory that holds one, continues it.\n"
    "The config file describes it: sweep(config) returns flat overrides such as\n"
    '{"task.length": 8, "seed": 1}; --sweep=NAME chooses sweep_NAME(config), and\n'
    "--search draws from the space that search(config) returns.",
    flags=(
        Flag("workdir", "where the sweep is kept", value="DIR"),
        Flag("sweep", "sweeps of the file; of several, their product", value="NAME,.."),
        Flag(
            "backend",
            "how trials run: batched, processes, ray:cpus=1,gpus=0 or "
            "slurm:partition=NAME,gpus=1,minutes=60; unset: batched or processes",
            value="SPEC",
        ),
        Flag(
            "workers",
            "processes at a time, or proposals of a search; unset: what fits",
            type=int,
            least=1,
        ),
        Flag("max_trials", "only so many trials", type=int, least=1),
        Flag(
            "add",
            "add the trials of a config that differs from that of earlier launches",
            False,
            bool,
        ),
        Flag("dry_run", "show trials, groups and costs; start nothing", False, bool),
        Flag("search", "propose trials with Optuna: tpe, random, gp", value="SPEC"),
        Flag("pruner", "end hopeless ones: asha, hyperband, median", value="SPEC"),
        Flag("retries", "new tries of a trial that fails", 1, int, least=0),
        Flag("preemptions", "new tries of one that is killed", 10, int, least=0),
        Flag(
            "silence",
            "seconds without a sign of life after which a worker has failed",
            1800,
            int,
            least=1,
        ),
        Flag("retry_failed", "try what failed in earlier launches again", False, bool),
        start.NO_USER_CODE,
        Flag("ray_address", "of a Ray cluster; unset: a local one", value="ADDRESS"),
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
    _check_together(parsed)

    from s2sjax.runs import run_files

    workdir = parsed.values.workdir
    path = None if workdir is None else run_files.checked_path(workdir)
    if parsed.values.search:
        return _search(parsed, path)
    defined = None if parsed.config is None else _defined(parsed)
    trials = _kept(path) if defined is None else defined
    if parsed.values.no_user_code:
        for trial in trials:
            start.refuse_user_code(trial.config, f"trial {trial.name}")
    choice = prepare(parsed, trials, path)
    if defined is None and path is not None:
        by_task = {trial.config.task.name: trial for trial in trials}
        for trial in by_task.values():
            data = path / "trials" / trial.name / run_files.DATA
            start.tell_user_code(trial.config, data, named=False)

    from s2sjax.cli import sweep_launch

    if parsed.values.dry_run:
        folder = Path(workdir or "DIR") / "trials"
        command = sweep_launch.commander(parsed)
        lines = [command(trial, folder / trial.name) for trial in trials]
        show(trials, lines, choice, as_json=parsed.values.json)
        return 0
    return sweep_launch.launch(parsed, defined, choice)


def _search(parsed: Parsed, path: Path | None) -> int:

    from s2sjax.sweeps import optuna_specs
    from s2sjax.sweeps import trials as definition

    assert parsed.config is not None
    if parsed.values.no_user_code:
        start.refuse_user_code(parsed.config, f"--config={parsed.config_file}")
    optuna_specs.make_sampler(parsed.values.search)
    optuna_specs.make_pruner(parsed.values.pruner or "none")
    space = definition.space(parsed.config_file, parsed.config)
    largest = definition.largest(parsed.config, space)
    choice = prepare(parsed, [largest], path, space)

    from s2sjax.cli import sweep_launch

    return sweep_launch.search(parsed, space, choice)


def _check_together(parsed: Parsed) -> None:
    """Flags that need one another, or exclude one another."""
    from s2sjax.sweeps import backends

    values = parsed.values
    is_batched = values.backend and backends.name(values.backend) == backends.BATCHED
    if is_batched and values.workers is not None and not values.search:
        raise UsageError(
            f"--workers={values.workers} counts processes, or proposals of a search; "
            f"--backend=batched trains all trials of a list together"
        )
    if values.workdir is None and not values.dry_run:
        raise UsageError("sweep needs --workdir=DIR (where the sweep is kept)")
    needs_config = {"dry_run": values.dry_run, "sweep": values.sweep}
    needs_config |= {"search": values.search, "add": values.add}
    for name, value in needs_config.items():
        if value and parsed.config is None:
            raise UsageError(f"sweep --{name} needs --config=FILE[:variant]")
    if values.pruner and not values.search:
        raise UsageError(f"--pruner={values.pruner} needs --search=SPEC, e.g. tpe")
    if values.search:
        if values.max_trials is None:
            raise UsageError(f"--search={values.search} needs --max_trials=N")
        for name in ("sweep", "dry_run", "retry_failed"):
            if getattr(values, name):
                raise UsageError(f"--search={values.search} and --{name}: choose one")


def _defined(parsed: Parsed) -> "list[Trial]":
    """The trials of the config file."""
    from s2sjax.sweeps import trials as definition

    values = parsed.values
    assert parsed.config is not None
    names = [] if values.sweep is None else values.sweep.split(",")
    return definition.define(
        parsed.config_file, parsed.config, names, values.max_trials
    )


def _kept(path: Path | None) -> "list[Trial]":
    """The trials of a directory, to continue with."""
    from s2sjax.sweeps import directory

    assert path is not None
    if not directory.check(path):
        what = places.not_a_sweep(path)
        raise UsageError(f"--workdir={path} {what}; give --config=FILE to start one")
    trials = directory.read_trials(path)
    if not trials:
        raise UsageError(f"--workdir={path} has no trials yet; give --config=FILE")
    return trials

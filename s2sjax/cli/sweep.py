"""`s2sjax sweep`: many runs of one experiment, launched, stopped and continued."""

from pathlib import Path
from typing import TYPE_CHECKING

from s2sjax import places
from s2sjax.cli import start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError

if TYPE_CHECKING:
    from s2sjax.sweeps.trial import Trial

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
    from s2sjax.cli import sweep_backend
    from s2sjax.training import run_files

    workdir = parsed.values.workdir
    path = None if workdir is None else run_files.checked_path(workdir)
    if parsed.values.search:
        return _search(parsed, path)
    defined = None if parsed.config is None else _defined(parsed)
    trials = _kept(path) if defined is None else defined
    if parsed.values.no_user_code:
        for trial in trials:
            start.refuse_user_code(trial.config, f"trial {trial.name}")
    choice = sweep_backend.prepare(parsed, trials, path)
    if defined is None and path is not None:
        by_task = {trial.config.task.name: trial for trial in trials}
        for trial in by_task.values():
            data = path / "trials" / trial.name / run_files.DATA
            start.tell_user_code(trial.config, data, named=False)

    from s2sjax.cli import sweep_launch, sweep_plan

    if parsed.values.dry_run:
        folder = Path(workdir or "DIR") / "trials"
        command = sweep_launch.commander(parsed)
        lines = [command(trial, folder / trial.name) for trial in trials]
        sweep_plan.show(trials, lines, choice, as_json=parsed.values.json)
        return 0
    return sweep_launch.launch(parsed, defined, choice)


def _search(parsed: Parsed, path: Path | None) -> int:
    from s2sjax.cli import sweep_backend
    from s2sjax.sweeps import definition, optuna_specs

    assert parsed.config is not None
    if parsed.values.no_user_code:
        start.refuse_user_code(parsed.config, f"--config={parsed.config_file}")
    optuna_specs.make_sampler(parsed.values.search)
    optuna_specs.make_pruner(parsed.values.pruner or "none")
    space = definition.space(parsed.config_file, parsed.config)
    largest = definition.largest(parsed.config, space)
    choice = sweep_backend.prepare(parsed, [largest], path, space)

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
    from s2sjax.sweeps import definition

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

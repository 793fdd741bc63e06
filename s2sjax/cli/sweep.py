"""`s2sjax sweep`: many runs of one experiment, launched, stopped and continued."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s2sjax.cli import start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.cli.inspection import written
from s2sjax.errors import UsageError, unknown

if TYPE_CHECKING:
    from s2sjax.sweeps.directory import SweepDirectory
    from s2sjax.sweeps.ledger import Ledger
    from s2sjax.sweeps.trial import Trial

COMMAND = Command(
    "sweep",
    "Trains every trial of a sweep; on a directory that holds one, continues it.\n"
    "The config file describes it: sweep(config) returns flat overrides such as\n"
    '{"task.length": 8, "seed": 1}; --sweep=NAME chooses sweep_NAME(config).',
    flags=(
        Flag("workdir", "where the sweep is kept", value="DIR"),
        Flag(
            "sweep",
            "which sweeps of the file; of several, their product",
            value="NAME,...",
        ),
        Flag(
            "backend", "how trials run: processes or batched", "processes", value="NAME"
        ),
        Flag(
            "workers", "trials at a time; unset: one per GPU or core", type=int, least=1
        ),
        Flag("max_trials", "only the first N trials", type=int, least=1),
        Flag(
            "dry_run",
            "show the trials, their groups and costs; start nothing",
            False,
            type=bool,
        ),
        Flag(
            "retries",
            "how often a trial that fails is tried again",
            1,
            type=int,
            least=0,
        ),
        Flag(
            "preemptions",
            "how often one whose worker is killed is",
            10,
            type=int,
            least=0,
        ),
        Flag(
            "silence",
            "seconds without a sign of life that make a worker fail",
            1800,
            type=int,
            least=1,
        ),
        Flag(
            "retry_failed", "try the trials again that failed before", False, type=bool
        ),
        Flag("json", "one JSON object at the end", False, type=bool),
    ),
    config="optional",
    examples=(
        "s2sjax sweep --config=experiments/data_size.py --workdir=sweeps/data_size",
        "s2sjax sweep --config=experiments/data_size.py:smoke --dry_run",
        "s2sjax sweep --workdir=sweeps/data_size",
    ),
)
BACKENDS = ("batched", "processes")


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    if values.backend not in BACKENDS:
        raise unknown("backend", values.backend, BACKENDS)
    if values.backend == "batched":
        from s2sjax.sweeps import batched

        raise batched.refuse()
    defined = _defined(parsed)
    if values.dry_run:
        from s2sjax.cli import sweep_plan

        if defined is None:
            raise UsageError("sweep --dry_run needs --config=FILE[:variant]")
        folder = Path(values.workdir or "DIR")
        commands = [_command(parsed, trial, folder / trial.name) for trial in defined]
        sweep_plan.show(defined, commands, as_json=values.json)
        return 0
    if values.workdir is None:
        raise UsageError("sweep needs --workdir=DIR (where the sweep is kept)")
    if defined is not None:
        import jax

        # A device is for the trials: here only shapes are computed.
        jax.config.update("jax_platforms", "cpu")

        from s2sjax.sweeps import checks

        checks.check(defined)
    return _launch(parsed, defined)


def _defined(parsed: Parsed) -> "list[Trial] | None":
    """The trials of the config file; None to continue with those of the directory."""
    from s2sjax.sweeps import definition, directory
    from s2sjax.training import run_files

    values = parsed.values
    if parsed.config is None:
        if values.sweep is not None:
            raise UsageError(f"--sweep={values.sweep} needs --config=FILE[:variant]")
        path = run_files.checked_path(values.workdir or "")
        if not directory.check(path):
            raise UsageError(
                f"--workdir={path} is not a sweep; give --config=FILE to start one"
            )
        return None
    names = [] if values.sweep is None else values.sweep.split(",")
    return definition.define(
        parsed.config_file, parsed.config, names, values.max_trials
    )


def _launch(parsed: Parsed, defined: "Sequence[Trial] | None") -> int:
    from s2sjax.cli.sweep_console import SweepConsole
    from s2sjax.sweeps import scheduler, source_code
    from s2sjax.sweeps.directory import SweepDirectory
    from s2sjax.sweeps.ledger import Ledger
    from s2sjax.sweeps.processes import Processes
    from s2sjax.training import interruption

    values = parsed.values
    with SweepDirectory(values.workdir) as sweep:
        pool = Processes(values.workers, sweep.path / "compiled")
        folder = Path(parsed.config_file).parent if parsed.config_file else Path.cwd()
        words = ["s2sjax", *sys.argv[1:]]
        config = _config_words(parsed)
        said = [sweep.record_launch(words, source_code.describe(folder), config)]
        trials: Sequence[Trial] = sweep.trials
        if defined is None:
            trials = trials[: values.max_trials]
        else:
            trials, added = sweep.add(defined, _commander(parsed))
            said.append(_told(sweep, trials, added))
        start.warn([line for line in said if line])
        ledger = Ledger(sweep)
        left = [t for t in trials if _is_left(ledger, t, values.retry_failed)]
        budgets = scheduler.Budgets(values.retries, values.preemptions, values.silence)
        console = SweepConsole(trials, ledger, quiet=values.json)
        with interruption.watch() as signals, console:
            scheduler.run(
                sweep,
                ledger,
                scheduler.Listed(left),
                pool,
                _train,
                signals,
                budgets,
                console,
            )
        console.summarise(sweep, stopped=bool(signals.received))
        if values.json:
            print(json.dumps(_outcome(ledger, trials)))
        if signals.received:
            return signals.exit_code
        return int(ledger.count("failed", trials) > 0)


def _train(directory: Path) -> list[str]:
    return [sys.executable, "-m", "s2sjax", "train", f"--workdir={directory}"]


def _is_left(ledger: "Ledger", trial: "Trial", retry_failed: bool) -> bool:
    status = ledger.status(trial)
    return status == "pending" or (retry_failed and status == "failed")


def _told(
    sweep: "SweepDirectory", trials: "Sequence[Trial]", added: "Sequence[Trial]"
) -> str:
    """What a changed definition adds to a sweep, and what it has no more."""
    kept = len(trials) - len(added)
    gone = len(sweep.trials) - len(trials)
    if not kept and not gone:
        return ""
    parts = []
    if added:
        span = f"{added[0].name} to {added[-1].name}" if added[1:] else added[0].name
        parts.append(f"{len(added)} new trials were added ({span})")
    if gone:
        parts.append(
            f"{gone} trials are not in the definition now, and stay as they are"
        )
    return f"{sweep.path}: {'; '.join(parts)}" if parts else ""


def _outcome(ledger: "Ledger", trials: "Sequence[Trial]") -> dict[str, object]:
    statuses = ("done", "failed", "pruned", "pending")
    return {"trials": len(trials), **{s: ledger.count(s, trials) for s in statuses}}


def _commander(parsed: Parsed) -> "Callable[[Trial, Path], str]":
    return lambda trial, path: _command(parsed, trial, path)


def _command(parsed: Parsed, trial: "Trial", workdir: str | os.PathLike[str]) -> str:
    """The command that trains a trial by itself."""
    words = ["s2sjax", "train", *_config_words(parsed)]
    words += [f"--config.{f}={written(v)}" for f, v in trial.overrides.items()]
    return shlex.join([*words, f"--workdir={os.fspath(workdir)}"])


def _config_words(parsed: Parsed) -> list[str]:
    """`--config` and what the command line overrides."""
    if not parsed.config_file:
        return []
    words = [f"--config={parsed.config_file}"]
    return words + [f"--config.{f}={text}" for f, text in parsed.overrides.items()]

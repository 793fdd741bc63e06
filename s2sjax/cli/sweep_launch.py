"""The launcher of a sweep: opens its directory, runs what is left, says what came."""

import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from s2sjax.cli import printing, start
from s2sjax.cli.flags import Parsed
from s2sjax.config import PLACES, Config, written
from s2sjax.reporting.sweep.console import SweepConsole
from s2sjax.runs import provenance, run_files
from s2sjax.sweeps import backends, base, data, directory, scheduler
from s2sjax.sweeps import search as searches
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.backends import Choice
from s2sjax.sweeps.batched import run
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.draws import Distribution
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.protocols import Listed, Pool, TrialQueue
from s2sjax.sweeps.search import Search
from s2sjax.sweeps.trial_files import ENDINGS
from s2sjax.sweeps.trials import Trial
from s2sjax.training import interruption


def launch(parsed: Parsed, defined: Sequence[Trial] | None, choice: Choice) -> int:
    """Runs a sweep's trials, or without a definition those of its directory."""
    values = parsed.values

    def check(sweep: SweepDirectory) -> None:
        if parsed.config is not None and not values.add:
            base.check(sweep, parsed.config, defined or ())

    with _opened(parsed, choice, len(defined or ()), defined, check) as (sweep, pool):
        trials, most = sweep.trials[: values.max_trials], None
        if defined is None:
            _warn(_lacking(sweep))
            most = min(
                directory.asked(sweep.launches), values.max_trials or sys.maxsize
            )
        else:
            trials, added = sweep.add(defined, commander(parsed))
            _warn(_told(sweep, trials, added))
        ledger = Ledger(sweep, _warn)
        left = [t for t in trials if _is_left(ledger, t, values.retry_failed)]
        metric = trials[0].config.train.metric
        console = SweepConsole(
            trials,
            ledger,
            metric=metric,
            most=most,
            waiting=len(left),
            quiet=values.json,
        )
        return _run(parsed, sweep, ledger, Listed(left), console, pool)


def search(parsed: Parsed, space: Mapping[str, Distribution], choice: Choice) -> int:
    """Runs the trials that Optuna proposes."""
    values = parsed.values
    config = parsed.config
    assert config is not None
    pruner = values.pruner or "none"
    asked = values.max_trials

    def check(sweep: SweepDirectory) -> None:
        _warn(searches.check(sweep, config, space))
        if not values.add:
            base.check(sweep, config, leave_out=space)

    places = _places(config, space)
    with _opened(parsed, choice, asked, places, check) as (sweep, pool):
        ledger = Ledger(sweep, _warn)
        queue = Search(
            sweep,
            ledger,
            config,
            space,
            values.search,
            pruner,
            asked,
            commander(parsed),
        )
        metric = config.train.metric
        console = SweepConsole(
            queue.trials, ledger, metric=metric, most=asked, quiet=values.json
        )
        at_once = values.workers or (run.proposals() if pool is None else None)
        code = _run(parsed, sweep, ledger, queue, console, pool, at_once)
        if queue.lacking():
            there = f"{len(queue.trials):,} of {asked:,} trials"
            _warn(f"{sweep.path}: {there} are there: {queue.lacking()}")
        return code


def _run(
    parsed: Parsed,
    sweep: SweepDirectory,
    ledger: Ledger,
    queue: TrialQueue,
    console: SweepConsole,
    pool: Pool | None,
    at_once: int | None = None,
) -> int:
    """Runs what a queue gives, in a pool or in this process; the exit code."""
    values, to = parsed.values, (sweep, ledger, queue)
    budgets = scheduler.Budgets(values.retries, values.preemptions, values.silence)
    with interruption.watch() as signals, console:
        if pool is None:
            run.run(*to, signals, console, at_once)
        else:
            scheduler.run(*to, pool, _train, signals, budgets, console)
    return _ended(parsed, sweep, ledger, signals, console)


@contextlib.contextmanager
def _opened(
    parsed: Parsed,
    choice: Choice,
    asked: int,
    trials: Sequence[Trial] | None,
    check: Callable[[SweepDirectory], None] = lambda sweep: None,
) -> Iterator[tuple[SweepDirectory, Pool | None]]:
    """The directory, with this launch noted, and where trials run: in the pool, or,
    where there is none, in this process. Nothing is made where the pool cannot be.
    `asked` is how many trials there are to be, 0 where those of the directory are
    trained; `trials` have the data that it reads; None: those that the directory has
    left. `check` may refuse what is there before anything is noted.
    """
    values = parsed.values
    path = run_files.checked_path(values.workdir)
    directory.check(path)
    with contextlib.ExitStack() as stack:
        pool = None
        if not choice.is_batched:
            address = values.ray_address or ""
            pool = backends.make_pool(choice.backend, path, values.workers, address)
            stack.callback(pool.close)
        sweep = stack.enter_context(SweepDirectory(path))
        if trials is None:
            ledger = Ledger(sweep)
            trials = [
                t for t in sweep.trials if _is_left(ledger, t, values.retry_failed)
            ]
        # Data that lie elsewhere by now are no difference to refuse.
        hashes = data.settle(sweep, trials, commander(parsed))
        check(sweep)
        if values.add:  # to those that are there
            configs_ = {trial.config for trial in (*sweep.trials, *trials)}
            asked = max(asked, len(configs_))
        _warn(choice.line)
        _record(parsed, sweep, choice.backend, asked, hashes)
        yield sweep, pool


def _ended(
    parsed: Parsed,
    sweep: SweepDirectory,
    ledger: Ledger,
    signals: interruption.Signals,
    console: SweepConsole,
) -> int:
    """Says how the sweep ended; the exit code."""
    trials = console.trials
    again = ["s2sjax", "sweep", f"--workdir={sweep.path}"]
    again += ["--retry_failed"] * parsed.values.retry_failed
    if parsed.values.search:  # whose proposals need all that it was begun with
        again = ["s2sjax", *sys.argv[1:]]
    console.summarise(sweep, shlex.join(again), stopped=bool(signals.received))
    if parsed.values.json:
        counts = {status: ledger.count(status, trials) for status in ENDINGS}
        counts["pending"] = console.most - sum(counts.values())
        printing.line(json.dumps({"trials": console.most, **counts}))
    if signals.received:
        return signals.exit_code
    over = ledger.count("done", trials) + ledger.count("pruned", trials)
    return int(over < console.most)


def _record(
    parsed: Parsed,
    sweep: SweepDirectory,
    backend: str,
    asked: int,
    hashes: Mapping[str, Sequence[str]],
) -> None:
    """Notes this launch, and says where its code differs from the first one's."""
    folder = Path(parsed.config_file).parent if parsed.config_file else Path.cwd()
    words = ["s2sjax", *sys.argv[1:]]
    code = provenance.source_code(folder)
    config = _config_words(parsed)
    told = sweep.record_launch(
        words, code, config, backend, asked, hashes, parsed.config
    )
    _warn(told)


def _warn(line: str) -> None:
    start.warn([line] if line else [])


def _train(directory: Path) -> list[str]:
    return [sys.executable, "-m", "s2sjax", "train", f"--workdir={directory}"]


def commander(parsed: Parsed) -> Callable[[Trial, Path], str]:
    """Of a trial and its directory, the command that trains it by itself."""

    def command(trial: Trial, workdir: Path) -> str:
        words = ["s2sjax", "train", *_config_words(parsed)]
        words += [f"--config.{f}={written(v)}" for f, v in trial.overrides.items()]
        return shlex.join([*words, f"--workdir={workdir}"])

    return command


def _config_words(parsed: Parsed) -> list[str]:
    """`--config` and what the command line overrides."""
    if not parsed.config_file:
        return []
    words = [f"--config={parsed.config_file}"]
    return words + [f"--config.{f}={text}" for f, text in parsed.overrides.items()]


def _is_left(ledger: Ledger, trial: Trial, retry_failed: bool) -> bool:
    status = ledger.status(trial)
    return status == "pending" or (retry_failed and status == "failed")


def _places(config: Config, space: Mapping[str, Distribution]) -> list[Trial]:
    """Trials with all the data that a search can propose."""
    proposed = [
        {field: value}
        for field in PLACES
        if field in space
        for value in space[field].values
    ]
    return definition.resolve(config, proposed or [{}])


def _lacking(sweep: SweepDirectory) -> str:
    """What a launch that is given no config cannot go on with."""
    there, asked = len(sweep.trials), directory.asked(sweep.launches)
    if there >= asked:
        return ""
    lacks = f"{sweep.path} has {there:,} of the {asked:,} trials that it was asked for"
    searched = [each for each in sweep.launches if directory.is_search(each)]
    if searched:
        again = shlex.join(run_files.placed(searched[-1]["command"], sweep.path))
        return f"{lacks}: it is a search, which goes on by {again}"
    return f"{lacks}; with its --config=FILE the others are added"


def _told(
    sweep: SweepDirectory, trials: Sequence[Trial], added: Sequence[Trial]
) -> str:
    """What a changed definition adds to a sweep, and what it has no more."""
    gone = len(sweep.trials) - len(trials)
    if len(trials) == len(added) and not gone:
        return ""  # a new sweep
    parts = []
    if added:
        span = f"{added[0].name} to {added[-1].name}" if added[1:] else added[0].name
        parts.append(f"trials were added: {len(added)} ({span})")
    if gone:
        parts.append(f"trials that the definition lacks now, and that stay: {gone}")
    return f"{sweep.path}: {'; '.join(parts)}" if parts else ""

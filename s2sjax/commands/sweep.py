"""Launches a sweep: opens its directory and runs the trials that are left."""

import contextlib
import functools
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from s2sjax import experiment
from s2sjax.commands.run import notice
from s2sjax.commands.sweep_plan import (
    Found,
    Launch,
    check,
    found,
    planned_search,
    prepared,
    restore_flags,
)
from s2sjax.config import PLACES, Config, is_user_code
from s2sjax.errors import RunError, UsageError
from s2sjax.reporting import trackers
from s2sjax.reporting.sweep import table
from s2sjax.reporting.sweep.console import SweepConsole
from s2sjax.runs import lock, provenance, run_files
from s2sjax.schema import written
from s2sjax.sweeps import (
    backends,
    base,
    data,
    directory,
    scheduler,
)
from s2sjax.sweeps import search as searches
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.backends import Choice
from s2sjax.sweeps.batched import run
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.draws import Distribution
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.protocols import Listed, Pool, SweepObserver, TrialQueue
from s2sjax.sweeps.search import Search
from s2sjax.sweeps.trial_files import ENDINGS, Result
from s2sjax.sweeps.trials import Trial
from s2sjax.training import interruption


@dataclass(frozen=True)
class Outcome:
    """How a launch ended."""

    counts: dict[str, int]  # of trials: done, pruned, failed, pending
    exit_code: int  # 0 where all are done or pruned

    @property
    def trials(self) -> int:
        """How many there are to be."""
        return sum(self.counts.values())


def sweep(
    config: str | os.PathLike[str] | None,
    path: str | os.PathLike[str],
    *,
    overrides: Mapping[str, Any] | None = None,
    sweep: str | None = None,
    backend: str | None = None,
    workers: int | None = None,
    max_trials: int | None = None,
    add: bool = False,
    search: str | None = None,
    pruner: str | None = None,
    retry_failed: bool = False,
    tracker: str | None = None,
    verbose: bool = False,
) -> list[dict[str, Any]]:
    """Trains every trial of a sweep, as `s2sjax sweep` does; one that is there goes on.

    Args:
      config: the file that describes it, `FILE[:variant]`, by `sweep(config)` or
        `search(config)`; None: the trials that `path` holds.
      path: where the sweep is kept.
      overrides: values of fields by dotted name.
      sweep: sweeps of the file by name, `NAME,..`; of several, their product.
      backend: batched, processes, or a spec of ray or slurm; None: what fits.
      workers: processes at a time, or proposals of a search; None: what fits.
      max_trials: only so many trials.
      add: add the trials of a config that differs from that of earlier launches.
      search: propose trials with Optuna: tpe, random, gp.
      pruner: end hopeless ones: asha, hyperband, median.
      retry_failed: try what failed in earlier launches again.
      tracker: as of `train`, for each trial.
      verbose: show how it goes on the screen, as the command does.

    Returns:
      What `trials(path)` gives.

    Raises:
      UsageError: a definition that cannot be; nothing was written.
    """
    texts = {name: written(value) for name, value in (overrides or {}).items()}
    file = "" if config is None else os.fspath(config)
    resolved = experiment.load_config(file, texts, notice) if file else None
    launch = Launch(
        path=path,
        config_file=file,
        config=resolved,
        overrides=texts,
        sweep=sweep,
        backend=backend,
        workers=workers,
        max_trials=max_trials,
        add=add,
        search=search,
        pruner=pruner,
        retry_failed=retry_failed,
        tracker=tracker,
        quiet=not verbose,
    )
    flags = os.environ.get("XLA_FLAGS")
    try:
        outcome = launched(launch)
    finally:
        restore_flags(flags)
    if outcome.exit_code > 128:
        raise KeyboardInterrupt
    if outcome.counts["failed"]:
        warnings.warn(
            f"{outcome.counts['failed']} of {outcome.trials} trials failed",
            stacklevel=2,
        )
    return trials(path)


def trials(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The trials of a sweep, a dict each, also while it runs.

    Each has `index`, `name`, `status`, its overrides by dotted field, `seed`,
    `best_step`, `seconds`, and by `valid_NAME` and `test_NAME` the metrics at its best
    step. What is not known is None, so that all have the same keys:
    `pandas.DataFrame(s2s.trials(path))` is the table.

    Raises:
      UsageError: it is not a sweep, with the nearest that is.
    """
    found = table.read(os.fspath(path), notice)
    fields, metrics = found.fields(), found.metrics()
    return [
        {
            "index": trial.index,
            "name": trial.name,
            "status": trial.status,
            "seed": trial.seed,
            **{name: trial.overrides.get(name) for name in fields},
            "best_step": trial.best_step,
            "seconds": trial.seconds,
            **{name: trial.metrics.get(name) for name in metrics},
        }
        for trial in found.trials
    ]


def launched(launch: Launch) -> Outcome:
    """Launches a sweep: trials of its file or its directory, or those of a search.

    Raises:
      UsageError: arguments that exclude one another, or trials that cannot be.
    """
    check(launch)
    if launch.search:
        space, choice = planned_search(launch)
        return run_search(launch, space, choice)
    there = found(launch)
    return run_trials(launch, there, prepared(launch, there.trials))


def run_trials(launch: Launch, found: Found, choice: Choice) -> Outcome:
    """Runs the trials that were found: of the file, or of the directory."""
    defined = None if launch.config is None else found.trials

    def check(sweep: SweepDirectory) -> None:
        if launch.config is not None and not launch.add:
            base.check(sweep, launch.config, defined or ())

    asked, stored = len(defined or ()), found.stored
    with _opened(launch, choice, asked, defined, check, stored) as opened:
        sweep, ledger, pool = opened
        trials, most = sweep.trials[: launch.max_trials], None
        if defined is None:
            launch.tell(_lacking(sweep))
            most = min(
                directory.asked(sweep.launches), launch.max_trials or sys.maxsize
            )
        else:
            trials, added = sweep.add(defined, launch.command_of)
            launch.tell(_changes(sweep, trials, added))
        left = [t for t in trials if _is_left(ledger, t, launch.retry_failed)]
        metric = trials[0].config.train.metric_name
        console = SweepConsole(
            trials,
            ledger,
            metric=metric,
            most=most,
            waiting=len(left),
            quiet=launch.quiet,
        )
        return _run(launch, sweep, ledger, Listed(left), console, pool)


def run_search(
    launch: Launch, space: Mapping[str, Distribution], choice: Choice
) -> Outcome:
    """Runs the trials that Optuna proposes."""
    config, spec, asked = launch.config, launch.search, launch.max_trials
    assert config is not None and spec is not None and asked is not None
    pruner = launch.pruner or "none"

    def check(sweep: SweepDirectory) -> None:
        launch.tell(searches.check(sweep, config, space))
        if not launch.add:
            base.check(sweep, config, leave_out=space)

    places = _places(config, space)
    with _opened(launch, choice, asked, places, check) as (sweep, ledger, pool):
        queue = Search(
            sweep,
            ledger,
            config,
            space,
            spec,
            pruner,
            asked,
            launch.command_of,
        )
        metric = config.train.metric_name
        console = SweepConsole(
            queue.trials, ledger, metric=metric, most=asked, quiet=launch.quiet
        )
        at_once = launch.workers or (run.proposals() if pool is None else None)
        outcome = _run(launch, sweep, ledger, queue, console, pool, at_once)
        if queue.lacking():
            there = f"{len(queue.trials):,} of {asked:,} trials"
            launch.say(f"{sweep.path}: {there} are there: {queue.lacking()}")
        return outcome


def _run(
    launch: Launch,
    sweep: SweepDirectory,
    ledger: Ledger,
    queue: TrialQueue,
    console: SweepConsole,
    pool: Pool | None,
    at_once: int | None = None,
) -> Outcome:
    """Runs what a queue gives, in a pool or in this process."""
    to = sweep, ledger, queue
    budgets = scheduler.Budgets(launch.retries, launch.preemptions, launch.silence)
    names = launch.tracker or _remembered_tracker(sweep)
    with interruption.watch() as signals, console:
        if pool is None:
            watcher = Replays(console, sweep, names) if names else console
            run.run(*to, signals, watcher, at_once)
        else:
            if names and sweep.trials:
                first = sweep.trials[0]
                tracked = trackers.TrackedRun(sweep.of(first), first.config)
                trackers.prepare(names, tracked, console.message)
            train = functools.partial(_train, tracker=names)
            try:
                scheduler.run(*to, pool, train, signals, budgets, console)
            except RunError as error:  # a full disk, or a cluster that is gone
                again = _again(launch, sweep)
                raise RunError(f"{error}; to go on: {again}") from None
    return _ended(launch, sweep, ledger, signals, console)


@contextlib.contextmanager
def _opened(
    launch: Launch,
    choice: Choice,
    asked: int,
    trials: Sequence[Trial] | None,
    check: Callable[[SweepDirectory], None] = lambda sweep: None,
    stored: directory.Stored = MappingProxyType({}),
) -> Iterator[tuple[SweepDirectory, Ledger, Pool | None]]:
    """The directory, with this launch noted, how its trials stand, and where they run:
    in the pool, or, where there is none, in this process. Nothing is made where the
    pool cannot be. `asked` is how many trials there are to be, 0 where those of the
    directory are trained; `trials` have the data that it reads; None: those that the
    directory has left. `check` may refuse what is there before anything is noted.
    `stored` has been read of it.
    """
    assert launch.path is not None
    path = run_files.checked_path(launch.path)
    directory.check(path)
    if launch.tracker and launch.config:
        tracked = trackers.TrackedRun(path / directory.TRIALS / "0000", launch.config)
        trackers.create(launch.tracker, tracked)  # or refused before anything is noted
    with contextlib.ExitStack() as stack:
        pool, address = None, _ray_address(launch, choice, path)
        if not choice.is_batched:
            pool = backends.make_pool(
                choice.backend, path, launch.workers, address, launch.say
            )
            stack.callback(pool.close)
        launch.tell(lock.only_of_this_node(path))
        sweep = stack.enter_context(SweepDirectory(path, stored))
        ledger = Ledger(sweep, launch.say)
        if trials is None:
            trials = [
                t for t in sweep.trials if _is_left(ledger, t, launch.retry_failed)
            ]
        # Data that lie elsewhere by now are no difference to refuse.
        hashes = data.settle(sweep, trials, launch.command_of)
        check(sweep)
        if launch.add:  # to those that are there
            configs_ = {trial.config for trial in (*sweep.trials, *trials)}
            asked = max(asked, len(configs_))
        at = f", at {address}" if address else ""
        launch.note(choice.line and choice.line + at)
        _record(launch, sweep, choice.backend, address, asked, hashes)
        yield sweep, ledger, pool


def _ray_address(launch: Launch, choice: Choice, sweep: Path) -> str:
    """Where Ray is, if trials go there: as given, or as an earlier launch found it."""
    if not choice.is_ray:
        return ""
    return launch.ray_address or backends.ray_address(sweep)


def _ended(
    launch: Launch,
    sweep: SweepDirectory,
    ledger: Ledger,
    signals: interruption.Signals,
    console: SweepConsole,
) -> Outcome:
    """Says how the sweep ended."""
    there = console.trials
    again = _again(launch, sweep)
    console.summarise(sweep, again, stopped=bool(signals.received))
    counts = {status: ledger.count(status, there) for status in ENDINGS}
    counts["pending"] = console.most - sum(counts.values())
    is_over = counts["done"] + counts["pruned"] >= console.most
    return Outcome(counts, signals.exit_code or int(not is_over))


def _again(launch: Launch, sweep: SweepDirectory) -> str:
    """The command that goes on where a launch was stopped."""
    if launch.search:  # whose proposals need all that it was begun with
        return shlex.join(launch.command)
    words = ["s2sjax", "sweep", f"--workdir={sweep.path}"]
    last = sweep.launches[-1]
    if backends.name(last["backend"]) in ("ray", "slurm"):
        words.append(f"--backend={last['backend']}")
    if "ray_address" in last:
        words.append(f"--ray_address={last['ray_address']}")
    return shlex.join(words + ["--retry_failed"] * launch.retry_failed)


def _record(
    launch: Launch,
    sweep: SweepDirectory,
    backend: str,
    ray_address: str,
    asked: int,
    hashes: Mapping[str, Sequence[str]],
) -> None:
    """Notes this launch, and says where its code differs from the first one's."""
    folder = Path(launch.config_file).parent if launch.config_file else Path.cwd()
    code = provenance.source_code(folder)
    warning = sweep.record_launch(
        list(launch.command),
        code,
        launch.words,
        backend,
        asked,
        hashes,
        launch.config,
        ray_address,
    )
    launch.tell(warning)


def _train(directory: Path, tracker: str = "") -> list[str]:
    words = [sys.executable, "-m", "s2sjax", "train", f"--workdir={directory}"]
    return words + [f"--tracker={tracker}"] * bool(tracker)


def _remembered_tracker(sweep: SweepDirectory) -> str:
    """Those of the last launch that named any; no file of the user's among them, which
    is executed where it is named alone."""
    for launch in reversed(sweep.launches):
        for word in launch["command"]:
            flag, _, text = word.partition("=")
            if flag == "--tracker":
                kept = [name for name in text.split(",") if not is_user_code(name)]
                return ",".join(kept)
    return ""


class Replays(SweepObserver):
    """Tells trackers of each trial of a shared program, once that trial has ended.

    Args:
      observer: is told all of it too.
      sweep: whose trials they are.
      names: of the trackers.
    """

    def __init__(self, observer: SweepObserver, sweep: SweepDirectory, names: str):
        self._observer, self._sweep, self._names = observer, sweep, names

    def message(self, line: str) -> None:
        """See `SweepObserver`."""
        self._observer.message(line)

    def passed(self) -> None:
        """See `SweepObserver`."""
        self._observer.passed()

    def ended(self, trial: Trial, result: Result) -> None:
        """See `SweepObserver`."""
        self._observer.ended(trial, result)
        tracked = trackers.TrackedRun(self._sweep.of(trial), trial.config)
        try:
            for tracker in trackers.create(self._names, tracked):
                tracker.say = self.message
                trackers.replay(tracked, tracker, result.status)
        except (UsageError, RunError) as error:  # of a file of the user's or of a run
            self.message(f"{trial.name} is shown to no tracker: {error}")


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
    return f"{lacks}; with its config=FILE the others are added"


def _changes(
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

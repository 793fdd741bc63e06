"""Trains a run: starts or continues it, and tests its best checkpoint."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from s2sjax import environment, experiment, places, rng, tasks
from s2sjax.commands.data import warnings
from s2sjax.commands.run import Run, load, notice
from s2sjax.config import Config, embedding_files
from s2sjax.errors import RunError, UsageError
from s2sjax.inference import summary, vectors, weights
from s2sjax.inference.batches import Watch, nobody
from s2sjax.models.architectures import build_model
from s2sjax.models.embeddings import Vectors
from s2sjax.reporting import trackers
from s2sjax.reporting.console import Console
from s2sjax.reporting.curves import draw_run
from s2sjax.reporting.trackers import Guarded
from s2sjax.runs import directory, provenance, run_files
from s2sjax.runs.checkpoint import CheckpointReader
from s2sjax.runs.directory import RunDirectory
from s2sjax.tasks import Task
from s2sjax.training import interruption, loop, memory
from s2sjax.training.cadence import total_steps
from s2sjax.training.check import check
from s2sjax.training.hosts import Hosts
from s2sjax.training.loop import Ended
from s2sjax.training.observer import Observer, Observers
from s2sjax.training.order import Order

CURVES = "curves.png"

Say = Callable[[str], None]


def train(
    config: experiment.Source | None,
    path: str | os.PathLike[str],
    *,
    overrides: Mapping[str, Any] | None = None,
    init_from: str | os.PathLike[str] | None = None,
    callbacks: Sequence[Observer] = (),
    tracker: str | None = None,
    verbose: bool = False,
) -> Run:
    """Trains a run to its end and tests its best checkpoint, as `s2sjax train` does.

    Where `path` holds this run already it goes on from its last checkpoint, to the bit
    as if it had never stopped; a run that has ended is opened. Ctrl-C, and a notebook's
    interrupt, save and raise KeyboardInterrupt.

    Args:
      config: a `Config`, a dict or ConfigDict of its fields, or the path of an
        experiment file, `FILE[:variant]`; None continues the run in `path`.
      path: where the run is kept.
      overrides: values of fields by dotted name, e.g. `{"train.steps": 100}`.
      init_from: a run or an exported file, whose parameters to begin with.
      callbacks: are told how it goes.
      tracker: who is shown it beside them, as the command line has it: tensorboard,
        mlflow, wandb, FILE.py:name, or several; none; None: those of before.
      verbose: whether to show that on the screen, as the command does.

    Returns:
      The run, at its best checkpoint.

    Raises:
      UsageError: a config that cannot be, or is not that of the run in `path`; nothing
        was written.
      RunError: the loss is not finite, or the disk is full.
    """
    for place, each in enumerate(callbacks):
        if not isinstance(each, Observer):
            raise UsageError(
                f"callbacks[{place}] is of {type(each).__name__}; it is an s2s.Observer"
            )
    asked = (
        None if config is None else experiment.load_config(config, overrides, notice)
    )
    if asked is None and overrides:
        raise UsageError("overrides= needs config=: a run goes on with its own config")
    given = None if init_from is None else os.fspath(init_from)
    agreed, record = directory.agreed_config(path, asked)
    given = beginning(path, given, record)
    hosts = Hosts()
    with environment.precision(agreed.train.precision), contextlib.ExitStack() as stack:
        check(agreed, is_new=not record, draws=given is None)
        observers = [*callbacks, *tracking(path, agreed, tracker)]
        about = described(["s2s.train", str(path)], given)
        run = stack.enter_context(opened(path, asked, about, hosts, notice))
        for each in observers:
            stack.enter_context(contextlib.closing(each))
        with observing(run, observers, verbose=verbose) as observer:
            ended = begin(run, given, observer, hosts, notice, is_new=not record)[1]
        if hosts.signal:
            raise KeyboardInterrupt
        conclude(run, ended, observers, notice)
    return load(run.path)


def described(command: Sequence[str], init_from: str | None) -> dict[str, Any]:
    """What a run keeps of its beginning."""
    began = {} if init_from is None else {"init_from": init_from}
    return {**provenance.describe(command), **began}


def beginning(
    path: str | os.PathLike[str], init_from: str | None, record: Mapping[str, Any]
) -> str | None:
    """What a run begins with; one that goes on can be given nothing else."""
    if not record:
        return init_from
    began: str | None = record.get("init_from")
    if init_from not in (None, began):
        raise UsageError(
            f"init_from={init_from}: path={path} began with {began or 'nothing'}; "
            f"begin another in a new place, e.g. path={places.unused(Path(path))}"
        )
    return began


@contextlib.contextmanager
def opened(
    path: str | os.PathLike[str],
    config: Config | None,
    about: dict[str, Any],
    hosts: Hosts,
    say: Say,
) -> Iterator[RunDirectory]:
    """The run; process 0 makes it or continues it, the others read it."""
    if not hosts.leads:
        hosts.of_first(0)
        yield directory.open_for_reading(path)
        return
    with directory.open_for_training(
        path, config, environment=about, check_data=tasks.check_sources, say=say
    ) as run:
        yield run


def tracking(
    path: str | os.PathLike[str], config: Config, tracker: str | None
) -> list[Guarded]:
    """The trackers of a run, none of which has begun; None: those of before.

    Raises:
      UsageError: one is unknown, or not installed.
    """
    tracked = trackers.TrackedRun(run_files.checked_path(path), config)
    return trackers.create(tracker or trackers.remembered(tracked.path), tracked)


@contextlib.contextmanager
def observing(
    run: RunDirectory, observers: Sequence[Observer], *, verbose: bool
) -> Iterator[Observer]:
    """All that are told how a run goes; trackers say on the screen where they fail."""
    guarded = [each for each in observers if isinstance(each, Guarded)]
    with contextlib.ExitStack() as stack:
        shown: list[Observer] = []
        message = notice
        if verbose:
            console = Console(metric=run.config.train.metric_name)
            shown = [stack.enter_context(console)]
            message = console.message
        for each in guarded:
            each.say = message
        yield Observers([*shown, *observers])
    for each in guarded:
        each.say = notice


def begin(
    run: RunDirectory,
    init_from: str | None,
    observer: Observer,
    hosts: Hosts,
    say: Say,
    *,
    is_new: bool,
) -> tuple[Task, Ended]:
    """Trains an open run; one that cannot begin leaves nothing behind."""
    try:
        try:
            task = tasks.create(run.config, run.data)
        except UsageError:  # its files are gone
            over = loop.ended(run)
            if over is None or not hosts.leads:
                raise
            return tasks.load(run.config, run.data), over
        total_steps(run.config, Order.of(run.config, task))
        memory.check(run.config, task)
        params, known = _beginning(run, task, init_from, hosts, say)
        if hosts.leads:
            for line in (*task.notes, *(warnings(run.config, task) if is_new else ())):
                say(line)
            hosts.of_first(0)  # the run and its data are there to be read
        with interruption.watch() as signals:
            ended = loop.train(run, task, observer, signals, params, known, hosts)
    except BaseException:  # an interruption too
        if is_new and hosts.leads:
            directory.discard_unless_begun(run)
        raise
    return task, ended


def conclude(
    run: RunDirectory,
    ended: Ended,
    observers: Sequence[Observer],
    say: Say,
    watch: Watch = nobody,
) -> dict[str, Any]:
    """Draws the curves of a run and tests its best checkpoint; the test's numbers."""
    curves = run.path / CURVES
    for each in observers:
        if isinstance(each, Guarded):
            each.say = say
    if ended.trained or not curves.is_file():
        best = ended.progress.best_step
        try:
            draw_run(run.path, best if best >= 0 else None)
        except RunError as error:  # the run itself is done and saved
            say(str(error))
        if curves.is_file():
            Observers(observers).drawn(curves)
    try:
        result = run_files.read_test(run.path)
    except UsageError as error:
        say(f"{error}; the best checkpoint is evaluated again")
        result = {}
    if result.get("step") != ended.progress.best_step:
        result = load(run.path, say=say, watch=watch).evaluate("test")
        # How far one comes without a model is nothing that the run came to.
        of_run = {n: v for n, v in result.items() if n != "baselines"}
        summary.write(run.path, of_run)
    Observers(observers).tested(result)
    return result


def _beginning(
    run: RunDirectory, task: Task, init_from: str | None, hosts: Hosts, say: Say
) -> tuple[Any, dict[str, Vectors] | None]:
    """The parameters that a run begins with, or what is known of those it draws."""
    if CheckpointReader(run.checkpoints, metric_better="max").steps():
        return None, None
    config = run.config
    if init_from is None:
        read = vectors.read(config, task, run_files.shared(run.path))
        if read and hosts.leads:
            noted = {f"model.{field}": each.noted for field, each in read.items()}
            run_files.note_embeddings(run.path, noted)
            for each in read.values():
                say(each.note)
        return None, vectors.of_fields(read)
    for field in embedding_files(config) if hosts.leads else ():
        say(f"{field} is not read: all parameters are those of init_from={init_from}")
    model = build_model(config, *task.sides)
    wanted = jax.eval_shape(lambda: model.init(rng.root(0)))
    return weights.read_params(init_from, wanted), None

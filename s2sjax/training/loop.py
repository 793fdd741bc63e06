"""The training loop: the only file with a clock.

What happens depends on the step alone; the clock only chooses how many steps go into
a dispatch, which never changes a result.
"""

import dataclasses
import functools
import os
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax import metrics
from s2sjax.config import Config
from s2sjax.decoding.strategies import decoding
from s2sjax.errors import Problems, RunError, UsageError
from s2sjax.inference.evaluate import chosen, long_ones, outcomes, size, spread
from s2sjax.inference.summary import measured
from s2sjax.inference.system import System
from s2sjax.models.seq2seq import Seq2Seq, build_model, parameter_count
from s2sjax.runs import journal, logged
from s2sjax.runs.checkpoint import CheckpointReader, Checkpoints, NoCheckpoint, Restored
from s2sjax.runs.directory import RunDirectory
from s2sjax.runs.journal import Journal
from s2sjax.runs.progress import Progress
from s2sjax.schema import COUNT
from s2sjax.tasks.task import Task
from s2sjax.training.devices import Placement
from s2sjax.training.dispatch import Dispatch
from s2sjax.training.feeding import feeding
from s2sjax.training.hosts import Hosts
from s2sjax.training.interruption import Signals
from s2sjax.training.objectives import objective
from s2sjax.training.observer import Observer
from s2sjax.training.optimizer import optimizer, schedule
from s2sjax.training.order import Order
from s2sjax.training.recipe import recipe
from s2sjax.training.state import Numbers, TrainState, first_state, numbers
from s2sjax.types import SYMBOLS

Ranks = tuple[()] | tuple[float, float]  # metric and nll of an evaluation, if any

DISPATCH_SECONDS = 0.5  # a dispatch is sized to this, so that signals are heard


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a run ended."""

    step: int
    progress: Progress
    reason: str  # "done", "patience", or "signal"
    trained: bool  # False where there was nothing left to do


def total_steps(config: Config, order: Order) -> int:
    """The steps of a run.

    Raises:
      UsageError: epochs of an endless training set, or more steps than are counted.
    """
    if config.train.steps is not None:
        return config.train.steps
    if order.steps_per_epoch is None:
        raise UsageError(
            f"train.epochs={config.train.epochs} needs a finite training set; "
            f"set task.num_train, or train.steps"
        )
    assert config.train.epochs is not None
    steps = config.train.epochs * order.steps_per_epoch
    if steps > COUNT:
        raise UsageError(
            f"train.epochs={config.train.epochs} of {order.steps_per_epoch} steps each "
            f"are more than {COUNT} steps"
        )
    return steps


def training_order(config: Config, task: Task) -> Order:
    """The order in which a run goes through its training examples."""
    sizes = tuple(bucket.size for bucket in task.buckets["train"])
    train = config.train
    return Order(sizes, train.batch_size, train.bucket_run, config.seed)


def check(config: Config) -> None:
    """Tries what a config names, before data are read or anything is written.

    Raises:
      UsageError: kinds of a model, optimisers, schedules or strategies that are unknown
        or impossible.
    """
    problems = Problems()
    for attempt in (
        lambda: build_model(config, SYMBOLS, SYMBOLS),
        lambda: metrics.check(config.train.metric),
        lambda: objective(config.train.objective),
        lambda: feeding(config.train),
        lambda: schedule(config.train, config.train.steps or 1),
        lambda: decoding(config.decode.strategy),
    ):
        with problems:
            attempt()
    with problems:
        _check_optimizer(config)
    problems.tell()


def _check_optimizer(config: Config) -> None:
    def update(weights: jax.Array) -> Any:
        transformation = optimizer(config.train, jnp.float32(0.1))
        return transformation.update(weights, transformation.init(weights), weights)

    try:
        jax.eval_shape(update, jnp.zeros((2, 2)))
    except UsageError:
        raise
    except Exception as error:  # whatever optax says of its arguments
        raise UsageError(
            f"train.optimizer={config.train.optimizer} cannot be used: {error}"
        ) from None


def ended(run: RunDirectory) -> Ended | None:
    """How a run ended that needs no more training; None where it does, or may.

    It tells from the directory alone, without the training examples.
    """
    train = run.config.train
    reader = CheckpointReader(run.checkpoints, metric_better="max")
    last = reader.last()
    if last is None:
        return None
    progress = Progress.from_json(last.progress)
    if train.patience and progress.waited >= train.patience:
        return Ended(last.step, progress, "patience", trained=False)
    lines = [line for line in journal.read(run.metrics) if line.get("kind") == "train"]
    epoch = lines[-1].get("epoch", 0) if lines else 0
    goal = epoch >= train.epochs if train.epochs else last.step >= (train.steps or 0)
    if goal and progress.evaluated == last.step:
        return Ended(last.step, progress, "done", trained=False)
    return None


def train(
    run: RunDirectory,
    task: Task,
    observer: Observer,
    signals: Signals,
    params: Any = None,
    hosts: Hosts | None = None,
) -> Ended:
    """Trains a run to its end, or until a signal; starts or continues it.

    Args:
      run: open for training.
      task: where the examples come from.
      observer: is told how it goes.
      signals: the first one makes the loop save and stop.
      params: the parameters to begin with, for a run that has no checkpoint yet;
        they are evaluated at step 0, and are the best until others are better.
      hosts: the processes that train it together; None: this one alone.

    Raises:
      RunError: the loss is not finite, or the disk is full.
    """
    loop = _Loop(run, task, observer, hosts or Hosts())
    # Restoring cuts the journal back to the checkpoint, so it is opened after.
    state, progress = loop.restore(params)
    path = run.metrics if loop.hosts.leads else Path(os.devnull)
    with Journal(path, progress.mark) as journal:
        ended = loop.run(state, progress, journal, signals)
    loop.hosts.of_first(0)  # what process 0 wrote last is written
    return ended


class _Loop:
    def __init__(self, run: RunDirectory, task: Task, observer: Observer, hosts: Hosts):
        self.config = run.config
        self.task = task
        self.observer = observer
        self.hosts = hosts
        self.placement = Placement.of()
        self.model: Seq2Seq = build_model(
            self.config, len(task.source_vocabulary), len(task.target_vocabulary)
        )
        self.order = training_order(self.config, task)
        self.steps = total_steps(self.config, self.order)
        self.numbers: Numbers = self.placement.whole(numbers(self.config))
        self.stores = [
            self.placement.whole(bucket.store) for bucket in task.buckets["train"]
        ]
        self.valid = chosen(task.buckets["valid"], self.config.train.valid_examples)
        self.seconds_per_step: dict[int, float] = {}
        self.compiled: set[int] = set()
        self.run_directory = run
        kind = Checkpoints if hosts.leads else CheckpointReader
        self.checkpoints: CheckpointReader = kind(
            run.checkpoints,
            metric_better=metrics.metric(self.config.train.metric).better,
            say=observer.said,
        )

    def run(
        self, state: TrainState, progress: Progress, journal: Journal, signals: Signals
    ) -> Ended:
        step = begun = int(state.step)
        stop = self.hosts.heard(signals)
        if not self._reason(step, progress, stop):
            self.observer.started(step, self.steps, self._about(state))
            self._say_what_is_evaluated(state)
        # The order matters: evaluate, save, stop, train. A run that is continued
        # enters here with what was saved, and does next what it would have done.
        state = self.placement.whole(state)
        while True:
            ranks: Ranks = ()
            if self._evaluation_is_due(step, progress) and not stop:
                ranks, progress = self._evaluate(step, state, progress, journal)
                stop = self.hosts.heard(signals)
            reason = self._reason(step, progress, stop)
            if reason or ranks or self._save_is_due(step, progress):
                self._save(step, state, progress, ranks)
            if reason:
                if step > begun:
                    self.observer.ended(step, reason)
                return Ended(step, progress, reason, step > begun)
            state, step, progress = self._dispatch(step, state, progress, journal)
            stop = self.hosts.heard(signals)

    def restore(self, params: Any) -> tuple[TrainState, Progress]:
        restored = self._restored()
        if restored is None:
            if self.run_directory.metrics.exists():
                self.observer.said("no checkpoint is left; training begins at step 0")
            # What others have trained is evaluated as it came; a first draw is not.
            begun = Progress(evaluated=0 if params is None else -1)
            progress = self._truncate(-1, begun)
            if params is not None:
                params = jax.tree.map(jnp.asarray, params)
            return self._first_state(params), progress
        progress = Progress.from_json(restored.progress)
        return restored.state, self._truncate(restored.step, progress)

    def _first_state(self, params: Any = None) -> TrainState:
        chosen = recipe(self.config.train, self.steps)
        return first_state(self.model, chosen, numbers(self.config), params)

    def _restored(self) -> Restored | None:
        """The last checkpoint; for every process the one that process 0 has."""
        target = jax.eval_shape(self._first_state)
        if not self.hosts.leads:
            step = int(self.hosts.of_first(-1))
            return self.checkpoints.restore(target, step) if step >= 0 else None
        try:
            restored = self.checkpoints.restore(target, "last")
        except NoCheckpoint:
            restored = None
        self.hosts.of_first(-1 if restored is None else restored.step)
        return restored

    def _truncate(self, step: int, progress: Progress) -> Progress:
        """Cuts the journal back to a checkpoint; the progress, with the mark of it."""
        if not self.hosts.leads:
            return progress
        return logged.cut_back(
            self.run_directory.metrics, step, progress, self.observer.said
        )

    def _save(
        self, step: int, state: TrainState, progress: Progress, ranks: Ranks
    ) -> None:
        if isinstance(self.checkpoints, Checkpoints):
            arrays = self.placement.local(state)
            self.checkpoints.save(step, arrays, progress.to_json(), *ranks)

    def _about(self, state: TrainState) -> str:
        numbers = f"{parameter_count(state.params):,} parameters"
        device = jax.devices()[0]
        count = f"{self.placement.size} x " if self.placement.size > 1 else ""
        return f"{numbers} on {count}{device.platform} ({device.device_kind})"

    def _say_what_is_evaluated(self, state: TrainState) -> None:
        count, of = size(self.valid), size(self.task.buckets["valid"])
        if count < of:
            self.observer.said(
                f"evaluations while training are on {count:,} of {of:,} validation "
                f"examples, the same ones every time (train.valid_examples)"
            )
        system = System.of(self.model, self.config, state.params)
        long = long_ones(system, self.valid)
        if long:
            self.observer.said(f"validation: {long}")

    def _reason(self, step: int, progress: Progress, stop: bool) -> str:
        patience = self.config.train.patience
        if patience and progress.waited >= patience:
            return "patience"
        if step >= self.steps and progress.evaluated == step:
            return "done"
        return "signal" if stop else ""

    def _evaluation_is_due(self, step: int, progress: Progress) -> bool:
        due = step % self.config.train.eval_every == 0
        return (due or step >= self.steps) and progress.evaluated < step

    def _save_is_due(self, step: int, progress: Progress) -> bool:
        return step % self.config.train.save_every == 0

    def _dispatch(
        self, step: int, state: TrainState, progress: Progress, journal: Journal
    ) -> tuple[TrainState, int, Progress]:
        chunk = self.order.chunk(step, self.config.train.steps_per_dispatch)
        bucket = self.task.buckets["train"][chunk.bucket]
        count = self._count(step, chunk.bucket, len(chunk.rows))
        count = int(self.hosts.of_first(count))  # it depends on the clock
        rows = np.full(
            (self.config.train.steps_per_dispatch, self.config.train.batch_size),
            -1,
            np.int32,
        )
        rows[:count] = chunk.rows[:count]
        if chunk.bucket not in self.compiled:
            self.observer.compiling(self._program(chunk.bucket))
        start = time.perf_counter()
        state, reported, param_norm = self.placement.run_steps(
            self.model,
            self._static(),
            self.steps,
            bucket.fetch,
            state,
            self.numbers,
            self.stores[chunk.bucket],
            self.placement.rows(rows),
            self.placement.whole(jnp.int32(count)),
        )
        reported, param_norm = self.placement.local((reported, param_norm))
        jax.block_until_ready(reported)
        seconds = time.perf_counter() - start
        if chunk.bucket in self.compiled:
            self.seconds_per_step[chunk.bucket] = seconds / count
        self.compiled.add(chunk.bucket)
        reported = jax.tree.map(lambda column: np.asarray(column)[:count], reported)
        dispatch = Dispatch(reported, float(param_norm), seconds)
        self._check_finite(step, dispatch)
        progress = dispatch.added_to(progress)
        step += count
        self.observer.advanced(
            step, float(reported.loss[-1] / max(reported.tokens[-1], 1))
        )
        if step % self.config.train.log_every == 0 or step == self.steps:
            values = dispatch.line(progress, self.order.epoch(step))
            journal.write(step, {"kind": "train", **values})
            self.observer.logged(step, values)
            progress = progress.logged().marked(journal.mark)
        return state, step, progress

    def _program(self, index: int) -> str:
        """The program that trains on a bucket, for a person who waits for it."""
        buckets = self.task.buckets["train"]
        return (
            f"the step for {self.config.train.batch_size:,} sources to "
            f"{buckets[index].source_width:,} symbols"
            + f" (length bucket {index + 1} of {len(buckets)})"
            * (len(buckets) > 1)
        )

    def _static(self) -> Config:
        """The config as the compiled step sees it: what is traced or unused there
        is left out, so that it does not compile anew."""
        return dataclasses.replace(self.config, seed=0)

    def _count(self, step: int, bucket: int, available: int) -> int:
        train = self.config.train
        edges = [
            every - step % every
            for every in (train.log_every, train.eval_every, train.save_every)
        ]
        pace = self.seconds_per_step.get(bucket)
        paced = 1 if pace is None else max(1, int(DISPATCH_SECONDS / max(pace, 1e-9)))
        return min(available, self.steps - step, paced, *edges)

    def _evaluate(
        self, step: int, state: TrainState, progress: Progress, journal: Journal
    ) -> tuple[Ranks, Progress]:
        params = self.placement.local(state.params)
        system = System.of(self.model, self.config, params)
        passed = functools.partial(self.observer.evaluating, step)
        results, sources = outcomes(system, self.valid, passed=passed)
        values = measured(self.task, results)
        metric = self.config.train.metric
        # On other hosts the last bit may differ, and patience must not.
        for name in dict.fromkeys((metric, "nll")):
            values[name] = self.hosts.of_first(values[name])
        before, progress = progress, progress.after_evaluation(step, metric, values)
        journal.write(step, {"kind": "valid", **values})
        samples = spread(self.task, self.config.train.samples, results, sources)
        if samples:
            journal.write(step, {"kind": "samples", "samples": samples})
        progress = progress.marked(journal.mark)
        better = progress.improves_on(before)
        self.observer.evaluated(step, values, samples, better)
        return (values[metric], values["nll"]), progress

    def _check_finite(self, step: int, dispatch: Dispatch) -> None:
        error = dispatch.divergence(step)
        if error:
            good = max(self.checkpoints.steps(), default=0)
            raise RunError(
                f"{error}; the last good checkpoint is step {good}; try, in a new "
                f"path, a lower train.learning_rate, train.clip_norm=1.0 or a "
                f"warm-up, e.g. train.schedule=cosine:warmup=100"
            )

"""The training loop of one run: the only file with a clock, beside that of replicas.

What happens depends on the step alone; the clock only chooses how many steps go into
a dispatch, which never changes a result.
"""

import dataclasses
import functools
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax import metrics
from s2sjax.config import Config
from s2sjax.errors import Problems, RunError, UsageError
from s2sjax.inference.evaluate import chosen, long_ones, outcomes, size
from s2sjax.inference.load import check_strategy
from s2sjax.inference.system import System
from s2sjax.models.architectures import build_model, check_kinds
from s2sjax.models.embeddings import Vectors
from s2sjax.models.labeller import Aligned
from s2sjax.models.readout import readout_of
from s2sjax.models.seq2seq import parameter_count
from s2sjax.runs import journal
from s2sjax.runs.checkpoint import CheckpointReader, Checkpoints, NoCheckpoint, Restored
from s2sjax.runs.directory import RunDirectory
from s2sjax.runs.progress import Progress
from s2sjax.tasks.task import Bucket, Fetch, Part, Task
from s2sjax.training.book import Book, Dispatch
from s2sjax.training.devices import FILLER, Placement
from s2sjax.training.feeding import feeding
from s2sjax.training.hosts import Hosts
from s2sjax.training.interruption import Signals
from s2sjax.training.objectives import objective
from s2sjax.training.objectives.weights import symbol_weights
from s2sjax.training.observer import Observer
from s2sjax.training.optimizer import optimizer, schedule
from s2sjax.training.order import Chunk
from s2sjax.training.recipe import recipe
from s2sjax.training.state import TrainState, first_state, numbers
from s2sjax.training.step import Program, Work

Ranks = tuple[()] | tuple[float, float]  # metric and nll of an evaluation, if any


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a run ended."""

    step: int
    progress: Progress
    reason: str  # "done", "patience", or "signal"
    trained: bool  # False where there was nothing left to do


def check(config: Config) -> None:
    """Tries what a config names, before data are read or anything is written.

    Raises:
      UsageError: kinds of a model, optimisers, schedules or strategies that are unknown
        or impossible.
    """
    problems = Problems()
    for attempt in (
        lambda: check_kinds(config.model),
        lambda: metrics.check(config.train.metric, config.task.of_numbers),
        lambda: objective(config.train.objective, readout_of(config)),
        lambda: feeding(config.train, readout_of(config)),
        lambda: schedule(config.train, config.train.steps or 1),
        lambda: check_strategy(config),
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
    vectors: Mapping[str, Vectors] | None = None,
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
      vectors: that its first draw has in embeddings; see `first_state`.
      hosts: the processes that train it together; None: this one alone.

    Raises:
      RunError: the loss is not finite, or the disk is full.
    """
    loop = _Loop(run, task, observer, hosts or Hosts())
    ended = loop.run(loop.restore(params, vectors), signals)
    loop.hosts.of_first(0)  # what process 0 wrote last is written
    return ended


class _Loop:
    def __init__(self, run: RunDirectory, task: Task, observer: Observer, hosts: Hosts):
        self.config, self.task = run.config, task
        self.observer, self.hosts = observer, hosts
        self.placement = Placement.of()
        self.book = Book(run.path, run.config, task, observer, hosts)
        self.model = build_model(self.config, *task.sides)
        self.recipe = recipe(
            self.config.train, self.book.cadence.steps, self.model.readout
        )
        weights = symbol_weights(
            self.config.train.symbol_weights, task.target_vocabulary
        )
        self.numbers = self.placement.whole(
            numbers(self.config, symbol_weights=weights)
        )
        self.stores = [
            self.placement.whole(bucket.store) for bucket in task.buckets["train"]
        ]
        self.valid = chosen(task.buckets["valid"], self.config.train.valid_examples)
        self.paces: dict[int, float | None] = {}  # seconds per step of each bucket
        kind = Checkpoints if hosts.leads else CheckpointReader
        self.checkpoints: CheckpointReader = kind(
            run.checkpoints,
            metric_better=metrics.metric(self.config.train.metric_name).better,
            say=observer.message,
        )

    def run(self, state: TrainState, signals: Signals) -> Ended:
        book, begun = self.book, self.book.step
        stop = self.hosts.heard(signals)
        if not (book.end or stop):
            self.observer.started(begun, book.cadence.steps, self._about(state))
            self._report_what_is_evaluated(state)
        # The order matters: evaluate, save, stop, train. A run that is continued
        # enters here with what was saved, and does next what it would have done.
        state = self.placement.whole(state)
        while True:
            ranks: Ranks = ()
            if book.evaluates and not stop:
                ranks = self._evaluate(state)
                stop = self.hosts.heard(signals)
            reason = book.end or ("signal" if stop else "")
            if reason or ranks or book.saves:
                self._save(state, ranks)
            if reason:
                if book.step > begun:
                    self.observer.ended(book.step, reason)
                return Ended(book.step, book.progress, reason, book.step > begun)
            state = self._train(state)
            stop = self.hosts.heard(signals)

    def restore(self, params: Any, vectors: Mapping[str, Vectors] | None) -> TrainState:
        """The state of the last checkpoint or of the start; opens the book there."""
        restored, report = self._restored(), self.observer.message
        if restored is not None:
            progress = Progress.from_json(restored.progress)
            self.book.begin(restored.step, progress, report)
            return restored.state
        if self.book.journal.exists():
            report("no checkpoint is left; training begins at step 0")
        # What others have trained is evaluated as it came; a first draw is not.
        self.book.begin(-1, Progress(evaluated=0 if params is None else -1), report)
        return self._first_state(params, vectors)

    def _first_state(
        self, params: Any = None, vectors: Mapping[str, Vectors] | None = None
    ) -> TrainState:
        given = jax.tree.map(jnp.asarray, (params, vectors))
        state = first_state(self.model, self.recipe, numbers(self.config), *given)
        if not self.config.train.tbptt:
            return state
        assert isinstance(self.model, Aligned)
        return state._replace(carried=self.model.start(self.config.train.batch_size))

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

    def _save(self, state: TrainState, ranks: Ranks) -> None:
        if isinstance(self.checkpoints, Checkpoints):
            arrays = self.placement.local(state)
            progress = self.book.progress.to_json()
            self.checkpoints.save(self.book.step, arrays, progress, *ranks)

    def _about(self, state: TrainState) -> str:
        numbers = f"{parameter_count(state.params):,} parameters"
        device = jax.devices()[0]
        count = f"{self.placement.size} x " if self.placement.size > 1 else ""
        return f"{numbers} on {count}{device.platform} ({device.device_kind})"

    def _report_what_is_evaluated(self, state: TrainState) -> None:
        count, of = size(self.valid), size(self.task.buckets["valid"])
        if count < of:
            self.observer.message(
                f"evaluations while training are on {count:,} of {of:,} validation "
                f"examples, the same ones every time (train.valid_examples)"
            )
        system = System.of(self.model, self.config, state.params)
        long = long_ones(system, self.valid)
        if long:
            self.observer.message(f"validation: {long}")

    def _train(self, state: TrainState) -> TrainState:
        """Some steps, as many as go into one call, taken in by the book."""
        book, train = self.book, self.config.train
        chunk = book.order.chunk(book.step, train.steps_per_dispatch)
        index, is_first = chunk.bucket, chunk.bucket not in self.paces
        pace = self.paces.get(index)
        count = book.cadence.count(book.step, len(chunk.rows), pace)
        count = int(self.hosts.of_first(count))  # it depends on the clock
        rows = np.full((train.steps_per_dispatch, train.batch_size), FILLER, np.int32)
        rows[:count] = chunk.rows[:count]
        if is_first:
            self.observer.compiling(self._shapes(index))
        start = time.perf_counter()
        state, reported, norm = self.placement.run_steps(
            Program(self.model, self.recipe, *self._fetches(index)),
            state,
            Work(
                self.numbers,
                self.stores[index],
                self.placement.rows(rows),
                self.placement.whole(jnp.int32(count)),
                self._windows(chunk),
            ),
        )
        reported, norm = self.placement.local((reported, norm))
        jax.block_until_ready(reported)
        seconds = time.perf_counter() - start
        self.paces[index] = None if is_first else seconds / count
        reported = jax.tree.map(lambda column: np.asarray(column)[:count], reported)
        error = book.advance(Dispatch(reported, float(norm), seconds))
        if error:
            good = max(self.checkpoints.steps(), default=0)
            raise RunError(
                f"{error}; the last good checkpoint is step {good}; try, in a new "
                f"path, a lower train.learning_rate, train.clip_norm=1.0 or a "
                f"warm-up, e.g. train.schedule=cosine:warmup=100"
            )
        return state

    def _fetches(self, index: int) -> tuple[Fetch, Part | None]:
        bucket = self._bucket(index)
        return bucket.fetch, bucket.part if self.config.train.tbptt else None

    def _windows(self, chunk: Chunk) -> jax.Array | None:
        """Which window of its examples each step takes."""
        if not self.config.train.tbptt:
            return None
        numbers = np.zeros(self.config.train.steps_per_dispatch, np.int32)
        numbers[: len(chunk.windows)] = chunk.windows
        return jnp.asarray(numbers)

    def _evaluate(self, state: TrainState) -> Ranks:
        params = self.placement.local(state.params)
        system = System.of(self.model, self.config, params)
        passed = functools.partial(self.observer.evaluating, self.book.step)
        values = self.book.evaluate(*outcomes(system, self.valid, passed=passed))
        metric = values[self.config.train.metric_name]
        return metric, values.get("nll", metric)

    def _bucket(self, index: int) -> Bucket:
        return self.task.buckets["train"][index]

    def _shapes(self, index: int) -> str:
        """The program that trains on a bucket, for a person who waits for it."""
        count = len(self.task.buckets["train"])
        return (
            f"the step for {self.config.train.batch_size:,} sources to "
            f"{self._bucket(index).source_width:,} symbols"
            + f" (length bucket {index + 1} of {count})"
            * (count > 1)
        )

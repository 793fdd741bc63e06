"""The training loop of a group's replicas: `training.loop`, for many runs at once.

What happens to a replica depends on its own steps alone, so that none of its numbers
depend on its neighbours. All that are still in training are at the same step; those
that have ended stay where they are and take no more.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.inference import vectors
from s2sjax.inference.evaluate import Evaluated, chosen
from s2sjax.inference.system import System
from s2sjax.models.architectures import build_model
from s2sjax.models.embeddings import Vectors
from s2sjax.runs import run_files
from s2sjax.runs.checkpoint import Checkpoints, NoCheckpoint
from s2sjax.runs.progress import Progress
from s2sjax.sweeps.batched import programs, stored_group
from s2sjax.sweeps.batched.programs import Layout
from s2sjax.sweeps.batched.replica import Replica
from s2sjax.sweeps.batched.stored_group import StoredGroup
from s2sjax.tasks.stored import joined
from s2sjax.tasks.task import Bucket
from s2sjax.training.book import Dispatch
from s2sjax.training.devices import FILLER
from s2sjax.training.objectives.weights import symbol_weights
from s2sjax.training.recipe import recipe
from s2sjax.training.state import Numbers, TrainState, numbers
from s2sjax.training.step import Program, Work


@dataclasses.dataclass(frozen=True)
class Callbacks:
    """What the loop asks and reports."""

    stop: Callable[[], bool]  # whether a signal has come
    passed: Callable[[], None]  # a dispatch has
    failed: Callable[[Replica, str], None]
    tested: Callable[[Replica], None]
    prunes: Callable[[Replica], bool]  # whether to give one up
    pruned: Callable[[Replica], None]  # it is saved; called again after a restart
    message: Callable[[str], None]  # a line for a person


class ReplicaLoop:
    """A group in training.

    Args:
      group: who is in it.
      widest: the config whose arrays hold those of every replica.
      replicas: in the group's order; those that have ended already are marked so.
      callbacks: see there.
    """

    def __init__(
        self,
        group: StoredGroup,
        widest: Config,
        replicas: list[Replica],
        callbacks: Callbacks,
    ):
        self.group, self.replicas, self.callbacks = group, replicas, callbacks
        # What is traced is left out, so that groups that differ in it compile once.
        self.config = dataclasses.replace(widest, seed=0)
        self.layout = Layout.of(group.size)
        filler = [replicas[0]] * (group.size - len(replicas))
        self._all = [*replicas, *filler]
        tasks = [replica.book.task for replica in replicas]
        sides = zip(*(task.sides for task in tasks), strict=True)
        self.model = build_model(self.config, *map(max, sides))
        self.cadence = replicas[0].book.cadence
        self.recipe = recipe(widest.train, self.cadence.steps, self.model.readout)
        self.numbers: Numbers = self.layout.place(self._numbers())
        self.buckets = {split: self._bucket(split) for split in tasks[0].buckets}
        self.checkpoints = Checkpoints(
            group.checkpoints, metric_better="max", say=callbacks.message
        )
        self.pace: float | None = None  # seconds per step
        self.compiled: set[bool] = set()  # programs of all, and of those that run
        self.saves = 0

    def run(self) -> None:
        """Trains to the end of every replica, or until a signal.

        Raises:
          UsageError: the checkpoint is of other trials.
          RunError: the disk is full.
        """
        state, best = self._restore()
        # The order is that of a run alone: evaluate, save, stop, train.
        while True:
            running, evaluated = self._running(), False
            if any(each.book.evaluates for each in running):
                results = self._outcomes(state.params, "valid")
                evaluated = results is not None
                if results is not None:
                    best = self._evaluate(results, state.params, best)
            for replica in running:
                replica.ended = replica.book.end
                if evaluated and not replica.ended and self.callbacks.prunes(replica):
                    replica.ended = "pruned"
            stop = self.callbacks.stop() or not self._running()
            if running and (stop or evaluated or running[0].book.saves):
                self._save(state, best)
            self._report_pruned()
            if stop:
                break
            state = self._train(state)
        if not self._running():
            self._test(state, best)

    def _running(self) -> list[Replica]:
        return [replica for replica in self.replicas if not replica.ended]

    def _report_pruned(self) -> None:
        """Once the checkpoint says so: it has what the trial was given up with."""
        for replica in self.replicas:
            if replica.ended == "pruned":
                self.callbacks.pruned(replica)

    def _bucket(self, split: str) -> Bucket:
        """The buckets of all replicas as one; the widths are the largest."""
        most = self.config.train.valid_examples if split == "valid" else 0
        buckets = [
            joined(chosen(each.book.task.buckets[split], most)) for each in self._all
        ]
        widest = max(buckets, key=lambda bucket: bucket.source_width)
        store = self.layout.place(programs.stack([bucket.store for bucket in buckets]))
        target_width = max(bucket.target_width for bucket in buckets)
        return dataclasses.replace(widest, target_width=target_width, store=store)

    def _numbers(self) -> Numbers:
        """Those of each replica; where vocabularies differ, their sizes too."""
        known = [replica.book.task.target_vocabulary for replica in self._all]
        padded = len(set(map(len, known))) > 1
        return programs.stack(
            [
                numbers(
                    replica.trial.config,
                    len(own) if padded else None,
                    symbol_weights(replica.trial.config.train.symbol_weights, own),
                )
                for replica, own in zip(self._all, known, strict=True)
            ]
        )

    def _restore(self) -> tuple[TrainState, Any]:
        """The state and the best parameters, from the last checkpoint or the start."""

        def start(vectors: dict[str, Vectors] | None = None) -> TrainState:
            return programs.first_states(
                self.layout, self.model, self.recipe, self.numbers, vectors
            )

        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=self.layout.sharding
            ),
            jax.eval_shape(start),
        )
        report = self.callbacks.message
        try:
            target = {"state": shapes, "best": shapes.params}
            restored = self.checkpoints.restore(target, "last")
        except NoCheckpoint:
            for replica in self._running():
                replica.book.begin(-1, Progress(evaluated=0), report)
            state = start(self._vectors())
            # A copy: the state's own parameters are given away to the next step.
            return state, jax.tree.map(jnp.copy, state.params)
        self.saves = restored.step + 1
        saved = restored.progress["replicas"]
        pairs = list(zip(self.replicas, saved, strict=False))
        if len(saved) != len(self.replicas) or not all(
            each.is_in(results) for each, results in pairs
        ):
            raise UsageError(
                f"{self.group.path / stored_group.GROUP} is damaged: its trials are "
                f"not those of its checkpoint"
            )
        for replica, results in pairs:
            replica.restore(results, report)
        return restored.state["state"], restored.state["best"]

    def _vectors(self) -> dict[str, Vectors]:
        """What is known of each replica's embeddings."""
        found = []
        for replica in self._all:
            read = vectors.read(replica.trial.config, replica.book.task)
            if read and not replica.ended:
                noted = {f"model.{field}": each.noted for field, each in read.items()}
                run_files.note_embeddings(replica.book.folder, noted)
            found.append(vectors.of_fields(read))
        if read:
            for each in read.values():
                self.callbacks.message(each.note)
        return self.layout.place(programs.stack(found)) if read else {}

    def _save(self, state: TrainState, best: Any) -> None:
        """Saves under a number that counts up: an evaluation changes what is best."""
        progress = {"replicas": [replica.to_json() for replica in self.replicas]}
        self.checkpoints.save(self.saves, {"state": state, "best": best}, progress)
        self.saves += 1

    def _train(self, state: TrainState) -> TrainState:
        """Some steps of all that are in training, taken in by their books."""
        running = self._running()
        step, train = running[0].book.step, self.config.train
        count = self.cadence.count(step, train.steps_per_dispatch, self.pace)
        shape = len(self._all), train.steps_per_dispatch, train.batch_size
        rows = np.full(shape, FILLER, np.int32)
        counts = np.zeros(len(self._all), np.int32)
        for place, replica in enumerate(self.replicas):
            if not replica.ended:
                rows[place, :count] = replica.rows.take(step, count)
                counts[place] = count
        all_run = len(running) == len(self.replicas)
        bucket = self.buckets["train"]
        start = time.perf_counter()
        state, reported, norms = programs.run_steps(
            self.layout,
            Program(self.model, self.recipe, bucket.fetch),
            state,
            Work(
                self.numbers,
                bucket.store,
                self.layout.place(rows),
                self.layout.place(counts),
            ),
            all_run,
        )
        jax.block_until_ready(reported)
        seconds = time.perf_counter() - start
        if all_run in self.compiled:  # the first one compiles
            self.pace = seconds / count
        self.compiled.add(all_run)
        reported, norms = jax.tree.map(np.asarray, (reported, norms))
        for place, replica in enumerate(self.replicas):
            if not replica.ended:
                metrics = jax.tree.map(lambda leaf, r=place: leaf[r, :count], reported)
                each = seconds / len(running)
                error = replica.advance(Dispatch(metrics, float(norms[place]), each))
                if error:
                    self.callbacks.failed(replica, error)
        self.callbacks.passed()
        return state

    def _evaluate(self, results: list[Evaluated], params: Any, best: Any) -> Any:
        """The best parameters after an evaluation."""
        better = np.zeros(len(self._all), bool)
        for place, replica in enumerate(self.replicas):
            if not replica.ended:
                replica.book.evaluate(*results[place])
                better[place] = replica.book.progress.best_step == replica.book.step
        return programs.choose(self.layout, self.layout.place(better), params, best)

    def _test(self, state: TrainState, best: Any) -> None:
        """The best of all that came to their end, on test data."""
        if not any(replica.ended in ("done", "patience") for replica in self.replicas):
            return
        known = [replica.book.progress.best_step >= 0 for replica in self._all]
        which = self.layout.place(np.array(known))
        params = programs.choose(self.layout, which, best, state.params)
        results = self._outcomes(params, "test")
        for replica, result in zip(self.replicas, results or (), strict=False):
            if replica.ended in ("done", "patience"):
                replica.book.test(*result)
                self.callbacks.tested(replica)

    def _outcomes(self, params: Any, split: str) -> list[Evaluated] | None:
        """What becomes of a split's examples; None where a signal came meanwhile."""
        own, bucket = self.numbers, self.buckets[split]
        system = System(
            (self.model,), self.config, (params,), own.get("vocabulary"), own["seed"]
        )
        return programs.outcomes(self.layout, system, bucket, self.callbacks.stop)

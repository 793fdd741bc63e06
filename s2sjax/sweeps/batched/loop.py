"""Trains the trials of one group together: `training.loop`, for many runs at once.

What happens to a trial depends on its own steps alone, so that none of its numbers
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
from s2sjax.inference.evaluate import chosen
from s2sjax.inference.system import System
from s2sjax.metrics import Outcomes
from s2sjax.models.seq2seq import Seq2Seq, build_model
from s2sjax.runs.checkpoint import Checkpoints, NoCheckpoint
from s2sjax.sweeps.batched import programs, stored_group
from s2sjax.sweeps.batched.programs import Layout
from s2sjax.sweeps.batched.replica import Member
from s2sjax.sweeps.batched.stored_group import Membership
from s2sjax.tasks.task import Bucket
from s2sjax.training import loop
from s2sjax.training.dispatch import Dispatch
from s2sjax.training.recipe import recipe
from s2sjax.training.state import Numbers, TrainState, numbers


@dataclasses.dataclass(frozen=True)
class Hooks:
    """What the loop asks and tells."""

    stop: Callable[[], bool]  # whether a signal has come
    passed: Callable[[], None]  # a dispatch has
    failed: Callable[[Member, str], None]
    tested: Callable[[Member], None]
    prunes: Callable[[Member], bool]  # whether one is not worth its end
    pruned: Callable[[Member], None]  # it is so; said again after a restart
    said: Callable[[str], None]


class Together:
    """A group in training.

    Args:
      group: who is in it.
      widest: the config whose arrays hold those of every member.
      members: the trials, in the group's order; those that have ended already are
        marked so.
      hooks: see there.
    """

    def __init__(
        self, group: Membership, widest: Config, members: list[Member], hooks: Hooks
    ):
        self.group, self.members, self.hooks = group, members, hooks
        # What is traced is left out, so that groups that differ in it compile once.
        self.config = dataclasses.replace(widest, seed=0)
        self.train = widest.train
        self.layout = Layout.of(group.size)
        first = members[0]
        self.model: Seq2Seq = build_model(
            self.config,
            max(len(member.task.source_vocabulary) for member in members),
            max(len(member.task.target_vocabulary) for member in members),
        )
        self.steps = loop.total_steps(first.trial.config, first.rows.order)
        filler = [first] * (group.size - len(members))
        self._all = [*members, *filler]
        self.numbers: Numbers = self.layout.place(self._numbers())
        self.buckets = {split: self._bucket(split) for split in first.task.buckets}
        self.checkpoints = Checkpoints(
            group.checkpoints, metric_better="max", say=hooks.said
        )
        self.seconds_per_step: float | None = None
        self.dispatches = 0

    def run(self) -> None:
        """Trains to the end of every member, or until a signal.

        Raises:
          UsageError: the checkpoint is of other trials.
          RunError: the disk is full.
        """
        state, best = self._restore()
        while True:
            evaluated = self._evaluation_is_due() and not self.hooks.stop()
            if evaluated:
                evaluated, best = self._evaluate(state, best)
            step, before = self.step, self._running()
            for member in before:
                member.ended = self._reason(member, asked=evaluated)
            running = self._running()
            stopped = self.hooks.stop() or not running
            due = step % self.train.save_every == 0
            if before and (stopped or evaluated or due):
                self._save(state, best)
            self._tell_pruned()
            if stopped:
                break
            state = self._dispatch(state, step)
        if not self._running():
            self._test(state, best)

    @property
    def step(self) -> int:
        """The step of those that are still in training."""
        return min((member.step for member in self._running()), default=self.steps)

    def _running(self) -> list[Member]:
        return [member for member in self.members if not member.ended]

    def _reason(self, member: Member, *, asked: bool) -> str:
        """Why a member takes no more steps; after an evaluation it may be pruned."""
        patience = self.train.patience
        if patience and member.progress.waited >= patience:
            return "patience"
        if member.step >= self.steps and member.progress.evaluated == member.step:
            return "done"
        return "pruned" if asked and self.hooks.prunes(member) else ""

    def _tell_pruned(self) -> None:
        """Once the checkpoint says so: it has what the trial was given up with."""
        for member in self.members:
            if member.ended == "pruned":
                self.hooks.pruned(member)

    def _evaluation_is_due(self) -> bool:
        step = self.step
        due = step > 0 and step % self.train.eval_every == 0
        waiting = any(member.progress.evaluated < step for member in self._running())
        return (due or step >= self.steps) and waiting

    def _bucket(self, split: str) -> Bucket:
        """The buckets of all members as one; the widths are the largest."""
        most = self.train.valid_examples if split == "valid" else 0
        found = [chosen(each.task.buckets[split], most)[0] for each in self._all]
        widest = max(found, key=lambda bucket: bucket.source_width)
        store = self.layout.place(programs.stack([bucket.store for bucket in found]))
        target_width = max(bucket.target_width for bucket in found)
        return dataclasses.replace(widest, target_width=target_width, store=store)

    def _numbers(self) -> Numbers:
        """Those of each member; where vocabularies differ, their sizes too."""
        sizes = [len(member.task.target_vocabulary) for member in self._all]
        padded = len(set(sizes)) > 1
        return programs.stack(
            [
                numbers(member.trial.config, size if padded else None)
                for member, size in zip(self._all, sizes, strict=True)
            ]
        )

    def _restore(self) -> tuple[TrainState, Any]:
        """The state and the best parameters, from the last checkpoint or the start."""

        def start() -> TrainState:
            chosen = recipe(self.train, self.steps)
            return programs.first_states(self.layout, self.model, chosen, self.numbers)

        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=self.layout.sharding
            ),
            jax.eval_shape(start),
        )
        try:
            target = {"state": shapes, "best": shapes.params}
            restored = self.checkpoints.restore(target, "last")
        except NoCheckpoint:
            self.saves = 0
            for member in self._running():
                member.begin()
            state = start()
            # A copy: the state's own parameters are given away to the next step.
            return state, jax.tree.map(jnp.copy, state.params)
        self.saves = restored.step + 1
        kept = restored.progress["replicas"]
        pairs = list(zip(self.members, kept, strict=False))
        if len(kept) != len(self.members) or not all(m.is_in(its) for m, its in pairs):
            raise UsageError(
                f"{self.group.path / stored_group.GROUP} is damaged: its trials are "
                f"not those of its checkpoint"
            )
        for member, its in pairs:
            over = member.ended
            member.restore(its, self.hooks.said)
            member.ended = member.ended or over
        return restored.state["state"], restored.state["best"]

    def _save(self, state: TrainState, best: Any) -> None:
        """Saves under a number that counts up: an evaluation changes what is best."""
        kept = [member.to_json() for member in self.members]
        tree = {"state": state, "best": best}
        self.checkpoints.save(self.saves, tree, {"replicas": kept})
        self.saves += 1

    def _dispatch(self, state: TrainState, step: int) -> TrainState:
        running = self._running()
        count = self._count(step)
        most, size = self.train.steps_per_dispatch, self.train.batch_size
        rows = np.full((len(self._all), most, size), -1, np.int32)
        counts = np.zeros(len(self._all), np.int32)
        for replica, member in enumerate(self.members):
            if not member.ended:
                rows[replica, :count] = member.rows.take(step, count)
                counts[replica] = count
        bucket = self.buckets["train"]
        start = time.perf_counter()
        state, reported, norms = programs.run_steps(
            self.layout,
            self.model,
            self.config,
            self.steps,
            bucket.fetch,
            state,
            self.numbers,
            bucket.store,
            self.layout.place(rows),
            self.layout.place(counts),
        )
        jax.block_until_ready(reported)
        seconds = time.perf_counter() - start
        if self.dispatches:  # the first one compiles
            self.seconds_per_step = seconds / count
        self.dispatches += 1
        columns, norms = jax.tree.map(np.asarray, (reported, norms))
        for replica, member in enumerate(self.members):
            if not member.ended:
                its = jax.tree.map(lambda leaf, r=replica: leaf[r, :count], columns)
                each = seconds / len(running)
                dispatch = Dispatch(its, float(norms[replica]), each)
                error = member.advanced(dispatch, self.steps)
                if error:
                    self.hooks.failed(member, error)
        self.hooks.passed()
        return state

    def _count(self, step: int) -> int:
        train, pace = self.train, self.seconds_per_step
        edges = [
            every - step % every
            for every in (train.log_every, train.eval_every, train.save_every)
        ]
        paced = 1 if pace is None else max(1, int(loop.DISPATCH_SECONDS / pace))
        return min(train.steps_per_dispatch, self.steps - step, paced, *edges)

    def _evaluate(self, state: TrainState, best: Any) -> tuple[bool, Any]:
        """Whether the evaluation came to its end, and the best parameters after it."""
        found = self._outcomes(state.params, "valid")
        if found is None:
            return False, best
        better = np.zeros(len(self._all), bool)
        for replica, member in enumerate(self.members):
            if not member.ended:
                better[replica] = member.evaluated(*found[replica])
        which = self.layout.place(better)
        return True, programs.choose(self.layout, which, state.params, best)

    def _test(self, state: TrainState, best: Any) -> None:
        """The best of all that came to their end, on test data."""
        if not any(member.ended in ("done", "patience") for member in self.members):
            return
        known = np.array([member.progress.best_step >= 0 for member in self._all])
        params = programs.choose(
            self.layout, self.layout.place(known), best, state.params
        )
        found = self._outcomes(params, "test")
        if found is None:
            return
        for member, (outcomes, sources) in zip(self.members, found, strict=False):
            if member.ended in ("done", "patience"):
                member.tested(outcomes, sources)
                self.hooks.tested(member)

    def _outcomes(
        self, params: Any, split: str
    ) -> list[tuple[Outcomes, list[list[int]]]] | None:
        own, bucket = self.numbers, self.buckets[split]
        system = System(
            (self.model,), self.config, (params,), own.get("vocabulary"), own["seed"]
        )
        return programs.outcomes(self.layout, system, bucket, self.hooks.stop)

"""One compiled program per group of trials, in this process; see `batched.loop`."""

import contextlib
import dataclasses
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import jax
from jax.errors import JaxRuntimeError

from s2sjax import tasks
from s2sjax.config import Config
from s2sjax.errors import RunError, UsageError
from s2sjax.runs import directory, provenance, slices
from s2sjax.sweeps import backends, preflight, trial_files
from s2sjax.sweeps.batched import grouping, stored_group
from s2sjax.sweeps.batched.loop import Hooks, Together
from s2sjax.sweeps.batched.programs import padded_size
from s2sjax.sweeps.batched.replica import Member
from s2sjax.sweeps.batched.stored_group import Membership
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.protocols import Source, Watcher
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.trials import Trial
from s2sjax.training.interruption import Signals

OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"  # as XLA calls it


@dataclasses.dataclass(frozen=True)
class GroupRun:
    """Trains some of the trials of a group; see `batched.run`."""

    group: Membership
    names: set[str]  # of the trials that are left
    sweep: SweepDirectory
    ledger: Ledger
    source: Source
    signals: Signals
    watcher: Watcher

    def run(self) -> list[tuple[Membership, set[str]]]:
        """To the end of every trial, or until a signal.

        Returns:
          The groups to train in place of this one, where it did not fit into memory
          in spite of the estimate; else none.

        Raises:
          RunError: the disk is full.
        """
        try:
            reason = self._train()
        finally:
            running = [t for t in self.group.trials if t.name in self.ledger.running]
            for trial in running:
                self.ledger.pause(trial)
        if not reason or not running:
            return []
        can_be_split = len(self.group.trials) > 1 and not self.group.has_saved
        if OUT_OF_MEMORY in reason and can_be_split:
            return self._split(running, reason)
        for trial in running:
            self._end(trial, self.sweep.of(trial), Result("failed", error=reason))
        return []

    def _train(self) -> str:
        """Why jax gave up; nothing where it did not."""
        widest = grouping.Group(self.group.trials).widest
        try:
            members = self._begin()
            with _precision(widest):
                Together(self.group, widest, members, self._hooks()).run()
        except OSError as error:
            what = f"cannot write to {self.group.path}"
            raise RunError(f"{what}: {error.strerror}") from None
        except JaxRuntimeError as error:
            return str(error).partition("\n")[0]
        return ""

    def _split(
        self, trials: list[Trial], reason: str
    ) -> list[tuple[Membership, set[str]]]:
        """Two groups, from their first step on, in place of this one."""
        half = (len(trials) + 1) // 2
        parts = [part for part in (trials[:half], trials[half:]) if part]
        count = len(self.group.trials)
        self.watcher.said(
            f"{count} trials do not fit into memory together ({reason}); they are "
            f"trained in parts of {half}"
        )
        devices = len(jax.devices())
        made = [
            stored_group.write(self.sweep.path, part, padded_size(len(part), devices))
            for part in parts
        ]
        stored_group.forget(self.group)
        return [(group, {trial.name for trial in group.trials}) for group in made]

    def _begin(self) -> list[Member]:
        environment = provenance.describe(["s2sjax", *sys.argv[1:]])
        members = []
        for replica, trial in enumerate(self.group.trials):
            path = self.sweep.of(trial)
            member = Member.of(trial, path)
            if trial.name not in self.names:
                member.ended = "over"
            else:
                self.ledger.begin(trial)
                trial_files.restore_config(path, trial)
                with directory.open_for_training(
                    path,
                    trial.config,
                    environment=environment,
                    check_data=tasks.check_sources,
                    say=self.watcher.said,
                ):
                    slices.write(path, self.group.checkpoints, replica)
            member.identity = slices.identity(path)
            members.append(member)
        self.ledger.write()  # that they run: compiling takes a while
        return members

    def _hooks(self) -> Hooks:
        return Hooks(
            stop=lambda: self.signals.received is not None,
            passed=self._passed,
            failed=self._failed,
            tested=lambda member: self._over(member, "done"),
            prunes=lambda m: self.source.prunes(m.trial, m.directory),
            pruned=lambda member: self._over(member, "pruned"),
            said=self.watcher.said,
        )

    def _passed(self) -> None:
        self.watcher.passed()
        self.ledger.passed()

    def _over(self, member: Member, status: str) -> None:
        metric = member.trial.config.train.metric
        found = trial_files.measured(member.directory, metric)
        self._end_of(member, Result(status, **found))

    def _failed(self, member: Member, error: str) -> None:
        self._end_of(member, Result("failed", error=error))

    def _end_of(self, member: Member, result: Result) -> None:
        seconds = round(member.progress.seconds, 3)
        result = dataclasses.replace(result, seconds=seconds)
        self._end(member.trial, member.directory, result)

    def _end(self, trial: Trial, directory: Path, result: Result) -> None:
        """Tells a trial's end, once."""
        if trial.name in self.ledger.results:
            return
        result = dataclasses.replace(result, device=trial_files.device(directory))
        self.ledger.end(trial, result)
        self.source.ended(trial, result)
        self.watcher.ended(trial, result)


def _precision(config: Config) -> contextlib.AbstractContextManager[None]:
    """That of the matrix products, as `s2sjax train` sets it for the whole process."""
    if config.train.precision == "default":
        return contextlib.nullcontext()
    return jax.default_matmul_precision(config.train.precision)


PROPOSALS = 8  # of a search at a time, or as many as there are devices


def check(trials: Sequence[Trial]) -> None:
    """Refuses what cannot be trained like this, before anything is written.

    Raises:
      UsageError: a trial whose examples are of several widths, or that is too large
        for the device.
    """
    _check_tasks(trials)
    preflight.fitting(trials)


def proposals() -> int:
    """How many trials of a search are trained at a time: the devices share them."""
    return padded_size(PROPOSALS, len(jax.devices()))


def run(
    sweep: SweepDirectory,
    ledger: Ledger,
    source: Source,
    signals: Signals,
    watcher: Watcher,
    at_once: int | None = None,
) -> None:
    """Trains what a source gives, group by group, in this process.

    Args:
      sweep: where the trials are.
      ledger: is told what becomes of each.
      source: gives them.
      signals: the first one makes the group in training save and end.
      watcher: is told how it goes.
      at_once: trials that are asked for before the first of them is trained; None:
        all that the source has.

    Raises:
      UsageError: a trial that cannot be trained like this.
      RunError: the disk is full.
    """
    trained: set[str] = set()
    try:
        while not signals.received and (asked := _asked(source, at_once)):
            left = [trial for trial in asked if trial.name not in trained]
            _check_tasks(left)
            _check_free(sweep, left)
            waiting = deque(_groups(sweep, ledger, left))
            while waiting and not signals.received:
                group, names = waiting.popleft()
                trained |= names
                to = (sweep, ledger, source, signals, watcher)
                waiting.extendleft(reversed(GroupRun(group, names, *to).run()))
    finally:
        ledger.write()


def _asked(source: Source, most: int | None) -> list[Trial]:
    trials: list[Trial] = []
    while most is None or len(trials) < most:
        trial = source.next()
        if trial is None:
            break
        trials.append(trial)
    return trials


def _check_tasks(trials: Sequence[Trial]) -> None:
    reason = backends.obstacle(trials)
    if reason:
        raise UsageError(f"{reason}; use backend=processes")


def _check_free(sweep: SweepDirectory, trials: Sequence[Trial]) -> None:
    """Refuses trials that another backend began: it has their checkpoints."""
    for trial in trials:
        path = sweep.of(trial)
        if trial_files.has_begun(path):
            raise UsageError(
                f"{path} was begun by another backend; go on with backend=processes"
            )


def _groups(
    sweep: SweepDirectory, ledger: Ledger, trials: Sequence[Trial]
) -> list[tuple[Membership, set[str]]]:
    """The groups that hold some trials, and which of theirs are left: those that were
    begun, then new ones.

    A trial that failed leaves its group, which has nothing for it to go on from. A
    group that was begun goes on with all of its trials, `trials` or not, since they
    take their steps together.
    """
    begun = stored_group.read(sweep.path, sweep.trials)
    home = {trial.name: group for group in begun for trial in group.trials}
    wanted = [home.get(t.name) for t in trials if t.name not in ledger.results]
    found = []
    for group in begun:
        if group in wanted:
            left = {
                trial.name
                for trial in group.trials
                if home[trial.name] is group and trial.name not in ledger.results
            }
            found.append((group, left))
    there = {name for _, names in found for name in names}
    devices = len(jax.devices())
    for new in preflight.fitting([t for t in trials if t.name not in there]):
        size = padded_size(len(new.trials), devices)
        group = stored_group.write(sweep.path, new.trials, size)
        found.append((group, {trial.name for trial in new.trials}))
    return found

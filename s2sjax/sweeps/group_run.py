"""One group of trials in this process: begun, trained, and each told its end."""

import contextlib
import dataclasses
import sys
from pathlib import Path

import jax
from jax.errors import JaxRuntimeError

from s2sjax.config import Config
from s2sjax.errors import RunError
from s2sjax.sweeps import groups, membership, trial_files
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.member import Member
from s2sjax.sweeps.membership import Membership
from s2sjax.sweeps.source import Source
from s2sjax.sweeps.together import Hooks, Together
from s2sjax.sweeps.trial import Trial
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.watcher import Watcher
from s2sjax.training import directory, provenance, slices
from s2sjax.training.interruption import Signals
from s2sjax.training.replicas import padded_size

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
        widest = groups.Group(self.group.trials).widest
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
            membership.write(self.sweep.path, part, padded_size(len(part), devices))
            for part in parts
        ]
        membership.forget(self.group)
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
                    path, trial.config, environment=environment, say=self.watcher.said
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

"""One group of trials in this process: begun, trained, and each told its end."""

import contextlib
import dataclasses
import sys

import jax
from jax.errors import JaxRuntimeError

from s2sjax.config import Config
from s2sjax.errors import RunError
from s2sjax.sweeps import groups, trial_files
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.member import Member
from s2sjax.sweeps.membership import Membership
from s2sjax.sweeps.source import Source
from s2sjax.sweeps.together import Hooks, Together
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.watcher import Watcher
from s2sjax.training import directory, provenance, slices
from s2sjax.training.interruption import Signals


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

    def run(self) -> None:
        """To the end of every trial, or until a signal.

        Raises:
          RunError: the disk is full.
        """
        widest = groups.Group(self.group.trials).widest
        members: list[Member] = []
        try:
            members = self._begin()
            with _precision(widest):
                Together(self.group, widest, members, self._hooks()).run()
        except OSError as error:
            what = f"cannot write to {self.group.path}"
            raise RunError(f"{what}: {error.strerror}") from None
        except JaxRuntimeError as error:  # out of memory, in spite of the estimate
            reason = str(error).partition("\n")[0]
            for member in members:
                if member.trial.name in self.ledger.running:
                    self._failed(member, reason)
        finally:
            for trial in self.group.trials:
                if trial.name in self.ledger.running:
                    self.ledger.pause(trial)

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
            members.append(member)
        self.ledger.write()  # that they run: compiling takes a while
        return members

    def _hooks(self) -> Hooks:
        return Hooks(
            stop=lambda: self.signals.received is not None,
            passed=self._passed,
            failed=self._failed,
            tested=lambda member, found: self._end(member, "done", found),
            prunes=lambda m: self.source.prunes(m.trial, m.directory),
            pruned=self._pruned,
            said=self.watcher.said,
        )

    def _passed(self) -> None:
        self.watcher.passed()
        self.ledger.passed()

    def _failed(self, member: Member, error: str) -> None:
        self._end(member, "failed", {}, error)

    def _pruned(self, member: Member) -> None:
        self._end(member, "pruned", trial_files.last_validation(member.directory))

    def _end(
        self, member: Member, status: str, found: dict[str, float], error: str = ""
    ) -> None:
        """Tells a trial's end, once."""
        trial = member.trial
        if trial.name in self.ledger.results:
            return
        result = Result(
            status,
            found,
            seconds=round(member.progress.seconds, 3),
            device=trial_files.device(member.directory),
            error=error,
        )
        self.ledger.end(trial, result)
        self.source.ended(trial, result)
        self.watcher.ended(trial, result)


def _precision(config: Config) -> contextlib.AbstractContextManager[None]:
    """That of the matrix products, as `s2sjax train` sets it for the whole process."""
    if config.train.precision == "default":
        return contextlib.nullcontext()
    return jax.default_matmul_precision(config.train.precision)

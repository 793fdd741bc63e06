"""One compiled program per group of trials, in this process; see `together`."""

import contextlib
import sys
from collections.abc import Sequence

import jax
from jax.errors import JaxRuntimeError

from s2sjax.config import Config
from s2sjax.errors import RunError, UsageError
from s2sjax.sweeps import backend_choice, groups, membership, programs, trial_files
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.member import Member
from s2sjax.sweeps.membership import Membership
from s2sjax.sweeps.together import Hooks, Together
from s2sjax.sweeps.trial import Trial
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.watcher import Watcher
from s2sjax.training import directory, provenance, slices
from s2sjax.training.interruption import Signals
from s2sjax.training.replicas import padded_size


def check(trials: Sequence[Trial]) -> None:
    """Refuses what cannot be trained like this, before anything is written.

    Raises:
      UsageError: a trial whose examples are not generated on the device, or that
        is too large for it.
    """
    _check_tasks(trials)
    programs.fitting(trials)


def _check_tasks(trials: Sequence[Trial]) -> None:
    reason = backend_choice.obstacle(trials)
    if reason:
        raise UsageError(f"{reason}; use --backend=processes")


def run(
    sweep: SweepDirectory,
    ledger: Ledger,
    trials: Sequence[Trial],
    signals: Signals,
    watcher: Watcher,
) -> None:
    """Trains trials, group by group, in this process; see `scheduler.run`.

    Raises:
      UsageError: a trial that cannot be trained like this.
      RunError: the disk is full.
    """
    _check_tasks(trials)
    _check_free(sweep, trials)
    try:
        for group, names in _groups(sweep, ledger, trials):
            if signals.received:
                return
            _train(group, names, sweep, ledger, signals, watcher)
    finally:
        ledger.write()


def _check_free(sweep: SweepDirectory, trials: Sequence[Trial]) -> None:
    """Refuses trials that another backend began: it has their checkpoints."""
    for trial in trials:
        path = sweep.of(trial)
        if trial_files.has_begun(path):
            raise UsageError(
                f"{path} was begun by another backend; go on with --backend=processes"
            )


def _groups(
    sweep: SweepDirectory, ledger: Ledger, trials: Sequence[Trial]
) -> list[tuple[Membership, set[str]]]:
    """The groups that hold what is left, and which of their trials: those that were
    begun, then new ones.

    A trial that failed leaves its group, which has nothing for it to go on from. A
    group that was begun goes on with all of its trials, `trials` or not, since they
    take their steps together.
    """
    begun = membership.read(sweep.path, sweep.trials)
    home = {trial.name: group for group in begun for trial in group.trials}
    left = {
        trial.name: home[trial.name]
        for trial in sweep.trials
        if trial.name in home and trial.name not in ledger.results
    }
    found = [
        (group, {name for name, its in left.items() if its is group}) for group in begun
    ]
    found = [(group, names) for group, names in found if names]
    devices = len(jax.devices())
    for new in programs.fitting([t for t in trials if t.name not in left]):
        size = padded_size(len(new.trials), devices)
        group = membership.write(sweep.path, new.trials, size)
        found.append((group, {trial.name for trial in new.trials}))
    return found


def _train(
    group: Membership,
    names: set[str],
    sweep: SweepDirectory,
    ledger: Ledger,
    signals: Signals,
    watcher: Watcher,
) -> None:
    """Trains the trials `names` of a group, and says of each how it ended."""
    environment = provenance.describe(["s2sjax", *sys.argv[1:]])
    members = []
    for replica, trial in enumerate(group.trials):
        path = sweep.of(trial)
        member = Member.of(trial, path)
        if trial.name not in names:
            member.ended = "over"
        else:
            ledger.begin(trial)
            trial_files.restore_config(path, trial)
            with directory.open_for_training(
                path, trial.config, environment=environment, say=watcher.said
            ):
                slices.write(path, group.checkpoints, replica)
        members.append(member)

    def end(member: Member, result: Result) -> None:
        ledger.end(member.trial, result)
        watcher.ended(member.trial, result)

    def failed(member: Member, error: str) -> None:
        end(member, _result(member, "failed", error=error))

    def tested(member: Member, found: dict[str, float]) -> None:
        if member.trial.name not in ledger.results:
            end(member, _result(member, "done", found))

    def stop() -> bool:
        return signals.received is not None

    widest = groups.Group(group.trials).widest
    hooks = Hooks(stop, watcher.passed, failed, tested, watcher.said)
    try:
        with _precision(widest):
            Together(group, widest, members, hooks).run()
    except OSError as error:
        raise RunError(f"cannot write to {group.path}: {error.strerror}") from None
    except JaxRuntimeError as error:  # out of memory, in spite of the estimate
        reason = str(error).partition("\n")[0]
        for member in members:
            if member.trial.name in ledger.running:
                failed(member, reason)
    finally:
        for trial in group.trials:
            if trial.name in ledger.running:
                ledger.pause(trial)


def _precision(config: Config) -> contextlib.AbstractContextManager[None]:
    """That of the matrix products, as `s2sjax train` sets it for the whole process."""
    if config.train.precision == "default":
        return contextlib.nullcontext()
    return jax.default_matmul_precision(config.train.precision)


def _result(
    member: Member,
    status: str,
    found: dict[str, float] | None = None,
    error: str = "",
) -> Result:
    return Result(
        status,
        found or {},
        seconds=round(member.progress.seconds, 3),
        device=trial_files.device(member.directory),
        error=error,
    )

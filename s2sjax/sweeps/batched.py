"""One compiled program per group of trials, in this process; see `together`."""

from collections import deque
from collections.abc import Sequence

import jax

from s2sjax.errors import UsageError
from s2sjax.sweeps import backend_choice, membership, programs, trial_files
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.group_run import GroupRun
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.membership import Membership
from s2sjax.sweeps.source import Source
from s2sjax.sweeps.trial import Trial
from s2sjax.sweeps.watcher import Watcher
from s2sjax.training.interruption import Signals
from s2sjax.training.replicas import padded_size

PROPOSALS = 8  # of a search at a time, or as many as there are devices


def check(trials: Sequence[Trial]) -> None:
    """Refuses what cannot be trained like this, before anything is written.

    Raises:
      UsageError: a trial whose examples are of several widths, or that is too large
        for the device.
    """
    _check_tasks(trials)
    programs.fitting(trials)


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
    reason = backend_choice.obstacle(trials)
    if reason:
        raise UsageError(f"{reason}; use --backend=processes")


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
    """The groups that hold some trials, and which of theirs are left: those that were
    begun, then new ones.

    A trial that failed leaves its group, which has nothing for it to go on from. A
    group that was begun goes on with all of its trials, `trials` or not, since they
    take their steps together.
    """
    begun = membership.read(sweep.path, sweep.trials)
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
    for new in programs.fitting([t for t in trials if t.name not in there]):
        size = padded_size(len(new.trials), devices)
        group = membership.write(sweep.path, new.trials, size)
        found.append((group, {trial.name for trial in new.trials}))
    return found

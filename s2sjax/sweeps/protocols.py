"""The contracts of a launcher: pools of workers, queues of trials, observers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from s2sjax.runs.lock import is_held
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.trials import Trial

FREED = 1000  # not an exit code: another launcher's worker has let the trial go


class Job(Protocol):
    """A command that was started."""

    def poll(self) -> int | None:
        """Its exit code, minus the signal that killed it; None before it ended."""

    def stop(self) -> None:
        """Asks it to save and end (SIGTERM); it goes on to be polled."""

    def kill(self) -> None:
        """Ends it at once."""


class Pool(Protocol):
    """Runs so many commands at a time."""

    size: int
    queues: bool  # whether a command that was started may have to wait elsewhere

    def start(self, command: Sequence[str], log: Path, slot: int) -> Job:
        """Starts a command in slot 0 <= slot < size; what it prints is added to a log.

        Raises:
          RunError: it cannot be started.
        """

    def close(self) -> None:
        """Gives back what the pool holds; no command runs any more."""


Command = Callable[[Path], Sequence[str]]  # of a trial's directory


class AdoptedWorker:
    """The worker of a launcher that was killed, still at its trial: wait for it."""

    def __init__(self, directory: Path):
        self._directory = directory

    def poll(self) -> int | None:
        return None if is_held(self._directory) else FREED

    def stop(self) -> None:
        """Not ours to stop."""

    kill = stop


class TrialQueue(Protocol):
    """Which trial comes next."""

    def next(self) -> Trial | None:
        """A trial to run, or None where none is left."""

    def ended(self, trial: Trial, result: Result) -> None:
        """A trial has ended."""

    def prunes(self, trial: Trial, directory: Path) -> bool:
        """Whether to give up a trial that runs."""


class Listed:
    """Trials in order; none is pruned."""

    def __init__(self, trials: Sequence[Trial]):
        self._left = list(reversed(trials))

    def next(self) -> Trial | None:
        """See `TrialQueue`."""
        return self._left.pop() if self._left else None

    def ended(self, trial: Trial, result: Result) -> None:
        """See `TrialQueue`."""

    def prunes(self, trial: Trial, directory: Path) -> bool:
        """See `TrialQueue`."""
        return False


class SweepObserver:
    """Does nothing by itself; the command line has one that draws."""

    def message(self, line: str) -> None:
        """A line for a person."""

    def ended(self, trial: Trial, result: Result) -> None:
        """A trial has ended."""

    def passed(self) -> None:
        """A little time has."""

"""The contracts of a launcher: pools of workers, queues of trials, observers."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from s2sjax.runs.lock import held_since, is_held
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.trials import Trial

# No exit codes, but what becomes of a trial without one.
FREED = 1000  # another launcher's worker has let it go
UNSEEN = 1001  # its worker was put where the directory of the sweep is not


class Ended(NamedTuple):
    """How a job ended."""

    code: int  # the exit code of its command, minus the signal that ended it
    why: str = ""  # the engine's own words, where the engine ended it


def unseen(directory: Path, host: str) -> Ended:
    """How a job ends on a node where the directory of its trial is not."""
    what = f"{directory.parents[1]} is not on {host}"
    return Ended(UNSEEN, f"{what}: it must be on storage that all nodes mount")


class Job(Protocol):
    """A command that was started. No call waits for an engine."""

    @property
    def since(self) -> float | None:
        """The wall clock when its work began; None while it waits for its turn."""

    def poll(self) -> Ended | None:
        """How it ended; None before it has."""

    def stop(self) -> None:
        """Asks it to save and end (SIGTERM); one that waits for its turn loses it."""

    def kill(self) -> None:
        """Ends it at once."""

    def __str__(self) -> str:
        """What a person finds it by: `process 18174`, `job 42 of Slurm`."""


class Pool(Protocol):
    """Runs so many commands at a time."""

    @property
    def size(self) -> int:
        """How many; it may grow."""

    def start(self, command: Sequence[str], log: Path, slot: int) -> Job:
        """Starts a command in slot 0 <= slot < size; what it prints is added to a log.

        Raises:
          RunError: it cannot be started.
        """

    def adopt(self, directory: Path) -> Job | None:
        """What an earlier launcher started of a trial, if that still waits or runs."""

    def waiting(self) -> str:
        """What jobs wait for: `5 jobs pending in partition low (Resources)`; or ""."""

    def close(self) -> None:
        """Gives back what the pool holds; no command runs any more."""


Command = Callable[[Path], Sequence[str]]  # of a trial's directory


class AdoptedWorker:
    """The worker of a launcher that was killed, known by its lock: wait for it.

    It is not ours to end. Asked to, we wait no longer.
    """

    def __init__(self, directory: Path):
        self._directory = directory
        self._is_let_go = False
        self.since = held_since(directory) or time.time()

    def poll(self) -> Ended | None:
        """See `Job`."""
        is_over = self._is_let_go or not is_held(self._directory)
        return Ended(FREED) if is_over else None

    def stop(self) -> None:
        """See `Job`."""
        self._is_let_go = True

    kill = stop

    def __str__(self) -> str:
        return "the worker of an earlier launcher"


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

    def waited(self, seconds: float) -> None:
        """So long no trial was worked at: all wait for their turn elsewhere."""

    def passed(self) -> None:
        """A little time has."""

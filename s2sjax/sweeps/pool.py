"""Where the commands of trials run: what every backend offers to the scheduler."""

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from s2sjax.training.lock import NAME as LOCK

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
        """Starts a command in slot 0 <= slot < size; what it says is added to a log.

        Raises:
          RunError: it cannot be started.
        """

    def close(self) -> None:
        """Gives back what the pool holds; no command runs any more."""


Command = Callable[[Path], Sequence[str]]  # of a trial's directory


class Orphan:
    """The worker of a launcher that was killed, still at its trial: wait for it."""

    def __init__(self, directory: Path):
        self._directory = directory

    def poll(self) -> int | None:
        return None if is_held(self._directory) else FREED

    def stop(self) -> None:
        """Not ours to stop."""

    kill = stop


def is_held(directory: Path) -> bool:
    """Whether some process trains in a directory right now."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)

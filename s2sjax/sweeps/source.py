"""Where the scheduler's trials come from: a list, or a search (`search.py`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from s2sjax.sweeps.trial import Trial
from s2sjax.sweeps.trial_files import Result


class Source(Protocol):
    """Which trial comes next."""

    def next(self) -> Trial | None:
        """A trial to run, or None where none is left."""

    def ended(self, trial: Trial, result: Result) -> None:
        """A trial has ended."""

    def prunes(self, trial: Trial, directory: Path) -> bool:
        """Whether a running trial is not worth its end."""


class Listed:
    """Trials in order; none is pruned."""

    def __init__(self, trials: Sequence[Trial]):
        self._left = list(reversed(trials))

    def next(self) -> Trial | None:
        """See `Source`."""
        return self._left.pop() if self._left else None

    def ended(self, trial: Trial, result: Result) -> None:
        """See `Source`."""

    def prunes(self, trial: Trial, directory: Path) -> bool:
        """See `Source`."""
        return False

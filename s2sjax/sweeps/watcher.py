"""Who is told how a sweep goes."""

from s2sjax.sweeps.trial import Trial
from s2sjax.sweeps.trial_files import Result


class Watcher:
    """Does nothing by itself; the command line has one that draws."""

    def said(self, line: str) -> None:
        """A line for a person."""

    def ended(self, trial: Trial, result: Result) -> None:
        """A trial has ended."""

    def passed(self) -> None:
        """A little time has."""

"""A line that says how far an evaluation is, where it takes longer than seconds."""

import sys
import time

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from s2sjax.closing import Closing
from s2sjax.reporting.formats import duration, printable
from s2sjax.reporting.screen import Screen

QUIET_SECONDS = 3.0  # what ends sooner says nothing
REFRESH_SECONDS = 0.1  # on a terminal
LINE_SECONDS = 10.0  # between plain lines


class ProgressLine(Closing):
    """Says how much is done, once that takes longer than a few seconds.

    On a terminal it is a bar, which goes away; elsewhere a plain line now and then.
    Calling it with `(done, all)` moves it, or says again that nothing was done since;
    `(0, all)` after more is a new beginning. What comes `then` is said to a person who
    has waited.
    """

    def __init__(
        self,
        what: str,
        then: str = "",
        *,
        units: str = "examples",
        screen: Screen | None = None,
    ):
        self._what, self._then, self._units = printable(what), then, units
        self._screen = Screen(sys.stderr) if screen is None else screen
        self._bar: Progress | None = None
        self._done = 0
        self._begun = self._said = time.monotonic()

    def __call__(self, done: int, all_: int) -> None:
        now = time.monotonic()
        if not done and self._done:
            self._begun = self._said = now
        self._done = done
        long = now - self._begun >= QUIET_SECONDS
        if done >= all_:
            self.close()
            if long and self._then:
                self._screen.line(f"{self._what}: {self._then}")
            return
        if not long:
            return
        first = self._said == self._begun
        if not first and now - self._said < self._pause:
            return
        self._said = now
        if self._screen.terminal:
            self._draw(done, all_)
        else:
            share = f"{done / max(all_, 1):.0%}"
            self._screen.line(
                f"{self._what}: {done:,} of {all_:,} {self._units} ({share})  "
                f"after {duration(now - self._begun)}"
            )

    @property
    def _pause(self) -> float:
        return REFRESH_SECONDS if self._screen.terminal else LINE_SECONDS

    def _draw(self, done: int, all_: int) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                TextColumn("{task.completed:,}/{task.total:,}"),
                BarColumn(bar_width=None),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),  # what is left may be the longest of all
                console=self._screen.console,
                auto_refresh=False,  # no thread beside the computation
                transient=True,
                expand=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.add_task(self._what, total=all_, completed=done)
            self._screen.begin(self._bar)
        self._bar.update(self._bar.task_ids[0], completed=done)
        self._bar.refresh()

    def close(self) -> None:
        """Takes the bar away; again does nothing."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

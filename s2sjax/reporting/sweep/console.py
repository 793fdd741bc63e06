"""Prints how far a sweep is, and what becomes of its trials."""

import shlex
import time
from collections.abc import Sequence

from rich.live import Live
from rich.table import Table
from rich.text import Text

from s2sjax.metrics import metric
from s2sjax.reporting.formats import cut, duration, number, percent, printable
from s2sjax.reporting.screen import Screen
from s2sjax.runs import run_files
from s2sjax.runs.progress import ranked
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.protocols import SweepObserver
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.trials import Trial

REFRESH_SECONDS = 0.5
FAILURES = 5  # shown at the end


class SweepConsole(SweepObserver):
    """On a terminal one table that is redrawn; elsewhere a line for each trial.

    Args:
      trials: of the sweep; a search adds to them.
      ledger: how they stand.
      metric: what the best is chosen by.
      most: how many trials there are to be; None: as many as there are.
      waiting: how many of them this launch is to train; None: those without an end.
      quiet: show nothing, for those who read the JSON.
      screen: where; None: standard output.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        ledger: Ledger,
        *,
        metric: str = "exact",
        most: int | None = None,
        waiting: int | None = None,
        quiet: bool = False,
        screen: Screen | None = None,
    ):
        self.trials, self._ledger, self._quiet = trials, ledger, quiet
        self._screen = Screen() if screen is None else screen
        self._metric = metric
        self.most = max(len(trials), most or 0)
        over = sum(trial.name in ledger.results for trial in trials)
        if waiting is None:
            self._before, self._waiting = over, self.most - over
        else:
            self._before, self._waiting = len(trials) - waiting, waiting
        self._ended = 0  # trials in this launch
        self._begun = self._drawn = time.monotonic()
        self._live: Live | None = None

    def message(self, line: str) -> None:
        """The line, as it is."""
        if not self._quiet:
            self._screen.line(Text(printable(line)))

    def ended(self, trial: Trial, result: Result) -> None:
        """A line, where there is no table."""
        self._ended += 1
        if self._screen.terminal and result.status != "failed":
            return
        what = result.error if result.status == "failed" else self._value(result)
        parts = [
            f"{self._before + self._ended:,} of {self.most:,}",
            f"{result.status} {trial.name}",
            cut(what, 200),
            f"took {duration(result.seconds)}",
            self._left(),
        ]
        self.message("  ".join(filter(None, parts)))

    def waited(self, seconds: float) -> None:
        """Leaves that time out of the rate."""
        self._begun += seconds

    def passed(self) -> None:
        """Draws the table again, a few times a second."""
        now = time.monotonic()
        if self._live is not None and now - self._drawn >= REFRESH_SECONDS:
            self._drawn = now
            self._live.update(self._table(), refresh=True)

    def summarise(self, sweep: SweepDirectory, again: str, *, stopped: bool) -> None:
        """How the sweep ended, what failed, what is best, and what to do next.

        `again` is the command that goes on where it was stopped.
        """
        if self._quiet:
            return
        counts = self._counts()
        self.message(
            f"{sweep.path}: {', '.join(f'{n:,} {s}' for s, n in counts.items())}"
        )
        failed = [t for t in self.trials if self._ledger.status(t) == "failed"]
        for trial in failed[:FAILURES]:
            error = cut(self._ledger.results[trial.name].error, 300)
            self.message(f"  failed: {trial.name}: {error}")
        if len(failed) > FAILURES:
            self.message(f"  and {len(failed) - FAILURES} more")
        best = self._best()
        if best is not None:
            value = self._value(self._ledger.results[best.name])
            self.message(f"best by validation: {value}")
            words = shlex.split(sweep.commands[best.name])
            place = run_files.again(sweep.path, best.name)
            self.message(f"  {shlex.join(run_files.placed(words, place))}")
        self.message("stopped; to go on:" if stopped else "next:")
        if stopped:
            self.message(f"  {again}")
            return
        self.message(f"  s2sjax report --workdir={sweep.path}")
        if failed:
            self.message(f"  s2sjax sweep  --workdir={sweep.path} --retry_failed")

    def __enter__(self) -> "SweepConsole":
        over = self._before
        self.message(
            f"{self.most:,} trials"
            + f", {over:,} of them ended before" * bool(over)
            + f"; {self._waiting:,} to go"
        )
        if self._screen.terminal and not self._quiet:
            self._live = Live(
                self._table(),
                console=self._screen.console,
                auto_refresh=False,  # no thread beside the launcher
                transient=True,
            )
            self._screen.begin(self._live)
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _counts(self) -> dict[str, int]:
        statuses = [self._ledger.status(trial) for trial in self.trials]
        # Those that a search has not proposed yet.
        statuses += ["pending"] * (self.most - len(statuses))
        known = ("done", "running", "pending", "failed", "pruned")
        return {s: statuses.count(s) for s in known if s == "done" or s in statuses}

    def _rate(self) -> float:
        """Trials a second of work in this launch."""
        return self._ended / max(time.monotonic() - self._begun, 1e-9)

    def _left(self) -> str:
        waiting = self._waiting - self._ended
        if waiting <= 0 or not self._ended:
            return ""
        return f"left {duration(waiting / self._rate())}"

    def _value(self, result: Result) -> str:
        """The metric, of each split that it was measured on."""
        text = percent if metric(self._metric).share else number
        listed = [
            f"{name} {text(values[self._metric])}"
            for name, values in (("validation", result.valid), ("test", result.test))
            if self._metric in values
        ]
        return f"{self._metric} {', '.join(listed)}" if listed else ""

    def _best(self) -> Trial | None:
        """The first that is best on validation examples: test data choose nothing."""

        def rank(trial: Trial) -> tuple[float, float]:
            valid = self._ledger.results[trial.name].valid
            lower = metric(self._metric).lower
            return ranked(valid[self._metric], valid.get("nll"), lower=lower)

        done = [
            trial
            for trial in self.trials
            if self._ledger.status(trial) == "done"
            and self._metric in self._ledger.results[trial.name].valid
        ]
        return min(done, key=rank, default=None)

    def _table(self) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="dim")
        table.add_column(overflow="ellipsis", no_wrap=True)
        counts = self._counts()
        table.add_row("trials", "  ".join(f"{n:,} {s}" for s, n in counts.items()))
        pace = f"{self._rate() * 3600:,.0f} an hour" if self._ended else "not known yet"
        table.add_row("rate", "  ".join(filter(None, (pace, self._left()))))
        running = [t.name for t in self.trials if t.name in self._ledger.running]
        for name in running[:8]:
            table.add_row("running", Text(printable(name)))
        best = self._best()
        if best is not None:
            value = self._value(self._ledger.results[best.name])
            table.add_row("best so far", Text(printable(f"{value}  {best.name}")))
        return table

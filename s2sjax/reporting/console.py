"""Prints how far a run is, and its metrics and samples."""

import sys
import time
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from s2sjax.closing import Closing
from s2sjax.inference.kind import Sample
from s2sjax.reporting.formats import cut, duration, number, percent, printable
from s2sjax.reporting.measure import measure
from s2sjax.reporting.progress_line import ProgressLine
from s2sjax.reporting.screen import Screen
from s2sjax.training.observer import Observer

NOTHING = "(nothing)"


def sample_lines(sample: Sample, columns: int, unicode: bool = True) -> list[Text]:
    """`source → output` with a tick, or with a cross and the target.

    Where the three do not fit in a line, the target stands below the output, so that
    the two can be compared; what is still too long is cut.

    >>> [str(line) for line in sample_lines(Sample("1 2 3", "3 2 2", "3 2 1"), 80)]
    ['✗ 1 2 3 → 3 2 2  (target 3 2 1)']
    """
    arrow, ellipsis = (" → ", "…") if unicode else (" -> ", "...")
    tick, cross = ("✓ ", "✗ ") if unicode else ("ok  ", "not ")
    mark, style = (tick, "bold green") if sample.right else (cross, "bold red")
    source, output, target = (printable(part) or NOTHING for part in sample)
    room = columns - cell_len(mark) - cell_len(arrow)
    remark = "" if sample.right else f"  (target {target})"
    if cell_len(source) + cell_len(output) + cell_len(remark) <= room:
        whole = (mark, style), source, (arrow, "dim"), output, (remark, "dim")
        return [Text.assemble(*whole)]
    # Whatever the source leaves, at least half, is for the output.
    widest = max(cell_len(output), 0 if sample.right else cell_len(target))
    source = cut(source, max(room - widest, room // 2), ellipsis)
    left = room - cell_len(source)
    first = (mark, style), source, (arrow, "dim"), cut(output, left, ellipsis)
    lines = [Text.assemble(*first)]
    if not sample.right:
        label = "target "
        indent = max(columns - room + cell_len(source) - len(label), 0)
        below = Text(" " * indent + label + cut(target, left, ellipsis), "dim")
        lines.append(below)
    return lines


REFRESH_SECONDS = 0.1

_SHOWN = ("exact", "token_accuracy", "nll")  # of every evaluation
_ENDINGS = {
    "done": "finished at step {step}",
    "patience": "stopped early at step {step}: train.patience evaluations in a row "
    "were no better than the best",
    "signal": "stopped at step {step} as asked, and saved; the same command goes on "
    "from here",
}


class Console(Closing, Observer):
    """On a terminal a progress bar and, above it, every evaluation; else plain lines.

    Use it in a `with` statement, so that the bar goes when a run fails.

    Args:
      screen: where it is shown; None: standard output.
      metric: what the best evaluation is chosen by.
    """

    def __init__(self, screen: Screen | None = None, metric: str = "exact"):
        self._screen = Screen() if screen is None else screen
        self._metric = measure(metric)
        self._progress: Progress | None = None
        self._steps = 0
        self._begun = self._drawn = time.monotonic()
        self._compiling: float | None = None  # since when
        self._compiled = 0.0  # seconds, of which the time that is left knows nothing
        self._untimed = 0  # steps since the last line that were taken while compiling
        self._step = 0
        self._evaluated: int | None = None  # the step of the last evaluation
        self._last = (0, self._clock())  # the step and time of the last logged line
        self._waiting = ProgressLine("evaluation")  # where there is no bar

    def started(self, step: int, steps: int, about: str) -> None:
        """Says where training begins, and draws the bar."""
        self.close()
        span = (
            f"goes on from step {step:,} to {steps:,}"
            if step
            else f"for {steps:,} steps"
        )
        self.message(f"training {span}: {about}")
        self._steps = steps
        self._begun = time.monotonic()
        self._last = (step, self._clock())
        self._step, self._untimed = step, 0
        if not self._screen.terminal:
            return
        # Widths that do not change keep the bar from jumping.
        width = len(f"{steps:,}")
        self._progress = Progress(
            TextColumn(f"{{task.completed:>{width},}}/{{task.total:,}}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[loss]}"),
            _Pace(""),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=self._screen.console,
            auto_refresh=False,  # no thread beside the computation
            get_time=self._clock,
            transient=True,
            expand=True,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._progress.add_task("", total=steps, completed=step, loss="")
        self._screen.begin(self._progress)
        self._progress.refresh()

    def compiling(self, what: str) -> None:
        """A plain line, or in the bar; the clock of what is left stands still."""
        self._compiling = time.monotonic()
        if self._progress is None:
            self.message(f"compiling {what}")
            return
        self._progress.update(self._progress.task_ids[0], loss=f"compiling {what}")
        self._progress.refresh()

    def _clock(self) -> float:
        """The time without compilations."""
        now = time.monotonic() if self._compiling is None else self._compiling
        return now - self._compiled

    def _go_on(self) -> bool:
        """Lets the clock run again; whether it stood still."""
        if self._compiling is None:
            return False
        self._compiled += time.monotonic() - self._compiling
        self._compiling = None
        return True

    def advanced(self, step: int, loss: float) -> None:
        """Moves the bar."""
        if self._go_on():
            self._untimed += step - self._step
        self._step = step
        if self._progress is None:
            return
        task = self._progress.task_ids[0]
        self._progress.update(task, completed=step, loss=f"loss {number(loss):<8}")
        now = time.monotonic()
        if now - self._drawn >= REFRESH_SECONDS or step >= self._steps:
            self._drawn = now
            self._progress.refresh()

    def logged(self, step: int, values: dict[str, Any]) -> None:
        """A plain line; the bar says the same."""
        if self._screen.terminal:
            return
        now = self._clock()
        before, then = self._last
        self._last = (step, now)
        parts = [
            f"step {step:,} of {self._steps:,} ({step / max(self._steps, 1):.0%})",
            f"loss {number(values.get('loss'))}",
        ]
        steps, self._untimed = step - before - self._untimed, 0
        if steps > 0:
            pace = steps / max(now - then, 1e-9)
            parts.append(f"{pace:,.1f} steps/s")
            parts.append(f"left {duration((self._steps - step) / pace)}")
        self._screen.line("  ".join(parts))

    def evaluating(self, step: int, done: int, all_: int) -> None:
        """In the bar, or where there is none as a line on standard error."""
        if self._evaluated is None:
            self.compiling(f"the evaluation of {all_:,} examples")
        if self._evaluated != step:
            self._evaluated = step
            self._waiting = ProgressLine(f"evaluation at step {step:,}")
        if self._progress is None:
            self._waiting(done, all_)
            return
        now = time.monotonic()
        if now - self._drawn >= REFRESH_SECONDS:
            self._drawn = now
            share = f"evaluated {done / max(all_, 1):.0%}"
            self._progress.update(self._progress.task_ids[0], loss=share)
            self._progress.refresh()

    def evaluated(
        self, step: int, values: dict[str, Any], samples: Sequence[Sample], best: bool
    ) -> None:
        """The free-running numbers, and the samples below them."""
        self._go_on()
        line = Text.assemble((f"evaluation at step {step:,}", "bold"))
        if "exact" in values:
            line.append("  exact ").append(percent(values["exact"]), "bold")
            line.append(f"  token accuracy {percent(values['token_accuracy'])}")
        if "nll" in values:
            line.append(f"  nll {number(values['nll'])}")
        value = values.get(self._metric.name)
        if self._metric.name not in _SHOWN and isinstance(value, int | float):
            line.append(f"  {self._metric.label} {self._metric.text(value)}")
        if best:
            line.append("  ★ best" if self._screen.unicode else "  * best", "bold")
        lines = [line]
        for sample in samples:
            room = self._screen.columns - 4
            below = sample_lines(sample, room, self._screen.unicode)
            lines += [Text.assemble("    ", text) for text in below]
        self._screen.line(Text("\n").join(lines))

    def message(self, line: str) -> None:
        """The line, as it is."""
        self._screen.line(Text(printable(line)))

    def ended(self, step: int, reason: str) -> None:
        """Takes the bar away and says why training ended."""
        self.close()
        ending = _ENDINGS.get(reason, "ended at step {step}: {reason}")
        took = duration(time.monotonic() - self._begun)
        line = ending.format(step=f"{step:,}", reason=reason)
        self.message(f"{line} (after {took})")

    def close(self) -> None:
        """Takes the bar away; again does nothing."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        self._waiting.close()


class _Pace(TextColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:>6,.0f} steps/s")

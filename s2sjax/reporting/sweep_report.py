"""The answer of a sweep as tables for a person."""

import math
from collections.abc import Sequence

from s2sjax.reporting import sensitivity
from s2sjax.reporting.findings import Findings, levels
from s2sjax.reporting.formats import cut, duration, number
from s2sjax.reporting.groups import Group
from s2sjax.reporting.screen import Screen
from s2sjax.reporting.table import Table, show
from s2sjax.reporting.trial_files import command_line

ROWS = 30  # of the table of groups; with more, the best ones are shown
FAILURES = 5


def show_findings(found: Findings, screen: Screen) -> None:
    """Writes the tables: groups, sensitivity, what failed, and the best trial."""
    table = found.table
    counts = ", ".join(f"{n} {status}" for status, n in table.counts().items())
    total = _counted(len(table.trials), "trial")
    if table.lacking:
        total += f" of {table.asked:,} that were asked for"
    screen.line(f"{table.directory}: {total} ({counts})\n")
    show(_groups(found), screen)
    if found.effects:
        show(_sensitivity(found), screen)
    failed = [trial for trial in table.trials if trial.status == "failed"]
    if failed:
        rows = [(t.name, cut(t.error or "no reason recorded", 160)) for t in failed]
        left = len(failed) - FAILURES
        note = f"{left} more failed; trials.csv has them all" if left > 0 else ""
        show(Table("Failed", ("trial", "reason"), rows[:FAILURES], note=note), screen)
    _show_best(found, screen)


def _groups(found: Findings) -> Table:
    shown: Sequence[Group] = found.groups
    note = found.interval()
    if len(shown) > ROWS:
        # A mean that is not there comes last.
        def worst_last(group: Group) -> float:
            bad = found.badness(group.estimate.mean)
            return bad if math.isfinite(bad) else math.inf

        shown = sorted(shown, key=worst_last)[:ROWS]
        left = len(found.groups) - ROWS
        note += f"; the best {ROWS} groups, {left} more are in groups.csv"
    best = found.best_group()
    header = [
        *(factor.field for factor in found.by),
        found.measure.unit,
        "95 %",
        "n",
        "",
    ]
    rows = [
        (*levels(found, group).values(), *_told(found, group, group is best))
        for group in shown
    ]
    title = f"{found.measure.label}: {_counted(len(found.groups), 'group')}"
    return Table(title, header, rows, (found.measure.unit, "95 %", "n"), note)


def _told(found: Findings, group: Group, best: bool) -> tuple[str, str, str, str]:
    mean, low, high, count = group.estimate
    of = len(group.trials)
    n = str(count) if count == of else f"{count} of {of}"
    statuses = [found.table.trials[place].status for place in group.trials]
    others = sorted({status for status in statuses if status != "done"})
    remark = " ".join(["best"] * best + others)
    ends = f"{_value(found, low)} to {_value(found, high)}"
    return _value(found, mean), ends if math.isfinite(low) else "n/a", n, remark


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _value(found: Findings, value: float) -> str:
    if not math.isfinite(value):
        return "n/a"
    return f"{100 * value:.2f}" if found.measure.share else number(value)


def _sensitivity(found: Findings) -> Table:
    header = ("field", "levels", "range", "share", "by chance", "lowest", "highest")
    rows = [
        (
            effect.field,
            number(effect.levels),
            _value(found, effect.span),
            _percent(effect.share),
            _percent(effect.chance),
            effect.lowest,
            effect.highest,
        )
        for effect in found.effects
    ]
    title = f"Sensitivity of {found.measure.unit}: main effect, variance explained"
    return Table(title, header, rows, header[1:5], sensitivity.FORMULA)


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %") if math.isfinite(share) else "n/a"


def _show_best(found: Findings, screen: Screen) -> None:
    best, measure = found.best, found.measure
    if best is None:
        screen.line(f"No trial with {measure.label} is done yet.")
        return
    equal = sum(
        trial.value(measure.name) == best.value(measure.name)
        for trial in found.table.trials
    )
    ties = f", the first of {equal:,} equal ones" if equal > 1 else ""
    unit = " %" if measure.share else ""
    value = f"{measure.label} {_value(found, best.metrics[measure.name])}{unit}"
    took = "" if best.seconds is None else f", {duration(best.seconds)}"
    screen.line(f"Best trial on test data: {best.name} ({value}{took}{ties})")
    screen.line(f"  {command_line(found.table, best)}")

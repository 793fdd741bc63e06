"""The answer of a sweep as tables for a person."""

import math
from collections.abc import Sequence

from s2sjax.reporting.formats import cut, duration, number, percent
from s2sjax.reporting.measure import SPLITS, measure
from s2sjax.reporting.screen import Screen
from s2sjax.reporting.sweep.findings import FORMULA, Findings, levels
from s2sjax.reporting.sweep.groups import Group
from s2sjax.reporting.sweep.trial_files import command_line
from s2sjax.reporting.table import Table, show

ROWS = 30  # of the table of groups; with more, the best ones are shown
FAILURES = 5


def show_findings(findings: Findings, screen: Screen) -> None:
    """Writes the tables: groups, sensitivity, what failed, and the best trial."""
    table = findings.table
    counts = ", ".join(f"{n} {status}" for status, n in table.counts().items())
    total = _counted(len(table.trials), "trial")
    if table.lacking:
        total += f" of {table.asked:,} that were asked for"
    screen.line(f"{table.directory}: {total} ({counts})\n")
    show(_groups(findings), screen)
    if findings.effects:
        show(_sensitivity(findings), screen)
    failed = [trial for trial in table.trials if trial.status == "failed"]
    if failed:
        rows = [(t.name, cut(t.error or "no reason recorded", 160)) for t in failed]
        left = len(failed) - FAILURES
        note = f"{left} more failed; trials.csv has them all" if left > 0 else ""
        show(Table("Failed", ("trial", "reason"), rows[:FAILURES], note=note), screen)
    _show_best(findings, screen)


def _groups(findings: Findings) -> Table:
    """What is asked for and beside it the other split; validation says what is best."""
    columns = [findings.groups, *([findings.groups_beside] if findings.beside else [])]
    shown: Sequence[tuple[Group, ...]] = list(zip(*columns, strict=True))
    note = findings.interval()
    splits = [one.split for one in findings.measures]
    ranking = splits.index("valid") if "valid" in splits else 0
    if len(shown) > ROWS:
        # A mean that is not there comes last.
        def worst_last(row: tuple[Group, ...]) -> float:
            bad = findings.badness(row[ranking].estimate.mean)
            return bad if math.isfinite(bad) else math.inf

        shown = sorted(shown, key=worst_last)[:ROWS]
        left = len(findings.groups) - ROWS
        note += f"; the best {ROWS} groups, {left} more are in groups.csv"
    best = findings.best_group()
    if best is not None:
        note += f"; best: by {findings.ranking.label}"
    numbers = [name for one in findings.measures for name in (one.unit, "95 %")]
    header = [*(factor.field for factor in findings.by), *numbers, "n", ""]
    rows = [
        (
            *levels(findings, row[0]).values(),
            *(text for group in row for text in _ends(findings, group)),
            *_count_status(findings, row[0], best=any(group is best for group in row)),
        )
        for row in shown
    ]
    title = f"{findings.measure.label}: {_counted(len(findings.groups), 'group')}"
    return Table(title, header, rows, (*numbers, "n"), note)


def _ends(findings: Findings, group: Group) -> tuple[str, str]:
    """A mean and its interval."""
    mean, low, high, _ = group.estimate
    ends = f"{_value(findings, low)} to {_value(findings, high)}"
    return _value(findings, mean), ends if math.isfinite(low) else "n/a"


def _count_status(findings: Findings, group: Group, *, best: bool) -> tuple[str, str]:
    """How many trials, and what there is to say of them."""
    count, of = group.estimate.n, len(group.trials)
    n = str(count) if count == of else f"{count} of {of}"
    statuses = [findings.table.trials[place].status for place in group.trials]
    others = sorted({status for status in statuses if status != "done"})
    return n, " ".join(["best"] * best + others)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _value(findings: Findings, value: float) -> str:
    if not math.isfinite(value):
        return "n/a"
    return f"{100 * value:.2f}" if findings.measure.share else number(value)


def _sensitivity(findings: Findings) -> Table:
    header = ("field", "levels", "range", "share", "by chance", "n")
    rows = [
        (
            effect.field,
            number(effect.levels),
            _value(findings, effect.span),
            percent(effect.share, 1),
            percent(effect.chance, 1),
            number(effect.n),
            effect.lowest,
            effect.highest,
        )
        for effect in findings.effects
    ]
    title = f"Sensitivity of {findings.measure.unit}: main effect, variance explained"
    columns = (*header, "lowest", "highest")
    return Table(title, columns, rows, header[1:], FORMULA)


def _show_best(findings: Findings, screen: Screen) -> None:
    best, ranking = findings.best, findings.ranking
    if best is None and any(group.estimate.n for group in findings.groups):
        screen.line(f"No trial is the best: none has {ranking.label}.")
        return
    if best is None:
        screen.line(f"No trial with {ranking.label} is done yet.")
        return
    equal = findings.equal
    ties = f", the first of {equal:,} equal ones" if equal > 1 else ""
    unit = " %" if ranking.share else ""
    listed = [
        f"{SPLITS[split]} {_value(findings, best.metrics[name])}{unit}"
        for split in SPLITS
        if (name := f"{split}_{ranking.quantity}") in best.metrics
    ]
    value = f"{measure(ranking.quantity).label}: {', '.join(listed)}"
    took = "" if best.seconds is None else f"; {duration(best.seconds)}"
    screen.line(f"Best trial by validation: {best.name} ({value}{took}{ties})")
    screen.line(f"  {command_line(findings.table, best)}")

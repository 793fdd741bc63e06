"""Tables, drawn on a terminal and plain elsewhere; those of `eval` and `tasks`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.table import Table as RichTable
from rich.text import Text

from s2sjax.metrics import METRICS, Metric, metric, own
from s2sjax.reporting.formats import number, percent, printable
from s2sjax.reporting.screen import Screen


class Table(NamedTuple):
    """Rows of texts under a header; `right` names the columns set to the right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()
    note: str = ""


def show(table: Table, screen: Screen, *, bare: bool = False) -> None:
    """Writes a table; on a terminal long cells wrap, elsewhere nothing is cut.

    A `bare` one is elsewhere its rows alone, for grep and cut.
    """
    rows = [[printable(cell) for cell in row] for row in table.rows]
    if not screen.terminal:
        header, *lines = _aligned(table, rows)
        if not bare:
            title, note = (
                [printable(text)] if text else [] for text in (table.title, table.note)
            )
            lines = [*title, header, *lines, *note, ""]
        for line in lines:
            screen.line(line)
        return
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in table.header:
        side = "right" if name in table.right else "left"
        drawn.add_column(Text(printable(name)), justify=side)  # type: ignore[arg-type]
    for row in rows:
        drawn.add_row(*map(Text, row))
    if table.title:
        screen.line(Text(printable(table.title), "bold"))
    screen.show(drawn)
    if table.note:
        screen.line(Text(f"{printable(table.note)}\n", "dim"))


def _aligned(table: Table, rows: Sequence[Sequence[str]]) -> list[str]:
    """The header and the rows, in columns."""
    header = [printable(name) for name in table.header]
    every = [header, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*every, strict=True)]
    lines = []
    for row in every:
        cells = [
            " " * (width - cell_len(cell)) + cell
            if name in table.right
            else set_cell_size(cell, width)
            for cell, width, name in zip(row, widths, table.header, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


ROWS = 20  # of a table by symbol, lowest accuracy first, or by position, in ranges
WIDEST_MATRIX = 12  # symbols, up to which confusions are drawn as a matrix


class TaskExample(NamedTuple):
    """A task, and one example of it in words."""

    name: str
    about: str
    source: str
    output: str


def show_evaluation(
    results: Mapping[str, Any],
    screen: Screen,
    title: str = "",
    *,
    chosen: str = "exact",
    whole: bool = False,
) -> None:
    """Shows what `eval --json` prints, each number with what it means.

    Args:
      results: as of `s2sjax.metrics.summary`, and where they are there tables, as
        `inference.summary.evaluation` has them; numbers without an explanation here
        come last.
      screen: where it is shown.
      title: above it.
      chosen: the run's `train.metric`; one of the user's own says what it means.
      whole: whether all is shown, or what is looked at first.
    """
    show(_headlines(results, title, own(chosen), whole=whole), screen)
    if results.get("baselines"):
        show(trivial(results["baselines"]), screen)
    if results.get("by_length"):
        show(_by_length(results["by_length"], "target"), screen)
    if whole and results.get("by_source_length"):
        show(_by_length(results["by_source_length"], "source"), screen)
    if results.get("by_feature"):
        show(_by_feature(results["by_feature"]), screen)
    positions = results.get("by_position")
    if positions:
        title = "Token accuracy by position in the reference"
        show(_by_position(title, positions, ("accuracy",)), screen)
    positions = results.get("exposure_by_position")
    if whole and positions:
        title = "Token accuracy by position, teacher-forced and free-running"
        show(_by_position(title, positions, ("forced", "free")), screen)
    if results.get("by_symbol"):
        _show_by_symbol(results["by_symbol"], screen)
    if results.get("confusion"):
        show(_confusion(results["confusion"]), screen)


def show_tasks(tasks: Sequence[TaskExample], screen: Screen) -> None:
    """Shows the tasks with an example each."""
    arrow = " → " if screen.unicode else " -> "
    rows = [
        (task.name, task.about, f"{task.source}{arrow}{task.output}") for task in tasks
    ]
    show(Table("", ("task", "what", "example"), rows), screen)


def _headlines(
    results: Mapping[str, Any], title: str, theirs: Metric | None, *, whole: bool
) -> Table:
    rows = []
    if "examples" in results:
        rows.append(("examples", number(results["examples"]), "evaluated"))
    known = [
        name
        for name, each in METRICS.items()
        if name in results and (whole or not each.is_aside)
    ]
    others = [name for name in results if name not in (*METRICS, "examples")]
    for name in [*known, *others]:
        if not isinstance(results[name], Mapping | list):
            about, value = metric(name), _value(name, results[name])
            if theirs is not None and theirs.label == about.label:
                about = theirs
            rows.append((about.label, value, about.meaning))
    return Table(title, ("metric", "value", "meaning"), rows, ("value",))


_TRIVIAL = {
    "most_frequent": "most frequent target",
    "copy": "copy of the source",
    "unigram": "targets by symbol",
    "bigram": "targets by pairs",
}


def trivial(found: Mapping[str, Mapping[str, Any]], title: str = "") -> Table:
    """How far one comes without a model, as `tasks.baselines` has it."""
    names = list(dict.fromkeys(name for row in found.values() for name in row))
    rows = [
        (
            _TRIVIAL.get(which, which),
            *(_value(name, row[name]) if name in row else "" for name in names),
        )
        for which, row in found.items()
    ]
    header = ("without a model", *(metric(name).label for name in names))
    return Table(title, header, rows, header[1:])


def _value(name: str, value: Any) -> str:
    if value is not None and not isinstance(value, int | float):
        return str(value)
    if metric(name).share:
        return percent(value)
    if metric(name).most == 100 and value is not None:
        return f"{value:.2f}"
    return number(value)


def _by_length(lengths: Mapping[Any, Mapping[str, Any]], side: str) -> Table:
    rows = [
        (
            str(length),
            number(lengths[length]["count"]),
            percent(lengths[length]["exact"]),
        )
        for length in sorted(lengths, key=int)
    ]
    header = (f"{side} length", "examples", "exact match")
    return Table(f"Exact match by {side} length", header, rows, header)


def _by_feature(features: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [
        (name, number(row["count"]), percent(row["exact"]))
        for name, row in list(features.items())[:ROWS]
    ]
    header = ("feature", "examples", "exact match")
    return Table("Exact match by feature of the source", header, rows, header[1:])


def _by_position(
    title: str, positions: Mapping[Any, Mapping[str, Any]], columns: Sequence[str]
) -> Table:
    last = max(map(int, positions))
    width = -(-last // ROWS)
    rows = []
    for first in range(1, last + 1, width):
        span = range(first, min(first + width, last + 1))
        known = [positions[str(p)] for p in span if str(p) in positions]
        count = sum(each["count"] for each in known)
        right = [sum(e["count"] * e[column] for e in known) for column in columns]
        name = str(first) if len(span) == 1 else f"{first} to {span[-1]}"
        shares = (percent(each / max(count, 1)) for each in right)
        rows.append((name, number(count), *shares))
    header = ("position", "symbols", *columns)
    return Table(title, header, rows, header)


def _show_by_symbol(symbols: Mapping[Any, Mapping[str, Any]], screen: Screen) -> None:
    def worst_first(symbol: Any) -> tuple[float, int]:
        entry = symbols[symbol]
        return entry["accuracy"], -entry["count"]

    wrong = [symbol for symbol in symbols if symbols[symbol]["accuracy"] < 1]
    if not wrong:
        screen.line(f"Every one of the {len(symbols)} symbols is always right.\n")
        return
    shown = sorted(wrong, key=worst_first)[:ROWS]
    rows = [
        (
            _quoted(symbol),
            number(symbols[symbol]["count"]),
            percent(symbols[symbol]["accuracy"]),
        )
        for symbol in shown
    ]
    right = len(symbols) - len(wrong)
    parts = []
    if len(shown) < len(wrong):
        parts.append(f"{len(wrong) - len(shown)} more are wrong now and then")
    if right:
        parts.append(f"{right} of {len(symbols)} symbols are always right")
    header = ("symbol", "count", "accuracy")
    title = "Token accuracy by reference symbol, lowest first"
    show(Table(title, header, rows, header[1:], "; ".join(parts)), screen)


def _confusion(confusion: Mapping[Any, Mapping[Any, int]]) -> Table:
    outputs = {symbol for row in confusion.values() for symbol in row}
    if len(outputs | set(confusion)) <= WIDEST_MATRIX:
        return _matrix(confusion, outputs)
    totals = {symbol: sum(row.values()) for symbol, row in confusion.items()}
    wrong = [
        (count, symbol, output)
        for symbol, row in confusion.items()
        for output, count in row.items()
        if str(output) != str(symbol)
    ]
    wrong.sort(key=lambda one: -one[0])
    rows = [
        (
            _quoted(symbol),
            _quoted(output),
            number(count),
            percent(count / max(totals[symbol], 1)),
        )
        for count, symbol, output in wrong[:ROWS]
    ]
    left = len(wrong) - len(rows)
    note = f"{left} rarer confusions are left out" if left else ""
    header = ("reference", "came out as", "count", "of this reference")
    return Table("The most frequent confusions", header, rows, header[2:], note)


def _matrix(confusion: Mapping[Any, Mapping[Any, int]], outputs: set[Any]) -> Table:
    columns = sorted(outputs | set(confusion), key=order)
    header = ("reference", *map(_quoted, columns))
    rows = [
        (
            _quoted(symbol),
            *(number(confusion[symbol].get(output, 0)) for output in columns),
        )
        for symbol in sorted(confusion, key=order)
    ]
    title = "Reference symbols by row, what came out by column"
    return Table(title, header, rows, header[1:])


def order(symbol: Any) -> tuple[bool, int, str]:
    """Integers by value, then everything else by name."""
    text = str(symbol)
    try:
        return False, int(text), text
    except ValueError:
        return True, 0, text


def _quoted(symbol: Any) -> str:
    """A symbol; one that would not be seen stands in quotes."""
    text = str(symbol)
    return text if text.strip() else repr(text)

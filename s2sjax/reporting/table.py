"""One table: drawn on a terminal, aligned lines for grep and cut elsewhere."""

from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.table import Table as RichTable
from rich.text import Text

from s2sjax.reporting.formats import printable
from s2sjax.reporting.screen import Screen


class Table(NamedTuple):
    """Rows of texts under a header; `right` names the columns set to the right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()
    note: str = ""


def show(table: Table, screen: Screen) -> None:
    """Writes a table; on a terminal long cells wrap, elsewhere nothing is cut."""
    rows = [[printable(cell) for cell in row] for row in table.rows]
    if not screen.terminal:
        for line in _lines(table, rows):
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


def _lines(table: Table, rows: Sequence[Sequence[str]]) -> list[str]:
    header = [printable(name) for name in table.header]
    every = [header, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*every, strict=True)]
    lines = [printable(table.title)] if table.title else []
    for row in every:
        cells = [
            " " * (width - cell_len(cell)) + cell
            if name in table.right
            else set_cell_size(cell, width)
            for cell, width, name in zip(row, widths, table.header, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return [*lines, *([printable(table.note)] if table.note else []), ""]

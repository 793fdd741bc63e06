"""The formats of files of pairs: what tells each, and what reads it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from s2sjax import compressed
from s2sjax.errors import UsageError
from s2sjax.tasks.files import json_lines, line_pairs, tables
from s2sjax.tasks.files.rows import Asked, Row, lines

Files = tuple[Path, ...]
"""The files that hold pairs together: one, or two parallel ones."""


class Format(NamedTuple):
    """A reader of files, and what it leaves unread."""

    rows: Callable[[Files, Asked], Iterator[Row]]
    unused: Callable[[Files, Asked], list[str]]  # columns; by the first line


FORMATS: dict[str, Format] = {
    "parallel": Format(line_pairs.parallel, line_pairs.unused),
    "JSON lines": Format(json_lines.rows, json_lines.unused),
    "SCAN": Format(line_pairs.scan, line_pairs.unused),
    "CSV": Format(tables.comma_separated, tables.unused_of_commas),
    "TSV": Format(tables.tab_separated, tables.unused_of_tabs),
}


def format_of(files: Files) -> str:
    """Which of `FORMATS` files have, by their number, name and first line.

    Raises:
      UsageError: a file is missing, empty or unreadable.
    """
    firsts = [next(lines(path), None) for path in files]
    for path, first in zip(files, firsts, strict=True):
        if first is None:
            raise UsageError(f"{path} is empty")
    if len(files) == 2:
        return "parallel"
    first, name = firsts[0] or "", compressed.bare(files[0].name).lower()
    if json_lines.looks(name, first):
        return "JSON lines"
    if line_pairs.is_scan(first):
        return "SCAN"
    return "CSV" if name.endswith(".csv") else "TSV"

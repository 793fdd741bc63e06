"""Files of a row a line with columns: tab-separated, or comma-separated with quotes."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from s2sjax.errors import UsageError, unknown
from s2sjax.tasks.files.rows import (
    NAMES,
    Asked,
    Row,
    lines,
    split_features,
    weight_of,
)

TAB = "\t"
DELIMITERS = ",;\t"  # of files called .csv; the one that the first line has most of

Record = tuple[int, list[str]]
"""The number of a record's first line, and what stands in its columns."""


class _Table(NamedTuple):
    """Where the columns of a table are."""

    source: int
    target: int
    features: int | None
    weight: int | None
    header: list[str]  # the names of the columns; empty where there are none


def tab_separated(files: tuple[Path, ...], asked: Asked) -> Iterator[Row]:
    """The rows of a file whose columns a tab separates; quotes are like other signs.

    Raises:
      UsageError: as FILE:LINE: a row with fewer columns, a column that is not there, a
        weight that is no number.
    """
    (path,) = files
    return _rows(path, _split(path), asked)


def comma_separated(files: tuple[Path, ...], asked: Asked) -> Iterator[Row]:
    """The rows of a file whose columns a comma (or `;`) separates (RFC 4180).

    Raises:
      UsageError: as of `tab_separated`, or a quotation that does not end.
    """
    (path,) = files
    return _rows(path, quoted(path), asked)


def unused_of_tabs(files: tuple[Path, ...], asked: Asked) -> list[str]:
    """The columns of a tab-separated file that nobody asked for."""
    return _unused(files[0], _split(files[0]), asked)


def unused_of_commas(files: tuple[Path, ...], asked: Asked) -> list[str]:
    """The columns of a comma-separated file that nobody asked for."""
    return _unused(files[0], quoted(files[0]), asked)


def _split(path: Path) -> Iterator[Record]:
    return ((number, line.split(TAB)) for number, line in enumerate(lines(path), 1))


def quoted(path: Path) -> Iterator[Record]:
    """The records of a comma-separated file; the header is one of them.

    Raises:
      UsageError: as FILE:LINE: a quotation that does not end.
    """
    numbered = enumerate(lines(path), 1)
    first = next(numbered, None)
    if first is None:
        return
    delimiter = max(DELIMITERS, key=first[1].count)
    for number, line in itertools.chain([first], numbered):
        if '"' not in line:
            yield number, line.split(delimiter)
            continue
        try:
            yield number, _cells(line, delimiter, (text for _, text in numbered))
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}") from None


def _cells(line: str, delimiter: str, more: Iterator[str]) -> list[str]:
    """The columns of a record that begins with a line; quotations may take `more`.

    Raises:
      ValueError: a quotation does not end, or not with its column.

    >>> _cells('1,"a ""b"",",', ",", iter(()))
    ['1', 'a "b",', '']
    """
    cells, at = [], 0
    while True:
        if line.startswith('"', at):
            parts, at = [], at + 1
            while True:
                end = line.find('"', at)
                if end < 0:
                    parts.append(line[at:] + "\n")
                    following = next(more, None)
                    if following is None:
                        raise ValueError("a quotation begins and does not end")
                    line, at = following, 0
                elif line.startswith('""', end):
                    parts.append(line[at : end + 1])
                    at = end + 2
                else:
                    parts.append(line[at:end])
                    at = end + 1
                    break
            if at < len(line) and line[at] != delimiter:
                raise ValueError(f"after a quotation stands {line[at:][:20]!r}")
            cells.append("".join(parts))
        else:
            end = line.find(delimiter, at)
            end = len(line) if end < 0 else end
            cells.append(line[at:end])
            at = end
        if at == len(line):
            return cells
        at += 1


def _rows(path: Path, records: Iterator[Record], asked: Asked) -> Iterator[Row]:
    first = next(records, None)
    if first is None:
        return
    table = _table(path, first, asked)
    source, target, features, weight, header = table
    most = max(at for at in table[:4] if at is not None)
    for number, cells in records if header else itertools.chain([first], records):
        try:
            cells[most]
        except IndexError:
            raise _too_few(path, number, cells, most, asked) from None
        if features is None and weight is None:
            yield Row(cells[source], cells[target], line=number)
            continue
        yield Row(
            cells[source],
            cells[target],
            () if features is None else split_features(cells[features]),
            1.0
            if weight is None
            else weight_of(
                cells[weight], f"{path}:{number}, column {_called(table, weight)}"
            ),
            line=number,
        )


def _table(path: Path, first: Record, asked: Asked) -> _Table:
    """Where the columns are that a config asks for, by the first record.

    It is a header where a column is asked for by its name, or where it names the source
    and the target, also where their columns are asked for by numbers.
    """
    number, cells = first
    names = [cell.strip() for cell in cells]
    chosen = dict(asked.columns)
    lower = [name.lower() for name in names]
    names_both = set(NAMES[:2]) <= set(lower)
    is_header = names_both or any(not text.isdecimal() for text in chosen.values())
    places = {}
    if not {"source", "target"} & chosen.keys():
        found = map(lower.index, NAMES[:2]) if names_both else (0, 1)
        places = dict(zip(NAMES, found, strict=False))
    for name, text in chosen.items():
        if text.isdecimal():
            places[name] = int(text) - 1
        elif text in names:
            places[name] = names.index(text)
        else:
            raise UsageError(f"{path}:{number}: {unknown('column', text, names)}")
    most = max(places.values())
    if most >= len(names):
        raise _too_few(path, number, cells, most, asked)
    return _Table(
        places["source"],
        places["target"],
        places.get("features"),
        places.get("weight"),
        names if is_header else [],
    )


def _too_few(
    path: Path, number: int, cells: list[str], most: int, asked: Asked
) -> UsageError:
    if len(cells) < 2 and not asked.columns:
        return UsageError(
            f"{path}:{number}: no tab; a line is source, tab, target (or name a file "
            f"with commas .csv)"
        )
    many = f"{len(cells)} column{'s' * (len(cells) != 1)}"
    why = f"; {asked} asks for column {most + 1}" if asked.columns else ""
    return UsageError(f"{path}:{number} has {many}{why or '; a row has two or more'}")


def _called(table: _Table, place: int) -> str:
    return table.header[place] if table.header else str(place + 1)


def _unused(path: Path, records: Iterable[Record], asked: Asked) -> list[str]:
    for number, cells in records:
        table = _table(path, (number, cells), asked)
        return [
            _called(table, place)
            for place in range(len(cells))
            if place not in table[:4]
        ]
    return []

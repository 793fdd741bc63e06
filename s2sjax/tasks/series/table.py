"""Files of columns, and what stands in them: numbers, times and names."""

import datetime
import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s2sjax import compressed, places
from s2sjax.errors import UsageError, unknown
from s2sjax.tasks.files.tables import quoted

LARGEST = 3e38  # what the float32 of compiled code holds
SHOWN = 40  # letters of a cell in a message
ENDINGS = (".csv", ".parquet", ".npz")
EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)


@dataclass(frozen=True)
class Table:
    """Columns of equal length, as texts or as arrays of any type."""

    name: str  # of the file
    columns: Mapping[str, np.ndarray | list[str]]  # those that were asked for
    header: tuple[str, ...]  # the names of all
    lines: np.ndarray | None = None  # [N] the line of each row; None: rows from 1 on

    def __len__(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values())))

    def where(self, row: int, *columns: str) -> str:
        """A row, and one of its columns, as a message has them."""
        place = f"{self.name}:{row + 1 if self.lines is None else self.lines[row]}"
        return ", column ".join((place, *columns))

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64 [N], NaN where a number is missing.

        Raises:
          UsageError: a text, a time, or a number that float32 does not hold.
        """
        column = self.columns[name]
        if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
            values = column.astype(np.float64)
        else:
            values = np.array(
                [self._number(cell, row, name) for row, cell in enumerate(column)]
            )
        (beyond,) = np.nonzero(np.abs(values) > LARGEST)
        if len(beyond):
            row = int(beyond[0])
            raise UsageError(
                f"{self.where(row, name)}: {values[row]:g} is not a finite number of "
                f"float32; a missing one is empty or NaN"
            )
        return values

    def are_numbers(self, name: str) -> bool:
        """Whether a column can be read by `numbers`."""
        try:
            self.numbers(name)
        except UsageError:
            return False
        return True

    def texts(self, name: str) -> np.ndarray:
        """A column as texts, -> object [N].

        Raises:
          UsageError: a cell is empty.
        """
        column = self.columns[name]
        if isinstance(column, np.ndarray):
            missing = np.array([_is_missing(cell) for cell in column.tolist()], bool)
            column = [str(cell) for cell in column.tolist()]
        else:
            column = [cell.strip() for cell in column]
            missing = np.array([not cell for cell in column], bool)
        if missing.any():
            raise UsageError(f"{self.where(int(np.argmax(missing)), name)} is empty")
        return np.array(column, object)

    def times(self, name: str) -> np.ndarray:
        """A column of times: datetime64[us] in UTC, or numbers as float64, [N].

        Raises:
          UsageError: a cell is neither a number nor a date as ISO 8601 has it.
        """
        column = self.columns[name]
        if isinstance(column, np.ndarray) and column.dtype.kind == "M":
            found = column.astype("datetime64[us]")
            if np.isnat(found).any():
                row = int(np.argmax(np.isnat(found)))
                raise UsageError(f"{self.where(row, name)} is empty")
            return found
        if isinstance(column, np.ndarray) and column.dtype.kind in "fiu":
            values = self.numbers(name)
        elif _as_number(column[0]) is None:
            moments = [self._moment(cell, row, name) for row, cell in enumerate(column)]
            return np.array(moments, "int64").astype("datetime64[us]")
        else:
            values = np.array(
                [self._step(cell, row, name) for row, cell in enumerate(column)]
            )
        if np.isnan(values).any():
            row = int(np.argmax(np.isnan(values)))
            raise UsageError(f"{self.where(row, name)} is empty")
        return values

    def _number(self, cell: Any, row: int, name: str) -> float:
        if _is_missing(cell):
            return math.nan
        number = _as_number(cell)
        if number is None:
            raise UsageError(
                f"{self.where(row, name)}: {str(cell)[:SHOWN]!r} is not a number; a "
                f"missing one is empty or NaN"
            )
        return number

    def _step(self, cell: Any, row: int, name: str) -> float:
        number = _as_number(cell)
        if number is None or not math.isfinite(number):
            raise UsageError(
                f"{self.where(row, name)}: {str(cell)[:SHOWN]!r} is not a number, as "
                f"the times before it are"
            )
        return number

    def _moment(self, cell: Any, row: int, name: str) -> int:
        moment = instant(str(cell))
        if moment is None:
            raise UsageError(
                f"{self.where(row, name)}: {str(cell)[:SHOWN]!r} is not a time; write "
                f"a number, or e.g. 2024-05-31 or 2024-05-31T18:00:00"
            )
        return moment


def instant(text: str) -> int | None:
    """Microseconds since 1970 of a time as ISO 8601 has it, in UTC; None: it is none.

    >>> instant("1970-01-02"), instant("1970-01-01T01:00:00+01:00"), instant("May")
    (86400000000, 0, None)
    """
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return (moment - EPOCH) // MICROSECOND


def read(path: Path, wanted: Sequence[str]) -> Table:
    """The columns of a file that are wanted.

    Raises:
      UsageError: it is not there, is of no known form, lacks a column, has one twice,
        or a row of it has another number of columns.
    """
    name = compressed.bare(path.name).lower()
    if name.endswith(".parquet"):
        return _parquet(path, wanted)
    return _npz(path, wanted) if name.endswith(".npz") else _csv(path, wanted)


def check(path: Path) -> None:
    """Whether a file is there, and of a known form.

    Raises:
      UsageError: it is not.
    """
    if not path.exists():
        raise UsageError(f"task.path: {path} does not exist{places.hint(path)}")
    if path.is_dir():
        raise UsageError(f"task.path={path} is a folder; a series is a file")
    if not compressed.bare(path.name).lower().endswith(ENDINGS):
        raise UsageError(
            f"task.path={path} is of no known form; a file of series ends with "
            f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        )


def of_columns(name: str, columns: Mapping[str, Any], wanted: Sequence[str]) -> Table:
    """The wanted ones of columns in memory.

    Raises:
      UsageError: one is not there, or they are not equally long.
    """
    header = tuple(map(str, columns))
    _check_header(name, header, wanted)
    arrays = {each: np.asarray(columns[each]) for each in wanted}
    for each, array in arrays.items():
        if array.ndim != 1:
            raise UsageError(
                f"{name}: column {each} has shape {array.shape}; a column has one axis"
            )
        if len(array) != len(arrays[wanted[0]]):
            raise UsageError(
                f"{name}: column {each} has {len(array)} rows and column {wanted[0]} "
                f"{len(arrays[wanted[0]])}"
            )
    if not len(arrays[wanted[0]]):
        raise UsageError(f"{name} has no rows")
    return Table(name, arrays, header)


def _csv(path: Path, wanted: Sequence[str]) -> Table:
    records = quoted(path)
    first = next(records, None)
    if first is None:
        raise UsageError(f"{path} is empty")
    header = tuple(cell.strip() for cell in first[1])
    _check_header(f"{path}:{first[0]}", header, wanted)
    at = [header.index(name) for name in wanted]
    lines, rows = [], []
    for line, cells in records:
        if len(cells) != len(header):
            raise UsageError(
                f"{path}:{line} has {len(cells)} columns; the first line has "
                f"{len(header)}"
            )
        lines.append(line)
        rows.append([cells[place] for place in at])
    if not rows:
        raise UsageError(f"{path} has a first line and no rows")
    columns = map(list, zip(*rows, strict=True))
    return Table(
        str(path), dict(zip(wanted, columns, strict=True)), header, np.array(lines)
    )


def _parquet(path: Path, wanted: Sequence[str]) -> Table:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise UsageError(
            f"task.path={path} needs pyarrow: pip install 's2sjax[series]'"
        ) from None
    try:
        header = tuple(parquet.read_schema(path).names)
        _check_header(str(path), header, wanted)
        table = parquet.read_table(path, columns=list(dict.fromkeys(wanted)))
    except UsageError:
        raise
    except Exception as error:  # pyarrow raises many kinds
        raise UsageError(f"{path} cannot be read: {error}") from None
    columns = {name: _arrow(table.column(name)) for name in wanted}
    found = of_columns(str(path), columns, wanted)
    return Table(found.name, found.columns, header)


def _arrow(column: Any) -> np.ndarray:
    """A column of pyarrow as numpy has it; nulls of numbers are NaN."""
    if str(column.type).startswith(("timestamp", "date")):
        column = column.cast("timestamp[us]")
        found: np.ndarray = column.to_numpy().astype("datetime64[us]")
    else:
        found = column.to_numpy()
    return found


def _npz(path: Path, wanted: Sequence[str]) -> Table:
    arrays = npz(path)
    return of_columns(str(path), arrays, wanted)


def npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file of numpy's.

    Raises:
      UsageError: it is none; nothing in it is executed.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # numpy and zipfile raise many kinds
        raise UsageError(f"{path} is no file of numpy's arrays: {error}") from None


def npz_names(path: Path) -> tuple[str, ...]:
    """The names of the arrays of a file of numpy's, or none."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return tuple(archive.files)
    except Exception:  # what is wrong is said where it is read
        return ()


def _check_header(where: str, header: Sequence[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in header:
            raise UsageError(f"{where}: {unknown('column', name, header)}")
        if header.count(name) > 1:
            raise UsageError(
                f"{where}: column {name} stands there {header.count(name)} times"
            )


def _as_number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _is_missing(cell: Any) -> bool:
    if isinstance(cell, str):
        return not cell.strip()
    try:
        return cell is None or bool(cell != cell)  # NaN and NaT
    except TypeError:  # pandas' NA is neither equal nor unequal
        return True

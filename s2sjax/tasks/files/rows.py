"""What a file of pairs holds, whatever its format: a row for each pair."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from s2sjax import compressed
from s2sjax.errors import UsageError

MARK = "\ufeff"  # a byte order mark, which some editors put first
NAMES = ("source", "target", "features", "weight")  # of columns


class Row(NamedTuple):
    """A pair as a file has it."""

    source: str
    target: str
    features: tuple[str, ...] = ()
    weight: float = 1.0
    references: tuple[str, ...] = ()  # further targets that are right
    line: int = 0  # of its file, on which it begins


class Asked(NamedTuple):
    """What a config asks for of files with columns, or with fields that have names."""

    columns: dict[str, str]  # of `NAMES`, those chosen: a name, or a number from 1 on
    joins: tuple[str, str] = ("", "")  # what stands between the symbols of each side

    def __str__(self) -> str:
        """As the config has it."""
        fields = {
            "task.columns": ",".join(
                self.columns[name] for name in NAMES[:2] if name in self.columns
            ),
            "task.features": self.columns.get("features", ""),
            "task.weight": self.columns.get("weight", ""),
        }
        return " and ".join(f"{name}={text}" for name, text in fields.items() if text)


def lines(path: Path, *, blank_end: bool = False) -> Iterator[str]:
    """The lines of a file in UTF-8, without their ends and without a byte order mark.

    A newline ends a line, or a carriage return and a newline, and nothing else.

    Args:
      path: of the file, which may be compressed.
      blank_end: whether blank lines at the end are lines like others.

    Raises:
      UsageError: it cannot be read, as FILE:LINE where a line is the reason.
    """
    blank = []  # lines that are at the end unless another one comes
    for number, line in enumerate(compressed.lines(path), 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{path}:{number}: byte {line[error.start]:#04x} at column "
                f"{error.start + 1} is not UTF-8"
            ) from None
        text = text.removesuffix("\n").removesuffix("\r")
        if number == 1:
            text = text.removeprefix(MARK)
        if not blank_end and not text.strip(" "):
            blank.append(text)
            continue
        yield from blank
        blank.clear()
        yield text


def split_features(text: str) -> tuple[str, ...]:
    """The tags of a text.

    >>> split_features("V;PST  1")
    ('V', 'PST', '1')
    """
    return tuple(part for part in re.split(r"[;\s]+", text) if part)


def features_of(where: str, given: Any) -> tuple[str, ...]:
    """The tags of an input, from a text with ; or blanks between, or a list.

    Raises:
      UsageError: it is neither.
    """
    if isinstance(given, str):
        return split_features(given)
    if isinstance(given, Sequence) and all(isinstance(tag, str) for tag in given):
        return tuple(given)
    raise UsageError(
        f"{where} is {given!r:.60}; features are a text, e.g. V;PST, or a list of texts"
    )


def weight_of(text: str | float, where: str) -> float:
    """The weight of a pair.

    Raises:
      UsageError: it is no finite number from 0 on.
    """
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < float("inf"):
        raise UsageError(f"{where}: the weight {text!r} is not a number from 0 on")
    return weight

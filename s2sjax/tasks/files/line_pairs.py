"""Files without columns: two parallel ones, and the commands of SCAN."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from s2sjax.errors import UsageError
from s2sjax.tasks.files.rows import Asked, Row, lines

_SCAN = re.compile(r"IN: (.*?) OUT: (.*)")


def parallel(files: tuple[Path, ...], asked: Asked) -> Iterator[Row]:
    """The pairs of two files, line by line; a blank line is an empty text.

    Raises:
      UsageError: they have different numbers of lines.
    """
    source, target = (lines(path, blank_end=True) for path in files)
    for number, (one, other) in enumerate(itertools.zip_longest(source, target)):
        if one is None or other is None:
            left = number + 1 + sum(1 for _ in (source if other is None else target))
            counts = (left, number) if other is None else (number, left)
            raise UsageError(
                f"{files[0]} has {counts[0]} lines and {files[1]} has {counts[1]}; "
                f"parallel files have the same number"
            )
        yield Row(one, other, line=number + 1)


def is_scan(first: str) -> bool:
    """Whether a file is one of SCAN, by its first line.

    >>> is_scan("IN: jump twice OUT: I_JUMP I_JUMP")
    True
    """
    return bool(_SCAN.fullmatch(first))


def scan(files: tuple[Path, ...], asked: Asked) -> Iterator[Row]:
    """The commands and actions of a file of SCAN (Lake and Baroni 2018).

    Raises:
      UsageError: a line that is not `IN: ... OUT: ...`.
    """
    (path,) = files
    for number, line in enumerate(lines(path), 1):
        found = _SCAN.fullmatch(line.rstrip(" "))
        if found is None:
            raise UsageError(f"{path}:{number} is not `IN: ... OUT: ...`, as line 1 is")
        yield Row(found[1], found[2], line=number)


def unused(files: tuple[Path, ...], asked: Asked) -> list[str]:
    """There are no columns.

    Raises:
      UsageError: some were asked for.
    """
    if asked.columns:
        raise UsageError(f"{asked}: {files[0]} has no columns")
    return []

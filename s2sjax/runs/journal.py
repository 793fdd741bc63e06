"""Metrics as JSON lines, append-only; a run that goes on writes no line twice.

Checkpoints keep a `Mark` of the journal, by which a reader tells that lines were
lost or changed since.
"""

import itertools
import json
import math
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from s2sjax import json_objects
from s2sjax.closing import Closing
from s2sjax.errors import RunError, writing
from s2sjax.runs import atomic, failpoints


class Mark(NamedTuple):
    """How much has been written to a journal."""

    lines: int = 0
    crc32: int = 0  # of all of them

    def after(self, line: bytes) -> "Mark":
        """The mark once a line, with its newline, has been added."""
        return Mark(self.lines + 1, zlib.crc32(line, self.crc32))


class Journal(Closing):
    """An open `metrics.jsonl`; when `write` returns, a kill cannot undo the line.

    `mark` is that of all lines that were ever written, whatever became of them.

    Args:
      path: the file; lines are added to it.
      mark: of the lines before; None: there are none.

    Raises:
      RunError: the file cannot be opened.
    """

    def __init__(self, path: Path, mark: Mark | None = None):
        self._path = path
        self.mark = mark or Mark()
        with writing(f"cannot write {path}", RunError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o644)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Adds the line `{"step": step, ...}`; what is not finite becomes null.

        Args:
          values: numbers, texts, and lists and dicts of them; arrays become lists.

        Raises:
          RunError: the disk is full or cannot be written; no half line is left.
        """
        line = json.dumps({"step": int(step), **plain(values)}, allow_nan=False) + "\n"
        data = line.encode()
        mark = self.mark.after(data)
        size = os.fstat(self._descriptor).st_size
        try:
            failpoints.reach("journal.write")
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            os.ftruncate(self._descriptor, size)
            raise RunError(
                f"cannot add {len(line)} bytes to {self._path}: {error.strerror}"
            ) from error
        self.mark = mark

    def close(self) -> None:
        """Closes the file; again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read(
    path: Path,
    marks: Sequence[Mark] = (),
    say: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """The lines, in order, without those that are damaged.

    A half-written last one is left out. A journal that is not there has no lines.

    Args:
      path: the file.
      marks: that checkpoints kept of it, read before it.
      say: takes one line for a person, where lines are damaged or missing.

    Raises:
      RunError: the file cannot be read.
    """
    lines = _complete_lines(path)
    entries = [_entry(line) for line in lines]
    damage = _damage(lines, entries, marks)
    if damage:
        say(f"{path}: {damage}")
    return [entry for entry in entries if entry is not None]


def truncate_after(
    path: Path,
    step: int,
    keep: Callable[[Mapping[str, Any]], bool] = lambda entry: True,
) -> Mark:
    """Drops the lines of later steps, and any that are damaged, in one replacement.

    Lines up to `step` that `keep` is false of go too.

    A run that goes on from `step` writes them again.

    Returns:
      The mark of what is left.

    Raises:
      RunError: the file cannot be replaced; the old one is intact.
    """
    mark = Mark()
    if not path.exists():
        return mark
    left = []
    for line in _complete_lines(path):
        entry = _entry(line)
        if entry is not None and entry["step"] <= step and keep(entry):
            left.append(line)
            mark = mark.after(line)
    data = b"".join(left)
    with writing(f"cannot write {path}", RunError):
        if path.read_bytes() != data:
            atomic.write_bytes(path, data)
    return mark


def plain(value: Any) -> Any:
    """Numbers and arrays as strict JSON has them.

    >>> plain({"loss": float("nan"), "lengths": (1, 2)})
    {'loss': None, 'lengths': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value


def _complete_lines(path: Path) -> list[bytes]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    return [line + b"\n" for line in lines[:-1]]


class _Line(TypedDict):
    """What every line has."""

    step: int
    kind: str


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry: dict[str, Any] = json_objects.loads(line)
        json_objects.checked(entry, _Line)
    except ValueError:
        return None
    return entry


def _damage(
    lines: Sequence[bytes],
    entries: Sequence[dict[str, Any] | None],
    marks: Sequence[Mark],
) -> str:
    """What is damaged or missing, and from where on; nothing where all is whole."""
    after = list(itertools.accumulate(lines, Mark.after, initial=Mark()))
    whole = [mark for mark in marks if mark in after]
    illegible = [place for place, entry in enumerate(entries) if entry is None]
    if not illegible and len(whole) == len(marks):
        return ""
    written = max([len(lines), *(mark.lines for mark in marks)])
    lost = len(illegible) + written - len(lines)
    # Where no line looks damaged, the last mark that still holds says where to look.
    sound = illegible[0] if illegible else max([0, *(mark.lines for mark in whole)])
    step = next((entry["step"] for entry in entries[:sound][::-1] if entry), 0)
    what = f"{lost} of {written} lines are damaged or missing"
    if not lost:
        what = f"some of its {written} lines were changed"
    return f"{what}, after line {sound} (step {step})"

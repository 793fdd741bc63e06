"""Metrics as JSON lines: append-only, one line per log, never a word twice."""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from s2sjax import failpoints
from s2sjax.errors import RunError
from s2sjax.training import atomic


class Journal:
    """An open `metrics.jsonl`; when `write` returns, a kill cannot undo the line.

    Raises:
      RunError: the file cannot be opened.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}") from None

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Adds the line `{"step": step, ...}`; what is not finite becomes null.

        Args:
          values: numbers, texts, and lists and dicts of them; arrays become lists.

        Raises:
          RunError: the disk is full or cannot be written; no half line is left.
        """
        line = json.dumps({"step": int(step), **plain(values)}, allow_nan=False) + "\n"
        data = line.encode()
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

    def close(self) -> None:
        """Closes the file; again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The lines, in order; a half-written last one is left out.

    A journal that is not there has no lines.

    Raises:
      RunError: a line before the last is no JSON object, with its number.
    """
    lines = _complete_lines(path)
    entries = [_entry(line) for line in lines]
    for number, entry in enumerate(entries, start=1):
        if entry is None:
            raise RunError(f"{path}:{number} is damaged: not a JSON object with a step")
    return [entry for entry in entries if entry is not None]


def truncate_after(
    path: Path,
    step: int,
    keep: Callable[[Mapping[str, Any]], bool] = lambda entry: True,
) -> None:
    """Drops the lines of later steps, and any that are damaged, in one replacement.

    Lines up to `step` that `keep` is false of go too.

    A run that goes on from `step` writes them again.

    Raises:
      RunError: the file cannot be replaced; the old one is intact.
    """
    if not path.exists():
        return
    kept = []
    for line in _complete_lines(path):
        entry = _entry(line)
        if entry is not None and entry["step"] <= step and keep(entry):
            kept.append(line)
    text = b"".join(kept).decode()
    try:
        if path.read_bytes() != text.encode():
            atomic.write_text(path, text)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from None


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
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    return [line for line in lines if line.endswith(b"\n")]


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(entry, dict) and isinstance(entry.get("step"), int):
        return entry
    return None

"""Vectors of symbols from text files: what embeddings begin with.

GloVe's form is a line for each symbol: it, then its numbers. word2vec's and fastText's
have a first line besides, with how many symbols and numbers there are. A file is
streamed, and the rows of a vocabulary alone are kept.
"""

import contextlib
import functools
import hashlib
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s2sjax import compressed, places
from s2sjax.config import Config, ModelConfig
from s2sjax.errors import UsageError
from s2sjax.models import embeddings
from s2sjax.models.embeddings import Vectors
from s2sjax.runs import bundle, run_files
from s2sjax.runs.run_files import Embeddings
from s2sjax.tasks import Task
from s2sjax.tasks.vocabulary import Symbol
from s2sjax.types import SYMBOLS


class Read(NamedTuple):
    """The vectors of a vocabulary that are in a file."""

    vectors: Vectors
    noted: Embeddings
    note: str  # what to say of it


def check(config: ModelConfig) -> None:
    """Looks at the first vector of each file that a model names.

    Raises:
      UsageError: there is no such file, or its vectors are of another size.
    """
    for field in embeddings.tables(config):
        file = getattr(config, field)
        if file:
            _Form.of(f"model.{field}", file, config.embedding)


def read(config: Config, task: Task, kept: Path | None = None) -> dict[str, Read]:
    """The vectors of a task's symbols, by the field that names their file.

    Args:
      config: names the files.
      task: has the symbols.
      kept: a folder in which others look for what is read here, and this for what they
        have read; the trials of a sweep do so. None: the files are read.

    Raises:
      UsageError: a file that is not there, is of another size, has none of the
        symbols, or a line that is no vector, as FILE:LINE.
    """
    found = {}
    for field, path in embeddings.tables(config.model).items():
        file = getattr(config.model, field)
        if not file:
            continue
        of_target = path[0] == "decoder"
        vocabulary = task.target_vocabulary if of_target else task.source_vocabulary
        name, size = f"model.{field}", config.model.embedding
        status = _status(name, file)
        shape = len(vocabulary), size
        of_rows = status, vocabulary.symbols, shape
        there = None
        if kept is not None:
            key = repr((os.path.realpath(file), *of_rows)).encode()
            there = kept / f"vectors-{hashlib.sha256(key).hexdigest()[:32]}.npz"
        rows = None if there is None else _kept(there, shape)
        if rows is None:
            rows = _rows(name, file, *of_rows)
            if there is not None:
                _keep(there, rows)
        found[field] = _told(name, file, len(vocabulary.symbols), rows)
    return found


def of_fields(read: Mapping[str, Read]) -> dict[str, Vectors]:
    """The vectors alone, as `first_state` takes them."""
    return {field: each.vectors for field, each in read.items()}


class _Form(NamedTuple):
    """What the first line of a file says."""

    size: int  # of a vector
    vectors: int | None  # how many there are, where the line says it

    @classmethod
    def of(cls, field: str, file: str, wanted: int) -> "_Form":
        """That of a file whose vectors are of the size that is wanted.

        Raises:
          UsageError: there is no such file, or they are not.
        """
        _status(field, file)
        first = next(iter(compressed.lines(Path(file))), b"")
        parts = first.split()
        if len(parts) == 2 and all(part.isdigit() for part in parts):
            form = cls(int(parts[1]), int(parts[0]))
        else:
            numbers = list(itertools.takewhile(_is_number, reversed(parts)))
            form = cls(min(len(numbers), len(parts) - 1), None)
        if form.size < 1:
            raise UsageError(
                f"{field}: {file}:1 is no vector; a line is a symbol and its numbers, "
                f"as in GloVe, or there is a first line as in word2vec and fastText"
            )
        if form.size != wanted:
            raise UsageError(
                f"{field}: the vectors of {file} have {form.size} numbers, and "
                f"model.embedding={wanted}; use model.embedding={form.size}"
            )
        return form


def _status(field: str, file: str) -> tuple[int, int]:
    """What changes with a file's content.

    Raises:
      UsageError: there is no such file.
    """
    if not os.path.isfile(file):
        near = places.hint(Path(file))
        raise UsageError(f"{field}: there is no file {file}{near}")
    status = os.stat(file)
    return status.st_mtime_ns, status.st_size


class _Rows(NamedTuple):
    """What a file has of a vocabulary."""

    vectors: Vectors
    sha256: str  # of the file


def _kept(there: Path, shape: tuple[int, int]) -> _Rows | None:
    """What another trial has read; None where none has, or where it is damaged."""
    try:
        arrays = bundle.unpack(there.read_bytes())
        known, rows = arrays["known"], arrays["rows"]
        digest = arrays["sha256"].tobytes().hex()
    except (OSError, UsageError, KeyError):
        return None
    is_whole = known.shape == shape[:1] and rows.shape == shape
    return _Rows(Vectors(known, rows), digest) if is_whole else None


def _keep(there: Path, rows: _Rows) -> None:
    """Leaves what was read to other trials, where that can be."""
    digest = np.frombuffer(bytes.fromhex(rows.sha256), np.uint8)
    arrays = {**rows.vectors._asdict(), "sha256": digest}
    half = there.with_name(f".{there.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        there.parent.mkdir(exist_ok=True)
        half.write_bytes(bundle.pack(arrays))
        os.replace(half, there)


def _told(field: str, file: str, symbols: int, rows: _Rows) -> Read:
    """The rows, and what there is to note and to say of them."""
    found = int(rows.vectors.known.sum())
    noted = Embeddings(file=file, sha256=rows.sha256, symbols=symbols, found=found)
    note = (
        f"{field}={file}: {found:,} of {symbols:,} symbols have a vector "
        f"({found / symbols:.1%}); the others begin with a draw"
    )
    return Read(rows.vectors, noted, note)


# The trials of a sweep that are trained in one process read a file once.
@functools.lru_cache(maxsize=2)
def _rows(
    field: str,
    file: str,
    status: tuple[int, int],
    symbols: tuple[Symbol, ...],
    shape: tuple[int, int],
) -> _Rows:
    size = shape[1]
    form = _Form.of(field, file, size)
    ids = {str(symbol).encode(): SYMBOLS + i for i, symbol in enumerate(symbols)}
    known, rows = np.zeros(shape[0], bool), np.zeros(shape, np.float32)
    lines, first = 0, 1 if form.vectors is None else 2
    for number, line in enumerate(compressed.lines(Path(file)), 1):
        if number < first or not line.strip():
            continue
        lines += 1
        # From the end: some files have symbols with blanks in them.
        symbol, *numbers = line.rsplit(None, size)
        parts = symbol.split()
        if len(numbers) < size or (len(parts) > 1 and _is_number(parts[-1])):
            raise UsageError(
                f"{field}: {file}:{number} is not a symbol and {size} numbers"
            )
        place = ids.get(symbol)
        if place is None or known[place]:  # of two the first counts
            continue
        try:
            rows[place] = [float(each) for each in numbers]
        except ValueError:
            rows[place] = np.nan
        if not np.isfinite(rows[place]).all():
            raise UsageError(f"{field}: {file}:{number} has what is no finite number")
        known[place] = True
    if form.vectors is not None and lines != form.vectors:
        raise UsageError(
            f"{field}: {file} says that it has {form.vectors:,} vectors and has "
            f"{lines:,}; it is damaged, or ends early"
        )
    if not known.any():
        raise UsageError(
            f"{field}={file}: 0 of {len(symbols):,} symbols have a vector; it is of "
            f"another language, level or task"
        )
    return _Rows(Vectors(known, rows), run_files.sha256(field, file))


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

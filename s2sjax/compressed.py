"""Files as they are read: unpacked where they are compressed, whatever their name.

Imports no jax.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from s2sjax import places
from s2sjax.errors import UsageError

# How compressed files begin, none of them as text does, and what reads them.
_FORMS: dict[str, tuple[bytes, Callable[[Any], Any] | None]] = {
    ".gz": (rb"\x1f\x8b\x08", gzip.open),
    ".bz2": (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", bz2.open),
    ".xz": (rb"\xfd7zXZ\x00", lzma.open),
    ".zip": (rb"PK\x03\x04", None),
    ".zst": (rb"\x28\xb5\x2f\xfd", None),
    ".7z": (rb"7z\xbc\xaf\x27\x1c", None),
}
_LONGEST = 16  # bytes of a beginning
SUFFIXES = tuple(name for name, (_, reader) in _FORMS.items() if reader)


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their ends, as bytes: a lone carriage return ends none.

    Raises:
      UsageError: it cannot be read, or is damaged.
    """
    if not os.path.exists(path):
        raise UsageError(f"{path} does not exist{places.hint(path)}")
    if not os.path.isfile(path):
        raise UsageError(f"{path} is not a file")
    with _told(str(path)), path.open("rb") as file, _unpacked(file, str(path)) as whole:
        yield from whole


def content(packed: bytes, name: str) -> bytes:
    """What bytes hold, which may be compressed.

    Args:
      packed: of a file, or of a stream.
      name: of it, for errors.

    Raises:
      UsageError: they are damaged, or compressed in another way.
    """
    file = io.BytesIO(packed)
    with _told(name), _unpacked(file, name) as whole:
        return packed if whole is file else whole.read()


def bare(name: str) -> str:
    """A name without the suffix of a compressed file.

    >>> bare("train.tsv.gz"), bare("train.tsv")
    ('train.tsv', 'train.tsv')
    """
    return next((name.removesuffix(s) for s in SUFFIXES if name.endswith(s)), name)


def _unpacked(file: IO[bytes], name: str) -> IO[bytes]:
    begin = file.read(_LONGEST)
    file.seek(0)
    for suffix, (pattern, reader) in _FORMS.items():
        if not re.match(pattern, begin):
            continue
        if reader is None:
            *others, last = SUFFIXES
            raise UsageError(
                f"{name} is compressed, as {suffix} files are; unpack it, or compress "
                f"it as {', '.join(others)} or {last}"
            )
        unpacked: IO[bytes] = reader(file)
        return unpacked
    return file


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise UsageError(f"{name} is compressed and ends early") from None
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise UsageError(f"{name} is compressed and damaged: {error}") from None
    except OSError as error:
        if error.strerror is None:  # bz2 has no error of its own for damage
            raise UsageError(f"{name} is compressed and damaged: {error}") from None
        raise UsageError(f"{name} cannot be read: {error.strerror}") from None

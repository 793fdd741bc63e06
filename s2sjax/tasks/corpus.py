"""Reading pairs of texts from files, in pieces, with an error for every bad line."""

import bz2
import gzip
import hashlib
import itertools
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from s2sjax.errors import UsageError
from s2sjax.tasks.task import SPLITS, VALID_NAMES
from s2sjax.tasks.vocabulary import normalised

CHUNK = 4096  # pairs read at a time
MARK = "\ufeff"  # a byte order mark, which some editors put first
TRAIN, VALID, TEST = range(len(SPLITS))
SIDES = ("src", "trg")  # how the names of parallel files end
LAYOUT = "train, valid (or dev, or val) and test as .src and .trg"

# How compressed files begin, none of them as text does, and what reads them.
COMPRESSED: dict[bytes, tuple[str, Callable[[Path], Any] | None]] = {
    b"\x1f\x8b": (".gz", gzip.open),
    b"BZh91AY&SY": (".bz2", bz2.open),
    b"\xfd7zXZ\x00": (".xz", lzma.open),
    b"PK\x03\x04": (".zip", None),
    b"\x28\xb5\x2f\xfd": (".zst", None),
}
SUFFIXES = tuple(name for name, reader in COMPRESSED.values() if reader)


class Chunk(NamedTuple):
    """Some pairs in a row."""

    start: int  # the number of the first, over all files
    sources: list[str]
    targets: list[str]
    splits: np.ndarray  # [n] uint8, positions in SPLITS


@dataclass(frozen=True)
class Corpus:
    """Pairs in files: a tab-separated one, or two parallel ones for each split."""

    files: tuple[Path, ...]
    hashes: tuple[str, ...]  # the SHA-256 of what each file holds, uncompressed
    pairs: tuple[int, ...]  # for each file, or for each pair of parallel files
    valid_share: float = 0.0
    test_share: float = 0.0
    normal_form: str | None = None  # that texts are brought into

    @property
    def size(self) -> int:
        """All pairs."""
        return sum(self.pairs)

    def chunks(self) -> Iterator[Chunk]:
        """All pairs, in order, `CHUNK` at a time.

        Raises:
          UsageError: a line that cannot be used, as FILE:LINE.
        """
        if len(self.files) == 1:
            yield from self._tab_separated()
        else:
            yield from self._parallel()

    def _tab_separated(self) -> Iterator[Chunk]:
        first_test = self.size - round(self.size * self.test_share)
        start = 0
        for lines in _pieces(itertools.islice(self._texts(self.files[0]), self.size)):
            pairs = [line.split("\t") for line in lines]
            for number, pair in enumerate(pairs, start + 1):
                if len(pair) < 2:
                    raise UsageError(
                        f"{self.files[0]}:{number}: no tab; a line is source, tab, "
                        "target"
                    )
            sources = [pair[0] for pair in pairs]
            splits = np.array(
                [
                    TEST if start + i >= first_test else self._first_part(source)
                    for i, source in enumerate(sources)
                ],
                np.uint8,
            )
            yield Chunk(start, sources, [pair[1] for pair in pairs], splits)
            start += len(lines)

    def _texts(self, file: Path) -> Iterator[str]:
        return (normalised(line, self.normal_form) for line in _lines(file))

    def _first_part(self, source: str) -> int:
        # By the source itself, so that a source with several targets is on one side.
        digest = hashlib.blake2b(source.encode(), digest_size=8).digest()
        share = int.from_bytes(digest, "little") / 2**64
        return VALID if share < self.valid_share else TRAIN

    def _parallel(self) -> Iterator[Chunk]:
        start = 0
        for split in range(len(SPLITS)):
            source, target = self.files[2 * split : 2 * split + 2]
            both = zip(
                _pieces(self._texts(source)), _pieces(self._texts(target)), strict=True
            )
            for sources, targets in both:
                splits = np.full(len(sources), split, np.uint8)
                yield Chunk(start, sources, targets, splits)
                start += len(sources)


def open_corpus(
    path: Path,
    valid_share: float,
    test_share: float,
    normal_form: str | None = None,
) -> Corpus:
    """The corpus at a path: a tab-separated file, or a folder of parallel files.

    Raises:
      UsageError: a missing, empty or unreadable file, or parallel files with
        different numbers of lines.
    """
    if not os.path.isdir(path):  # which raises nothing, whatever the name
        table = _measured(path)
        return Corpus(
            (path,),
            (table.sha256,),
            (table.rows,),
            valid_share,
            test_share,
            normal_form=normal_form,
        )
    files, hashes, pairs = [], [], []
    for split in SPLITS:
        source, target = _sides(path, _file_name(path, split))
        measured = _measured(source), _measured(target)
        counts = [file.lines for file in measured]
        if counts[0] != counts[1]:
            raise UsageError(
                f"{source} has {counts[0]} lines and {target} has {counts[1]}; "
                "parallel files have the same number"
            )
        files += [source, target]
        hashes += [file.sha256 for file in measured]
        pairs.append(counts[0])
    return Corpus(tuple(files), tuple(hashes), tuple(pairs), normal_form=normal_form)


class _Measured(NamedTuple):
    """What is known of a file before its lines are taken apart."""

    lines: int
    rows: int  # lines up to the last one that is not blank
    sha256: str


def _sides(folder: Path, name: str) -> tuple[Path, ...]:
    return tuple(_as_it_is(folder / f"{name}.{side}") for side in SIDES)


def _file_name(folder: Path, split: str) -> str:
    """What the files of a split are called in a folder.

    Raises:
      UsageError: there are validation files of several names.
    """
    names = VALID_NAMES if split == VALID_NAMES[0] else (split,)
    there = [n for n in names if any(side.exists() for side in _sides(folder, n))]
    if len(there) > 1:
        raise UsageError(
            f"{folder} has files of {' and of '.join(there)}, which are names of one "
            f"split; keep those of one"
        )
    return there[0] if there else split


def _as_it_is(path: Path) -> Path:
    """A file of a folder, or its compressed form where that alone is there."""
    forms = (path.with_name(path.name + suffix) for suffix in SUFFIXES)
    return path if path.exists() else next((p for p in forms if p.exists()), path)


def _measured(path: Path) -> _Measured:
    lines, rows, digest = 0, 0, hashlib.sha256()
    for line in raw_lines(path):
        lines += 1
        if line.strip(b" \r\n"):
            rows = lines
        digest.update(line)
    if rows == 0:
        raise UsageError(f"{path} is empty")
    return _Measured(lines, rows, digest.hexdigest())


def _lines(path: Path) -> Iterator[str]:
    for number, line in enumerate(raw_lines(path), 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{path}:{number}: byte {line[error.start]:#04x} at column "
                f"{error.start + 1} is not UTF-8"
            ) from None
        text = text.removesuffix("\n").removesuffix("\r")
        yield text.removeprefix(MARK) if number == 1 else text


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, uncompressed, with their ends.

    As bytes, because text mode would also cut lines at a lone carriage return.
    """
    try:
        with _opened(path) as file:
            yield from file
    except EOFError:
        raise UsageError(f"{path} is compressed and ends early") from None
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise UsageError(f"{path} is compressed and damaged: {error}") from None
    except OSError as error:
        why = error.strerror or error  # bz2 has no error of its own for damage
        raise UsageError(f"{path} cannot be read: {why}") from None


def _opened(path: Path) -> IO[bytes]:
    if not os.path.exists(path):
        raise UsageError(
            f"{path} does not exist; task.path is a tab-separated file or "
            f"a folder with {LAYOUT}"
        )
    if not os.path.isfile(path):
        raise UsageError(f"{path} is not a file")
    with path.open("rb") as file:
        begin = file.read(max(map(len, COMPRESSED)))
    for mark, (name, reader) in COMPRESSED.items():
        if begin.startswith(mark):
            if reader is None:
                raise UsageError(
                    f"{path} is compressed, as {name} files are; unpack it, or "
                    f"compress it as {', '.join(SUFFIXES)}"
                )
            compressed: IO[bytes] = reader(path)
            return compressed
    return path.open("rb")


def _pieces(lines: Iterator[str]) -> Iterator[list[str]]:
    piece: list[str] = []
    for line in lines:
        piece.append(line)
        if len(piece) == CHUNK:
            yield piece
            piece = []
    if piece:
        yield piece

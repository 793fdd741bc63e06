"""Reading pairs of texts from files, in pieces, with an error for every bad line."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s2sjax.errors import UsageError
from s2sjax.tasks.task import SPLITS

CHUNK = 4096  # pairs read at a time
MARK = "\ufeff"  # a byte order mark, which some editors put first
TRAIN, VALID, TEST = range(len(SPLITS))
PARALLEL = ("train", "dev", "test")  # names of parallel files, in the order of SPLITS


class Chunk(NamedTuple):
    """Some pairs in a row."""

    start: int  # the number of the first, over all files
    sources: list[str]
    targets: list[str]
    splits: np.ndarray  # [n] uint8, positions in SPLITS


@dataclass(frozen=True)
class Corpus:
    """Pairs in files: a tab-separated one, or `train`, `dev` and `test` in parallel."""

    files: tuple[Path, ...]
    pairs: tuple[int, ...]  # for each file, or for each pair of parallel files
    valid_share: float = 0.0
    test_share: float = 0.0

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
        for lines in _pieces(_lines(self.files[0])):
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

    def _first_part(self, source: str) -> int:
        # By the source itself, so that a source with several targets is on one side.
        digest = hashlib.blake2b(source.encode(), digest_size=8).digest()
        share = int.from_bytes(digest, "little") / 2**64
        return VALID if share < self.valid_share else TRAIN

    def _parallel(self) -> Iterator[Chunk]:
        start = 0
        for split in range(len(SPLITS)):
            source, target = self.files[2 * split : 2 * split + 2]
            both = zip(_pieces(_lines(source)), _pieces(_lines(target)), strict=True)
            for sources, targets in both:
                splits = np.full(len(sources), split, np.uint8)
                yield Chunk(start, sources, targets, splits)
                start += len(sources)


def open_corpus(path: Path, valid_share: float, test_share: float) -> Corpus:
    """The corpus at a path: a tab-separated file, or a folder of parallel files.

    Raises:
      UsageError: a missing, empty or unreadable file, or parallel files with
        different numbers of lines.
    """
    if not path.is_dir():
        return Corpus((path,), (_count(path),), valid_share, test_share)
    files, pairs = [], []
    for name in PARALLEL:
        source, target = path / f"{name}.src", path / f"{name}.trg"
        counts = _count(source), _count(target)
        if counts[0] != counts[1]:
            raise UsageError(
                f"{source} has {counts[0]} lines and {target} has {counts[1]}; "
                "parallel files have the same number"
            )
        files += [source, target]
        pairs.append(counts[0])
    return Corpus(tuple(files), tuple(pairs))


def _count(path: Path) -> int:
    if not path.exists():
        raise UsageError(
            f"{path} does not exist; task.path is a tab-separated file or "
            "a folder with train, dev and test as .src and .trg"
        )
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    count, last = 0, b"\n"
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                count += piece.count(b"\n")
                last = piece[-1:]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    count += last != b"\n"
    if count == 0:
        raise UsageError(f"{path} is empty")
    return count


def _lines(path: Path) -> Iterator[str]:
    # As bytes, because text mode would also cut lines at a lone carriage return.
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise UsageError(
                    f"{path}:{number}: byte {line[error.start]:#04x} at column "
                    f"{error.start + 1} is not UTF-8"
                ) from None
            text = text.removesuffix("\n").removesuffix("\r")
            yield text.removeprefix(MARK) if number == 1 else text


def _pieces(lines: Iterator[str]) -> Iterator[list[str]]:
    piece: list[str] = []
    for line in lines:
        piece.append(line)
        if len(piece) == CHUNK:
            yield piece
            piece = []
    if piece:
        yield piece

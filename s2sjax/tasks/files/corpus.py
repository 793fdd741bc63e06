"""All pairs of a config's files, in pieces, each with its split."""

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s2sjax import compressed
from s2sjax.config import TaskConfig, fields
from s2sjax.errors import UsageError
from s2sjax.runs.bundle import Known
from s2sjax.tasks.files.formats import FORMATS
from s2sjax.tasks.files.rows import NAMES, Asked, Row
from s2sjax.tasks.files.sources import TEST, TRAIN, VALID, Source, formats, sources
from s2sjax.tasks.task import SPLITS
from s2sjax.tasks.vocabulary import Vocabulary

CHUNK = 4096  # pairs read at a time


class Chunk(NamedTuple):
    """Some pairs in a row. A row with several references is several pairs."""

    start: int  # the number of the first, over all files
    sources: list[str]
    targets: list[str]
    splits: np.ndarray  # [n] uint8, positions in SPLITS
    features: list[tuple[str, ...]]  # the tags of each
    weights: np.ndarray  # [n] float32


@dataclass(frozen=True)
class Corpus:
    """Pairs in files, those of training before others."""

    sources: tuple[Source, ...]
    formats: tuple[str, ...]  # of each, names in `FORMATS`
    asked: Asked
    valid_share: float = 0.0  # of the training sources, kept for validation
    test_share: float = 0.0  # of the rows or sources of training, held out
    by_hash: bool = False  # whether the test part is one of sources, or the last rows
    formed: Callable[[str], str] = str  # a source as it is read

    @functools.cached_property
    def known(self) -> tuple[Known, ...]:
        """Each file, in order.

        Raises:
          UsageError: one cannot be read.
        """
        return tuple(
            _known(source.field, path)
            for source in self.sources
            for path in source.files
        )

    @property
    def unused(self) -> list[str]:
        """What to say of columns that nobody asked for: a line a format and columns."""
        columns: dict[tuple[str, ...], Path] = {}
        for source, name in zip(self.sources, self.formats, strict=True):
            unused = FORMATS[name].unused(source.files, self.asked)
            columns.setdefault(tuple(unused), source.files[0])
        return [
            f"{path.name}: {'columns' if names[1:] else 'column'} {', '.join(names)} "
            f"{'are' if names[1:] else 'is'} not used"
            for names, path in columns.items()
            if names
        ]

    def chunks(self) -> Iterator[Chunk]:
        """All pairs, in order, `CHUNK` or a few more at a time.

        Raises:
          UsageError: a line that cannot be used, as FILE:LINE.
        """
        start = 0
        pairs = self._pairs()
        while piece := list(itertools.islice(pairs, CHUNK)):
            sources, targets, splits, features, weights = zip(*piece, strict=True)
            yield Chunk(
                start,
                list(sources),
                list(targets),
                np.array(splits, np.uint8),
                list(features),
                np.array(weights, np.float32),
            )
            start += len(piece)

    def where(self) -> Callable[[int], str]:
        """Where a pair stands, by its number: `FILE:LINE`; reads the files again."""
        found = [
            (place, row.line)
            for place, source in enumerate(self.sources)
            for row in FORMATS[self.formats[place]].rows(source.files, self.asked)
            for _ in (row.target, *row.references)
        ]
        places, lines = np.array(found, np.int32).T

        def of(number: int) -> str:
            return f"{self.sources[places[number]].files[0].name}:{lines[number]}"

        return of

    def _pairs(self) -> Iterator[tuple[str, str, int, tuple[str, ...], float]]:
        first_test = self._first_test()
        number = 0  # of a row of training
        for source, name in zip(self.sources, self.formats, strict=True):
            for row in FORMATS[name].rows(source.files, self.asked):
                split = source.split
                if split == TRAIN:
                    split = TEST if number >= first_test else self._part(row.source)
                    number += 1
                for target in (row.target, *row.references):
                    yield row.source, target, split, row.features, row.weight

    def _first_test(self) -> float:
        """The row of training with which the test part begins."""
        if self.by_hash or not self.test_share:
            return float("inf")
        rows = sum(1 for _ in self._training_rows())
        return rows - round(rows * self.test_share)

    def _training_rows(self) -> Iterator[Row]:
        for source, name in zip(self.sources, self.formats, strict=True):
            if source.split == TRAIN:
                yield from FORMATS[name].rows(source.files, self.asked)

    def _part(self, source: str) -> int:
        # By the source itself, so that a source with several targets is on one side.
        if not self.valid_share and not self.test_share:
            return TRAIN
        digest = hashlib.blake2b(self.formed(source).encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "little") / 2**64
        test = self.test_share if self.by_hash else 0.0
        if place >= 1 - test:
            return TEST
        return VALID if place < self.valid_share * (1 - test) else TRAIN


def open_corpus(task: TaskConfig, joins: tuple[str, str] = (" ", " ")) -> Corpus:
    """The corpus of a config, whose files are there and have what it asks for.

    Args:
      task: names the files and their columns.
      joins: what stands between the symbols of a source, and of a target.

    Raises:
      UsageError: a missing, empty or unreadable file, a column that is not there, or
        shares of a split that has files of its own.
    """
    found = sources(task)
    there = {source.split for source in found}
    for name, split in (("valid_share", VALID), ("test_share", TEST)):
        if split in there:
            _check_default(task, name, f"{SPLITS[split]} has files of its own")
    if TEST in there:
        _check_default(task, "split", f"{SPLITS[TEST]} has files of its own")
    form = Vocabulary("char", (), task.normalise, task.lowercase).formed
    corpus = Corpus(
        found,
        formats(found),
        Asked(_columns(task), joins),
        valid_share=0.0 if VALID in there else task.valid_share,
        test_share=0.0 if TEST in there else task.test_share,
        by_hash=task.split == "hash",
        formed=form if task.normalise or task.lowercase else str,
    )
    _ = corpus.unused  # finds the columns
    return corpus


def _columns(task: TaskConfig) -> dict[str, str]:
    names = [name.strip() for name in task.columns.split(",")] if task.columns else []
    if names and (len(names) != 2 or not all(names)):
        raise UsageError(
            f"task.columns={task.columns} is not two names or numbers with a comma "
            f"between, source first, e.g. source,target or 2,1"
        )
    given = [*(names or ["", ""]), task.features.strip(), task.weight.strip()]
    columns = {name: text for name, text in zip(NAMES, given, strict=True) if text}
    for name, text in columns.items():
        if text.isdecimal() and int(text) < 1:
            raise UsageError(f"task.{name}: column {text}; the first column is 1")
    return columns


def _check_default(task: TaskConfig, name: str, why: str) -> None:
    value = getattr(task, name)
    if value != fields()[f"task.{name}"].default:
        raise UsageError(f"task.{name}={value} means nothing where {why}")


def _known(field: str, path: Path) -> Known:
    size, digest = 0, hashlib.sha256()
    for line in compressed.lines(path):
        size += len(line)
        digest.update(line)
    return Known(field, str(path), size, digest.hexdigest())

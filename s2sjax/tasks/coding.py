"""From many texts to a vocabulary, and from texts to its ids, by arrays."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from s2sjax.tasks.levels import Numbers, Symbol
from s2sjax.tasks.stored import smallest_type
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.types import SYMBOLS, UNK


class Coding:
    """Counts the symbols of one side of a corpus, and turns its texts into ids.

    >>> coding = Coding(Vocabulary("word", ()))
    >>> coding.count(["to be, or not", "to be"])
    >>> vocabulary = coding.vocabulary(min_count=2)
    >>> vocabulary.symbols, coding.encode(["not to be"], vocabulary).tolist()
    (('be', 'to'), [3, 5, 4])
    """

    def __init__(self, like: Vocabulary) -> None:
        """Begins with nothing counted.

        Args:
          like: a vocabulary of the same level and form; its symbols, where it has
            some, are those of the side.
        """
        self._like = like
        self._numbering = like.level.numbering()
        self._counts = np.zeros(0, np.int64)
        self._ids = np.zeros(0, np.uint8)  # by number; the last is of all beyond
        self._encodes: Vocabulary | None = None

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        """Symbols in each text: [n] int32."""
        return self._numbers(texts).lengths

    def count(self, texts: Sequence[str]) -> None:
        """Adds training texts to the counts."""
        more = np.bincount(self._numbers(texts).flat)
        if len(more) > len(self._counts):
            self._counts, more = more.astype(np.int64), self._counts
        self._counts[: len(more)] += more

    def vocabulary(self, min_count: int = 1, most: int | None = None) -> Vocabulary:
        """The symbols seen at least `min_count` times, the most frequent first.

        Args:
          min_count: at least 1.
          most: how many there are at most; None: all.
        """
        if self._like.symbols:
            return self._like
        seen = np.flatnonzero(self._counts >= min_count)
        counts = (-self._counts[seen]).tolist()
        symbols = self._numbering.symbols(seen.tolist())
        kept = [symbol for _, symbol in sorted(zip(counts, symbols, strict=True))]
        return dataclasses.replace(self._like, symbols=tuple(kept[:most]))

    def encode(self, texts: Sequence[str], vocabulary: Vocabulary) -> np.ndarray:
        """The ids of all texts, one after the other, UNK for unknown symbols."""
        if self._encodes is not vocabulary:
            self._encodes = vocabulary
            self._ids = self._table(vocabulary.symbols, len(vocabulary))
        flat = self._numbers(texts).flat
        return self._ids[np.minimum(flat, len(self._ids) - 1)]

    def _numbers(self, texts: Sequence[str]) -> Numbers:
        return self._numbering.of([self._like.formed(text) for text in texts])

    def _table(self, symbols: Sequence[Symbol], size: int) -> np.ndarray:
        numbers = self._numbering.numbers(symbols)
        table = np.full(int(numbers.max(initial=-1)) + 2, UNK, smallest_type(size))
        table[numbers] = SYMBOLS + np.arange(len(symbols))
        return table

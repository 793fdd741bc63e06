"""From many texts to a vocabulary and to its ids, by arrays; each text is read once."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from s2sjax.tasks.stored import Ragged, smallest_type
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.types import SYMBOLS, UNK


class Coding:
    """Takes in the texts of one side of a corpus, and makes ids of them at the end.

    >>> coding = Coding(Vocabulary("word", ()))
    >>> coding.read(["to be, or not", "to be"]).tolist()
    [5, 2]
    >>> vocabulary = coding.vocabulary(np.array([True, True]), min_count=2)
    >>> vocabulary.symbols, coding.encoded(vocabulary).tokens.tolist()
    (('be', 'to'), [5, 4, 3, 3, 3, 5, 4])
    """

    def __init__(self, like: Vocabulary) -> None:
        """Begins with no texts.

        Args:
          like: a vocabulary of the same level and form; its symbols, where it has
            some, are those of the side.
        """
        self._like = like
        self._numbering = like.level.numbering()
        self._flat: list[np.ndarray] = []  # the numbers of symbols, in small types
        self._lengths: list[np.ndarray] = []

    def read(self, texts: Sequence[str]) -> np.ndarray:
        """Takes in some texts; the symbols in each, [n] int32."""
        flat, lengths = self._numbering.of(list(map(self._like.formed, texts)))
        self._flat.append(flat.astype(smallest_type(int(flat.max(initial=0)) + 1)))
        self._lengths.append(lengths)
        return lengths

    def vocabulary(
        self, training: np.ndarray, min_count: int = 1, most: int | None = None
    ) -> Vocabulary:
        """The symbols seen at least `min_count` times, the most frequent first.

        Args:
          training: [N] bool, which of all texts are counted.
          min_count: at least 1.
          most: how many there are at most; None: all.
        """
        if self._like.symbols:
            return self._like
        counts = np.zeros(0, np.int64)
        for flat, within in self._parts(training):
            more = np.bincount(flat[within])
            if len(more) > len(counts):
                counts, more = more.astype(np.int64), counts
            counts[: len(more)] += more
        seen = np.flatnonzero(counts >= min_count)
        symbols = self._numbering.symbols(seen.tolist())
        ranked = sorted(zip((-counts[seen]).tolist(), symbols, strict=True))
        kept = tuple(symbol for _, symbol in ranked[:most])
        return dataclasses.replace(self._like, symbols=kept)

    def encoded(
        self, vocabulary: Vocabulary, chosen: np.ndarray | None = None
    ) -> Ragged:
        """The ids of texts, UNK for unknown symbols.

        Args:
          vocabulary: whose ids they are.
          chosen: [N] bool, which of all texts; None: all.
        """
        lengths = np.concatenate([np.zeros(0, np.int32), *self._lengths])
        if chosen is None:
            chosen = np.ones(len(lengths), bool)
        numbers = self._numbering.numbers(vocabulary.symbols)
        kind = smallest_type(len(vocabulary))
        table = np.full(int(numbers.max(initial=-1)) + 2, UNK, kind)
        table[numbers] = SYMBOLS + np.arange(len(numbers))
        parts = [
            table.take(flat[within], mode="clip")
            for flat, within in self._parts(chosen)
        ]
        return Ragged(np.concatenate([np.zeros(0, kind), *parts]), lengths[chosen])

    def _parts(self, chosen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The symbols of some texts, and which of them are of those chosen."""
        start = 0
        for flat, lengths in zip(self._flat, self._lengths, strict=True):
            here = chosen[start : start + len(lengths)]
            yield flat, np.repeat(here, lengths)
            start += len(lengths)

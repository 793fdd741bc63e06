"""From many texts to a vocabulary, and from texts to its ids, by arrays."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from s2sjax.tasks.levels import BySplitting, Numbering
from s2sjax.tasks.stored import smallest_type
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.types import SYMBOLS, UNK

Tags = Sequence[Sequence[str]]  # the features of each text; empty where none has any


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
        self.like = like
        self._texts = _Counts(like.level.numbering())
        self._tags = _Counts(BySplitting(tuple))
        self._encodes: Vocabulary | None = None

    def lengths(self, texts: Sequence[str], tags: Tags = ()) -> np.ndarray:
        """Symbols in each text, and features before it: [n] int32."""
        found = self._texts.numbers(self._formed(texts))[1]
        return found + self._tags.numbers(tags)[1] if tags else found

    def count(self, texts: Sequence[str], tags: Tags = ()) -> None:
        """Adds training texts to the counts, and their features."""
        self._texts.add(self._formed(texts))
        self._tags.add(tags)

    def vocabulary(self, min_count: int = 1, most: int | None = None) -> Vocabulary:
        """The symbols seen at least `min_count` times, the most frequent first.

        All features that were seen are in it.

        Args:
          min_count: at least 1.
          most: how many symbols there are at most; None: all.
        """
        like = self.like
        symbols = like.symbols or tuple(self._texts.frequent(min_count)[:most])
        features = like.features or tuple(self._tags.frequent(1))
        return dataclasses.replace(like, symbols=symbols, features=features)

    def encode(
        self, texts: Sequence[str], vocabulary: Vocabulary, tags: Tags = ()
    ) -> np.ndarray:
        """The ids of all texts, one after the other, each with its features before it.

        Symbols that are unknown are UNK, and features an id of their own.
        """
        if self._encodes is not vocabulary:
            self._encodes, size = vocabulary, len(vocabulary)
            strange = SYMBOLS + len(vocabulary.symbols)  # the unknown feature
            self._texts.number(vocabulary.symbols, SYMBOLS, UNK, size)
            unknown = strange if vocabulary.features else UNK
            self._tags.number(vocabulary.features, strange + 1, unknown, size)
        ids, lengths = self._texts.ids(self._formed(texts))
        if not tags:
            return ids
        before, counts = self._tags.ids(tags)
        both = np.stack([counts, lengths], axis=1).reshape(-1)
        is_text = np.repeat(np.arange(len(both)) % 2 == 1, both)
        whole = np.empty(len(is_text), ids.dtype)
        whole[is_text], whole[~is_text] = ids, before
        return whole

    def strange(self, tags: Tags) -> int:
        """How many of some features are not in the vocabulary that is encoded to."""
        unknown = SYMBOLS + len(self._encodes.symbols) if self._encodes else UNK
        return int((self._tags.ids(tags)[0] == unknown).sum())

    def _formed(self, texts: Sequence[str]) -> Sequence[str]:
        if self.like.normal_form is None and not self.like.lowercase:
            return texts
        return [self.like.formed(text) for text in texts]


class _Counts:
    """How often symbols were seen, and their ids, both by number."""

    def __init__(self, numbering: Numbering) -> None:
        self.numbering = numbering
        self._counts = np.zeros(0, np.int64)
        self._ids = np.zeros(1, np.uint8)  # the last is that of all numbers beyond

    def numbers(self, items: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of all symbols in some texts, and how many each text has."""
        return self.numbering.of(items)

    def add(self, items: Sequence[Any]) -> None:
        """Counts the symbols of some texts."""
        more = np.bincount(self.numbers(items)[0])
        if len(more) > len(self._counts):
            self._counts, more = more.astype(np.int64), self._counts
        self._counts[: len(more)] += more

    def frequent(self, min_count: int) -> list[str]:
        """The symbols seen so often or more, the most frequent first."""
        seen = np.flatnonzero(self._counts >= min_count)
        counts = (-self._counts[seen]).tolist()
        symbols = self.numbering.symbols(seen.tolist())
        return [symbol for _, symbol in sorted(zip(counts, symbols, strict=True))]

    def number(
        self, symbols: Sequence[Any], first: int, unknown: int, size: int
    ) -> None:
        """Gives symbols the ids from `first` on, and others that of the unknown."""
        numbers = self.numbering.numbers(symbols)
        most = int(numbers.max(initial=-1))
        self._ids = np.full(most + 2, unknown, smallest_type(size))
        self._ids[numbers] = first + np.arange(len(symbols))

    def ids(self, items: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """The ids of all symbols in some texts, and how many each text has."""
        flat, lengths = self.numbers(items)
        return self._ids[np.minimum(flat, len(self._ids) - 1)], lengths

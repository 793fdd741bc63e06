"""From texts to ids, many at a time: characters by table, words by dictionary."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from s2sjax.tasks.stored import smallest_type
from s2sjax.tasks.vocabulary import Symbol, Vocabulary
from s2sjax.types import SYMBOLS, UNK

CODE_POINTS = 0x110000


class Coding(Protocol):
    """Learns a vocabulary from texts, and turns texts into its ids."""

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        """Symbols in each text: [n] int32."""

    def count(self, texts: Sequence[str]) -> None:
        """Adds training texts to the counts."""

    def vocabulary(self, min_count: int) -> Vocabulary:
        """The symbols seen at least `min_count` times, the most frequent first."""

    def encode(self, texts: Sequence[str], vocabulary: Vocabulary) -> np.ndarray:
        """The ids of all texts, one after the other, UNK for unknown symbols."""


class Characters:
    """Every code point is a symbol."""

    def __init__(self, normal_form: str | None) -> None:
        self._normal_form = normal_form
        self._counts = np.zeros(CODE_POINTS, np.int64)
        self._table: np.ndarray | None = None

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([len(text) for text in texts], np.int32)

    def count(self, texts: Sequence[str]) -> None:
        self._counts += np.bincount(_code_points(texts), minlength=CODE_POINTS)

    def vocabulary(self, min_count: int) -> Vocabulary:
        seen = np.flatnonzero(self._counts >= min_count)
        order = seen[np.argsort(-self._counts[seen], kind="stable")]
        symbols = tuple(map(chr, order))
        return Vocabulary("char", symbols, normal_form=self._normal_form)

    def encode(self, texts: Sequence[str], vocabulary: Vocabulary) -> np.ndarray:
        if self._table is None:
            kind = smallest_type(len(vocabulary))
            self._table = np.full(CODE_POINTS, UNK, kind)
            points = [ord(str(symbol)) for symbol in vocabulary.symbols]
            ids = SYMBOLS + np.arange(len(points))
            self._table[np.array(points, np.int64)] = ids.astype(kind)
        return self._table[_code_points(texts)]


class Words:
    """Words, with or without separating their punctuation."""

    def __init__(self, punctuation: bool, normal_form: str | None) -> None:
        self._splitter = Vocabulary("word", (), punctuation, normal_form)
        self._counts: Counter[Symbol] = Counter()

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        split = self._splitter.split
        return np.array([len(split(text)) for text in texts], np.int32)

    def count(self, texts: Sequence[str]) -> None:
        for text in texts:
            self._counts.update(self._splitter.split(text))

    def vocabulary(self, min_count: int) -> Vocabulary:
        seen = [word for word, count in self._counts.items() if count >= min_count]
        seen.sort(key=lambda word: (-self._counts[word], word))
        return dataclasses.replace(self._splitter, symbols=tuple(seen))

    def encode(self, texts: Sequence[str], vocabulary: Vocabulary) -> np.ndarray:
        words = itertools.chain.from_iterable(map(self._splitter.split, texts))
        ids = (vocabulary.index.get(word, UNK) for word in words)
        return np.fromiter(ids, smallest_type(len(vocabulary)))


def _code_points(texts: Sequence[str]) -> np.ndarray:
    return np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)

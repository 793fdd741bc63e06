"""From many texts to a vocabulary and to its ids, by arrays; each text is read once."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from s2sjax.tasks.levels import BySplitting, Numbering
from s2sjax.tasks.stored import Ragged, smallest_type
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.types import SYMBOLS, UNK

Tags = Sequence[Sequence[str]]  # the features of each text; empty where none has any


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
        self._texts = _Numbered(like.level.numbering())
        self._tags = _Numbered(BySplitting(tuple))

    def read(self, texts: Sequence[str], tags: Tags = ()) -> np.ndarray:
        """Takes in texts; the symbols in each and the features before it, [n] int32."""
        lengths = self._texts.read([self._like.formed(text) for text in texts])
        return lengths + self._tags.read(tags or [()] * len(texts))

    def vocabulary(
        self,
        training: np.ndarray,
        min_count: int = 1,
        most: int | None = None,
        beside: "Coding | None" = None,
    ) -> Vocabulary:
        """The symbols seen at least `min_count` times, the most frequent first.

        All features that were seen are in it.

        Args:
          training: [N] bool, which of all texts are counted.
          min_count: at least 1.
          most: how many symbols there are at most; None: all.
          beside: the other side, where both have one vocabulary: its symbols count too.
        """
        like = self._like
        symbols = like.symbols
        if not symbols:
            counts = self._texts.counts(training)
            if beside is not None:
                counts += beside._texts.counts(training)
            symbols = tuple(_ranked(counts, min_count)[:most])
        features = like.features or tuple(_ranked(self._tags.counts(training), 1))
        return dataclasses.replace(like, symbols=symbols, features=features)

    def encoded(
        self, vocabulary: Vocabulary, chosen: np.ndarray | None = None
    ) -> Ragged:
        """The ids of texts, each with its features before it.

        Symbols that are unknown are UNK, and features an id of their own.

        Args:
          vocabulary: whose ids they are.
          chosen: [N] bool, which of all texts; None: all.
        """
        kind = smallest_type(len(vocabulary))
        strange = SYMBOLS + len(vocabulary.symbols)  # the unknown feature
        unknown = strange if vocabulary.features else UNK
        symbols = self._texts.table(vocabulary.symbols, SYMBOLS, UNK, kind)
        features = self._tags.table(vocabulary.features, strange + 1, unknown, kind)
        tokens, lengths = [np.zeros(0, kind)], [np.zeros(0, np.int32)]
        for (flat, sizes), (before, counts) in zip(
            self._texts.pieces(chosen), self._tags.pieces(chosen), strict=True
        ):
            both = np.stack([counts, sizes], axis=1).reshape(-1)
            is_text = np.repeat(np.arange(len(both)) % 2 == 1, both)
            whole = np.empty(len(is_text), kind)
            whole[is_text] = symbols.take(flat, mode="clip")
            whole[~is_text] = features.take(before, mode="clip")
            tokens.append(whole)
            lengths.append(counts + sizes)
        return Ragged(np.concatenate(tokens), np.concatenate(lengths))

    def strange(self, vocabulary: Vocabulary, chosen: np.ndarray) -> int:
        """How many features of texts `chosen` [N] are not in a vocabulary."""
        known = self._tags.table(vocabulary.features, 1, 0, np.dtype(np.int64))
        pieces = self._tags.pieces(chosen)
        return sum(
            int((known.take(flat, mode="clip") == 0).sum()) for flat, _ in pieces
        )


class _Numbered:
    """The symbols of texts by number, in the pieces in which they were read."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._pieces: list[tuple[np.ndarray, np.ndarray]] = []

    def read(self, items: Sequence[Any]) -> np.ndarray:
        """Takes in some texts; how many symbols each has."""
        flat, lengths = self._numbering.of(items)
        kind = smallest_type(int(flat.max(initial=0)) + 1)
        self._pieces.append((flat.astype(kind), lengths))
        return lengths

    def counts(self, chosen: np.ndarray) -> Counter[str]:
        """How often each symbol stands in texts `chosen` [N]."""
        counts = np.zeros(0, np.int64)
        for flat, _ in self.pieces(chosen):
            more = np.bincount(flat)
            if len(more) > len(counts):
                counts, more = more.astype(np.int64), counts
            counts[: len(more)] += more
        seen = np.flatnonzero(counts)
        symbols = self._numbering.symbols(seen.tolist())
        return Counter(dict(zip(symbols, counts[seen].tolist(), strict=True)))

    def table(
        self, symbols: Sequence[Any], first: int, unknown: int, kind: np.dtype
    ) -> np.ndarray:
        """The id of each number: from `first` on in order; the last, of all beyond."""
        numbers = self._numbering.numbers(symbols)
        table = np.full(int(numbers.max(initial=-1)) + 2, unknown, kind)
        table[numbers] = first + np.arange(len(symbols))
        return table

    def pieces(
        self, chosen: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The numbers of all symbols in texts `chosen` [N], and how many each has."""
        start = 0
        for flat, lengths in self._pieces:
            if chosen is not None:
                here = chosen[start : start + len(lengths)]
                start += len(lengths)
                flat, lengths = flat[np.repeat(here, lengths)], lengths[here]
            yield flat, lengths


def _ranked(counts: Counter[str], least: int) -> list[str]:
    """What was seen so often or more, the most frequent first, and of equals by name.

    >>> _ranked(Counter("abracadabra"), 2)
    ['a', 'b', 'r']
    """
    seen = [symbol for symbol, count in counts.items() if count >= least]
    return sorted(seen, key=lambda symbol: (-counts[symbol], symbol))

"""What a level is to the rest: texts into symbols and back, one by one or many."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

UNKNOWN = "<unk>"  # how people see what a vocabulary has not


@dataclass(frozen=True)
class Feature:
    """A symbol of a source that is no text: a tag beside a word, such as `PST`.

    No symbol of a text is equal to it, whatever the tag is called.

    >>> print(Feature("PST"), Feature("PST") == "PST")
    [PST] False
    """

    name: str

    def __str__(self) -> str:
        return f"[{self.name}]"


Symbol = int | str | Feature


class Numbers(NamedTuple):
    """The symbols of some texts, one text after the other, by a level's own numbers."""

    flat: np.ndarray  # [sum of lengths] unsigned or int32
    lengths: np.ndarray  # [n] int32, symbols in each text


class Numbering(Protocol):
    """Gives each symbol a number, so that many texts are counted by arrays.

    Numbers begin with 0. They are no ids: which symbols a vocabulary has is not known
    before all are counted.
    """

    def of(self, texts: Sequence[str]) -> Numbers:
        """The numbers of the symbols of some texts."""

    def numbers(self, symbols: Sequence[Symbol]) -> np.ndarray:
        """The numbers of some symbols: [n] int64."""

    def symbols(self, numbers: Sequence[int]) -> list[str]:
        """The symbols of some numbers."""


class Level(Protocol):
    """What a symbol of a text is.

    Attributes:
      kind: its name in a vocabulary.
      noun: what people call several of its symbols.
    """

    @property
    def kind(self) -> str: ...

    @property
    def noun(self) -> str: ...

    def split(self, text: str) -> list[Symbol]:
        """The symbols of a text."""

    def join(self, symbols: Sequence[Symbol]) -> str:
        """The text of some symbols."""

    def numbering(self) -> Numbering:
        """Numbers of symbols, of which none is given yet."""


class Counted(dict[str, int]):
    """A number for each word that is asked for, in the order of asking.

    >>> counted = Counted()
    >>> [counted[word] for word in "to be or not to be".split()]
    [0, 1, 2, 3, 0, 1]
    """

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []  # by number

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self.words)
        self.words.append(word)
        return number


class BySplitting:
    """The numbering of a level by its `split`: symbols in the order of first sight.

    >>> flat, lengths = BySplitting(str.split).of(["a b", "", "b c"])
    >>> flat.tolist(), lengths.tolist()
    ([0, 1, 1, 2], [2, 0, 2])
    """

    def __init__(self, split: Callable[[str], Sequence[Any]]) -> None:
        self._split = split
        self._known = Counted()

    def of(self, texts: Sequence[str]) -> Numbers:
        parts = list(map(self._split, texts))
        lengths = np.fromiter(map(len, parts), np.int32, len(parts))
        each = map(self._known.__getitem__, itertools.chain.from_iterable(parts))
        return Numbers(np.fromiter(each, np.int32, int(lengths.sum())), lengths)

    def numbers(self, symbols: Sequence[Symbol]) -> np.ndarray:
        return np.array([self._known[str(symbol)] for symbol in symbols], np.int64)

    def symbols(self, numbers: Sequence[int]) -> list[str]:
        return [self._known.words[number] for number in numbers]

"""What stands between blanks is a symbol, whatever it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from s2sjax.tasks.levels.base import BySplitting, Symbol


@dataclass(frozen=True)
class Spaces:
    """Symbols that are set apart already: phonemes, integers, words of a tool.

    White space of every kind separates; joined are they by single blanks.

    >>> Spaces().split("HH AH0 L,OW1  12")
    ['HH', 'AH0', 'L,OW1', '12']
    """

    kind = "space"
    noun = "symbols"

    def split(self, text: str) -> list[Symbol]:
        return list(text.split())

    def join(self, symbols: Sequence[Symbol]) -> str:
        return " ".join(map(str, symbols))

    def numbering(self) -> BySplitting:
        return BySplitting(str.split)

"""What a reader sees as one character is a symbol, with its marks."""

from collections.abc import Sequence
from dataclasses import dataclass

import regex

from s2sjax.tasks.levels.base import BySplitting, Symbol

# UAX 29, extended grapheme clusters.
_CLUSTER = regex.compile(r"\X")


@dataclass(frozen=True)
class Graphemes:
    """User-perceived characters; joining gives the text back.

    >>> [len(symbol) for symbol in Graphemes().split("कीe\u0301!")]
    [2, 2, 1]
    """

    kind = "grapheme"
    noun = "characters as people see them"

    def split(self, text: str) -> list[Symbol]:
        # Of ASCII only a carriage return and a newline are one together.
        if text.isascii() and "\r" not in text:
            return list(text)
        return _CLUSTER.findall(text)

    def join(self, symbols: Sequence[Symbol]) -> str:
        return "".join(map(str, symbols))

    def numbering(self) -> BySplitting:
        return BySplitting(self.split)

"""Every code point of a text is a symbol."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2sjax.tasks.levels.base import Numbers, Symbol


@dataclass(frozen=True)
class Characters:
    """Code points, blanks among them; joining gives the text back.

    >>> Characters().split("né e")
    ['n', 'é', ' ', 'e']
    """

    kind = "char"
    noun = "characters"

    def split(self, text: str) -> list[Symbol]:
        return list(text)

    def join(self, symbols: Sequence[Symbol]) -> str:
        return "".join(map(str, symbols))

    def numbering(self) -> "CodePoints":
        return CodePoints()


class CodePoints:
    """The numbers that Unicode gives to characters."""

    def of(self, texts: Sequence[str]) -> Numbers:
        # A lone surrogate, which no file has, is a symbol like any other.
        joined = "".join(texts).encode("utf-32-le", "surrogatepass")
        lengths = np.fromiter(map(len, texts), np.int32, len(texts))
        return Numbers(np.frombuffer(joined, np.uint32), lengths)

    def numbers(self, symbols: Sequence[Symbol]) -> np.ndarray:
        return np.array([ord(str(symbol)) for symbol in symbols], np.int64)

    def symbols(self, numbers: Sequence[int]) -> list[str]:
        return list(map(chr, numbers))

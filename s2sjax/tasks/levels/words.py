"""A word is a symbol, and so is each sign beside it, in every script."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex

from s2sjax.tasks.levels.base import BySplitting, Counted, Numbers, Symbol

# What no white space separates is taken apart at Unicode's default word boundaries
# (UAX 29), where `regex` has its `\b` with the flag WORD; marks stay with their
# letters. As BLEU has it, stops and colons are signs of their own, within words too;
# and inner apostrophes and hyphens separate nothing (aujourd'hui, peut-être).
_LETTER = r"[\w\p{No}]"
_JOINED = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}\p{WB=RI}\p{ExtPict}]"
_WORDS = regex.compile(
    rf"""
    \d+(?:[.,]\d+)+\p{{M}}*  # a number with its decimal marks
  | {_LETTER}(?:\B[^.,:;]|['’\-]{_LETTER}|\p{{No}})*  # a word
  | .(?:\B{_JOINED})*  # a sign, with marks, or several that are shown as one
    """,
    regex.DOTALL | regex.VERBOSE | regex.VERSION1 | regex.WORD,
)

# Scripts that write no blanks between words, as a `regex` knows their letters. Where
# words begin only a dictionary says; the default boundaries are those of syllables.
_UNSPACED = {
    "Burmese": regex.compile(r"\p{Myanmar}"),
    "Chinese or Japanese": regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]"),
    "Khmer": regex.compile(r"\p{Khmer}"),
    "Lao": regex.compile(r"\p{Lao}"),
    "Thai": regex.compile(r"\p{Thai}"),
}


@dataclass(frozen=True)
class Words:
    """Words by Unicode's boundaries; joined by single blanks, as BLEU takes them.

    >>> Words().split("J'ai faim, Tom !")
    ["J'ai", 'faim', ',', 'Tom', '!']
    >>> Words().split("मैं पानी चाहिए।")
    ['मैं', 'पानी', 'चाहिए', '।']
    """

    kind = "word"
    noun = "words"

    def split(self, text: str) -> list[Symbol]:
        return [word for part in text.split() for word in _words(part)]

    def join(self, symbols: Sequence[Symbol]) -> str:
        return " ".join(map(str, symbols))

    def numbering(self) -> "ByParts":
        return ByParts()


class ByParts:
    """Numbers of words by what stands between blanks, each taken apart only once."""

    def __init__(self) -> None:
        self._parts = BySplitting(str.split)
        self._words = Counted()
        # The words of part p are flat[starts[p] : starts[p + 1]].
        self._flat = np.zeros(0, np.int32)
        self._starts = np.zeros(1, np.int64)

    def of(self, texts: Sequence[str]) -> Numbers:
        parts, counts = self._parts.of(texts)
        self._take_apart(int(parts.max(initial=-1)) + 1)
        begins = self._starts[parts]
        sizes = self._starts[parts + 1] - begins
        ends = np.concatenate([[0], np.cumsum(sizes)])
        places = np.arange(ends[-1]) + np.repeat(begins - ends[:-1], sizes)
        of_text = np.concatenate([[0], np.cumsum(counts)])
        return Numbers(self._flat[places], np.diff(ends[of_text]).astype(np.int32))

    def _take_apart(self, size: int) -> None:
        """Has the words of the first `size` parts, of which some may be new."""
        new = range(len(self._starts) - 1, size)
        if not new:
            return
        words = [_WORDS.findall(part) for part in self._parts.symbols(new)]
        flat = [self._words[word] for each in words for word in each]
        starts = len(self._flat) + np.cumsum(list(map(len, words)), dtype=np.int64)
        self._flat = np.concatenate([self._flat, np.array(flat, np.int32)])
        self._starts = np.concatenate([self._starts, starts])

    def numbers(self, symbols: Sequence[Symbol]) -> np.ndarray:
        return np.array([self._words[str(symbol)] for symbol in symbols], np.int64)

    def symbols(self, numbers: Sequence[int]) -> list[str]:
        return [self._words.words[number] for number in numbers]


def unspaced(words: Sequence[Symbol]) -> list[str]:
    """The scripts without blanks that a tenth or more of the words are of."""
    return [
        name
        for name, letter in _UNSPACED.items()
        if 10 * sum(bool(letter.match(str(w))) for w in words) > len(words)
    ]


@functools.lru_cache(maxsize=1 << 16)
def _words(part: str) -> tuple[str, ...]:
    # White space of every kind, the narrow no-break space before a French "!" too,
    # separates before, so that most parts come again and again.
    return tuple(_WORDS.findall(part))

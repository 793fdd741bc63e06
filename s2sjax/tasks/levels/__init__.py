"""What a symbol of a text is: a code point, a word, a piece of one.

Each level is a class in a file of its own that takes texts apart and joins them again.
"""

from s2sjax.tasks.levels.base import (
    UNKNOWN,
    BySplitting,
    Feature,
    Level,
    Numbering,
    Numbers,
    Symbol,
)
from s2sjax.tasks.levels.characters import Characters
from s2sjax.tasks.levels.graphemes import Graphemes
from s2sjax.tasks.levels.integers import Integers
from s2sjax.tasks.levels.spaces import Spaces
from s2sjax.tasks.levels.subwords import Subwords
from s2sjax.tasks.levels.words import Words, unspaced

__all__ = [
    "LEVELS",
    "UNKNOWN",
    "BySplitting",
    "Feature",
    "Level",
    "Numbering",
    "Numbers",
    "Subwords",
    "Symbol",
    "level",
    "unspaced",
]

LEVELS: dict[str, Level] = {
    each.kind: each
    for each in (Characters(), Graphemes(), Words(), Spaces(), Integers())
}


def level(kind: str, model: bytes = b"") -> Level:
    """The level of a name; that of subwords has a model.

    >>> level("word").split("so, so")
    ['so', ',', 'so']
    """
    return Subwords(model) if kind == Subwords.kind else LEVELS[kind]

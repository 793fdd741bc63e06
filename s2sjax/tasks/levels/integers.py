"""Whole numbers are symbols: those of the tasks that are generated."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from s2sjax.tasks.levels.base import BySplitting, Symbol


@dataclass(frozen=True)
class Integers:
    """Integers with blanks or commas between them.

    >>> Integers().split("3 1, 2")
    [3, 1, 2]
    """

    kind = "integer"
    noun = "integers"

    def split(self, text: str) -> list[Symbol]:
        """The integers of a text; a ValueError where something else stands in it."""
        return [int(part) for part in re.split(r"[\s,]+", text) if part]

    def join(self, symbols: Sequence[Symbol]) -> str:
        return " ".join(map(str, symbols))

    def numbering(self) -> BySplitting:
        raise NotImplementedError("tasks of integers make their own vocabularies")

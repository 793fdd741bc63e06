"""The nine pairs `1` to `one` ... `9` to `nine`: training and test are the same."""

from collections.abc import Sequence

import numpy as np

from s2sjax.config import Config
from s2sjax.tasks import stored, unseen
from s2sjax.tasks.stored import Ragged
from s2sjax.tasks.task import SPLITS, Task
from s2sjax.tasks.vocabulary import Symbol, Vocabulary

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SOURCE = Vocabulary("char", tuple("123456789"))
TARGET = Vocabulary("char", tuple(sorted(set("".join(WORDS)))))


def make(config: Config) -> Task:
    """The task; every split holds all nine pairs."""
    sources = [SOURCE.encode_known(str(digit)) for digit in range(1, 10)]
    bucket = stored.buckets(
        Ragged.of(sources, len(SOURCE)),
        Ragged.of([TARGET.encode_known(word) for word in WORDS], len(TARGET)),
        np.arange(len(WORDS)),
    )
    known = unseen.of_rows(sources)

    def share(rows: list[list[int]], count: int) -> float:
        return unseen.share_outside(known[:count], rows)

    return Task(
        name=config.task.name,
        source_vocabulary=SOURCE,
        target_vocabulary=TARGET,
        buckets={split: bucket for split in SPLITS},
        expected=expected,
        unseen=share,
    )


def expected(source: Sequence[Symbol]) -> list[Symbol] | None:
    """The English name of a digit, or None.

    >>> expected("7")
    ['s', 'e', 'v', 'e', 'n']
    """
    text = "".join(map(str, source))
    digits = {str(digit): word for digit, word in enumerate(WORDS, 1)}
    return list(digits[text]) if text in digits else None

"""Several right targets of one held-out source: which pairs are one example."""

import numpy as np

from s2sjax.tasks.files.corpus import Chunk
from s2sjax.tasks.files.sources import TRAIN
from s2sjax.tasks.vocabulary import Vocabulary

Source = tuple[int, str, tuple[str, ...]]
"""A split, a source and its features: those that are equal are one example."""


class Answers:
    """Finds equal sources of validation and of test; training keeps every pair."""

    def __init__(self, like: tuple[Vocabulary, Vocabulary]) -> None:
        """Knows none.

        Args:
          like: of source and target, by whose forms texts are equal.
        """
        self._source, self._target = like
        self._first: dict[Source, int] = {}  # pair of each source
        self._seen: set[tuple[int, str]] = set()  # that pair, and a target of it

    def of(self, chunk: Chunk) -> np.ndarray:
        """Of each pair the first one that has its source, [n] int64.

        That is the pair itself, in training or where its source is new; it is -1 where
        the target came before too.
        """
        found = chunk.start + np.arange(len(chunk.sources))
        for place in np.flatnonzero(chunk.splits != TRAIN).tolist():
            source = self._source.formed(chunk.sources[place])
            target = self._target.formed(chunk.targets[place])
            key = (int(chunk.splits[place]), source, chunk.features[place])
            first = self._first.setdefault(key, int(found[place]))
            is_new = (first, target) not in self._seen
            self._seen.add((first, target))
            found[place] = first if is_new else -1
        return found

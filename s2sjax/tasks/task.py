"""What a task is to the rest of s2sjax: vocabularies, and splits made of buckets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from jax import Array

from s2sjax.errors import UsageError, unknown
from s2sjax.tasks.levels import Feature
from s2sjax.tasks.series.numbers import Numbers
from s2sjax.tasks.vocabulary import Symbol, Vocabulary
from s2sjax.types import EOS, Batch, Side

SPLITS = ("train", "valid", "test")
VALID_NAMES = ("valid", "dev", "val")  # of files, and of a split


def places(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The numbers from each start on, so many of each.

    >>> places(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    before = np.cumsum(counts, dtype=np.int64) - counts
    return np.arange(counts.sum()) + np.repeat(starts - before, counts)


Fetch = Callable[[Any, Array], Batch]
Part = Callable[[Any, Array, Array, Array, int], Batch]
"""`part(store, rows, source, target, size)`: of what `fetch` gives `size` columns of
sources and of targets, from these on, [] each; lengths stay those of the whole."""
Take = Callable[[Any, np.ndarray], Any]


def each_leaf(store: Any, rows: np.ndarray) -> Any:
    """The rows of each leaf of a store, which has an axis of examples in front."""
    return jax.tree.map(lambda leaf: leaf[rows], store)


@dataclass(frozen=True)
class Bucket:
    """Examples of one padded width, fetched by number inside compiled code.

    `fetch(store, rows) -> Batch` is pure and traceable: rows [B] int32 counts from 0,
    and -1 asks for a filler row of weight 0. `store` is a pytree of arrays that
    travels as an argument, so that equal shapes share one compilation: `fetch` is a
    function of the module or an equal, hashable object, never a fresh closure.
    """

    size: int | None  # None: endless, every number gives a fresh example
    source_width: int  # S
    target_width: int  # T, EOS counted
    store: Any
    fetch: Fetch
    references: Any = None  # `References` beside targets, or `Origins` of numbers
    drawn: bool = False  # its examples are drawn: there are as many as one asks for
    take: Take = each_leaf  # the store of some of the examples
    part: Part | None = None  # where they may be too long to be fetched whole

    def taken(self, rows: np.ndarray) -> "Bucket":
        """The examples `rows` [n] alone, in their order."""
        further = self.references and self.references.taken(rows)
        store = self.take(self.store, rows)
        return replace(self, size=len(rows), store=store, references=further)


@dataclass(frozen=True)
class Task:
    """Where sequences come from.

    `buckets` maps each of `SPLITS` to its examples. `expected` computes the right
    output for a user's source, or None where the task cannot. `unseen(sources,
    count)` is the share of `sources` (rows of ids, without padding) that the first
    `count` training examples do not contain.
    """

    name: str
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    buckets: dict[str, tuple[Bucket, ...]]
    expected: Callable[[Sequence[Symbol]], list[Symbol] | None]
    unseen: Callable[[list[list[int]], int], float]
    reverse_source: bool = False  # sources in `buckets` run backwards
    source_eos: bool = False  # and end with EOS, which a user does not see
    # Held-out targets as they were written, where texts are lower case: `tasks.casing`.
    cased: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what a user should know, e.g. pairs left out
    # Of a split how far one comes without a model; see `tasks.baselines`.
    baselines: Callable[[str], Mapping[str, Mapping[str, float]]] = lambda split: {}
    # Of a batch of numbers what is forecast without a model, by name, [B, T, G] of true
    # size; see `tasks.series.baselines`.
    forecasts: Callable[[Batch], Mapping[str, np.ndarray]] = lambda batch: {}

    @property
    def sides(self) -> "tuple[Side, Side]":
        """What a model of it reads and writes; see `Seq2Seq`."""
        sides: tuple[Any, Any] = self.source_vocabulary, self.target_vocabulary
        one, other = (
            side.side if isinstance(side, Numbers) else len(side) for side in sides
        )
        return one, other


def split_name(text: str) -> str:
    """The split of a name.

    Raises:
      UsageError: there is none of that name.

    >>> split_name("dev"), split_name("test")
    ('valid', 'test')
    """
    name = VALID_NAMES[0] if text in VALID_NAMES else text
    if name not in SPLITS:
        raise unknown("split", text, {*SPLITS, *VALID_NAMES})
    return name


def encode_source(
    task: Task, symbols: Sequence[Symbol], features: Sequence[str] = ()
) -> tuple[list[int], list[Symbol]]:
    """A user's source as the encoder takes it, and the symbols that are unknown.

    Raises:
      UsageError: a symbol outside the vocabulary, where symbols are integers, or
        features where the task has none.
    """
    vocabulary = task.source_vocabulary
    if features and not vocabulary.features:
        raise UsageError(
            f"features {', '.join(features)} mean nothing to this task, whose sources "
            f"have none"
        )
    if vocabulary.kind == "integer":
        vocabulary.encode_known(symbols)
    ids, strange = vocabulary.encode([*map(Feature, features), *symbols])
    read = ids[::-1] if task.reverse_source else ids
    return [*read, EOS] if task.source_eos else read, strange


def decode_source(task: Task, ids: Sequence[int]) -> list[Symbol]:
    """The symbols of a row of `Batch.source`, in the order that a user reads."""
    symbols = task.source_vocabulary.decode(ids)
    return symbols[::-1] if task.reverse_source else symbols

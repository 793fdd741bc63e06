"""What is in the examples of a task, and what of it will go wrong: pure functions.

All of them take rows of token ids, so that a generated task is looked at as files are.
"""

import functools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from s2sjax.tasks import unseen
from s2sjax.tasks.stored import Ragged
from s2sjax.tasks.task import Bucket
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.types import EOS, SYMBOLS, UNK

CHUNK = 8192  # examples read at a time
BARS = 12  # of a histogram, at the most
ODD = np.uint64(0x9E3779B97F4A7C15)
MARGIN = 10.0  # nats, by which a pair must be likelier with its sides exchanged
UNLIKE = 4.0  # times the usual ratio of lengths, or a quarter of it
FEW = 8  # symbols by which such lengths differ at least
JOINERS = "\u200c\u200d"  # which are letters' own in many scripts, and in emoji


@dataclass(frozen=True)
class Examples:
    """Some examples of a split, as ids without EOS, in the order of their numbers."""

    source: Ragged
    target: Ragged
    ids: np.ndarray  # [N] the number of each
    shortest: np.ndarray | None = (
        None  # [N] symbols of a right one; None: of the target
    )

    def __len__(self) -> int:
        return len(self.ids)

    @functools.cached_property
    def sources(self) -> np.ndarray:
        """A hash of each source, [N] uint64: equal ones have equal hashes.

        An unknown symbol equals nothing, not even an unknown one.
        """
        return self._hashes(self.source)

    @functools.cached_property
    def pairs(self) -> np.ndarray:
        """A hash of each pair, [N] uint64."""
        # An odd multiple, so that a source and target in each other's place differ.
        return self.sources * ODD ^ self._hashes(self.target)

    def _hashes(self, side: Ragged) -> np.ndarray:
        found = hashes(side)
        own = holding(side, [UNK])
        found[own] ^= (self.ids[own].astype(np.uint64) + np.uint64(1)) * ODD
        return found


def read(buckets: Sequence[Bucket], chunk: int = CHUNK) -> Examples:
    """The examples of finite buckets, fetched `chunk` at a time."""
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    counts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    ids, shortest = [], []
    for bucket in buckets:
        assert bucket.size is not None
        before = len(counts[1])
        size, fetch = bucket.size, jax.jit(bucket.fetch)
        rows_at_once = min(chunk, size)
        for start in range(0, size, rows_at_once):
            rows = np.arange(start, start + rows_at_once, dtype=np.int32)
            rows[rows >= size] = -1  # filler
            batch = jax.device_get(fetch(bucket.store, rows))
            real = rows >= 0
            columns = (
                (batch.source, batch.source_lengths),
                (batch.target, batch.target_lengths),
            )
            for side, count, (tokens, lengths) in zip(
                sides, counts, columns, strict=True
            ):
                rows_of = np.asarray(tokens)[real]
                within = np.arange(tokens.shape[1]) < np.asarray(lengths)[real][:, None]
                within &= rows_of != EOS
                side.append(rows_of[within])
                count.append(within.sum(1))
            ids.append(np.asarray(batch.ids)[real])
        least = np.concatenate(counts[1][before:])
        if bucket.references is not None:
            owners = np.repeat(np.arange(bucket.size), bucket.references.counts)
            np.minimum.at(least, owners, bucket.references.lengths)
        shortest.append(least)
    numbers = np.concatenate(ids)
    order = np.argsort(numbers, kind="stable")
    source, target = (
        Ragged(np.concatenate(side), np.concatenate(count)).taken(order)
        for side, count in zip(sides, counts, strict=True)
    )
    return Examples(source, target, numbers[order], np.concatenate(shortest)[order])


def hashes(side: Ragged) -> np.ndarray:
    """A hash of each row, [N] uint64: equal rows have equal ones."""
    found = np.zeros(len(side.lengths), np.uint64)
    # Rows of like length together: one long row would widen all.
    order = np.argsort(side.lengths, kind="stable")
    for start in range(0, len(order), CHUNK):
        part = order[start : start + CHUNK]
        lengths = side.lengths[part]
        found[part] = unseen.fingerprints(
            side.padded(part, max(int(lengths.max()), 1)), lengths
        )
    return found


class Lengths(NamedTuple):
    """How long rows are, in symbols."""

    shortest: int
    mean: float
    median: float
    longest: int
    histogram: list[tuple[int, int, int]]  # from, to and how many, both ends within


def lengths(side: Ragged, width: int) -> Lengths:
    """How long rows are; a bar of the histogram is `width` lengths.

    >>> lengths(Ragged(np.arange(6), np.array([1, 2, 3])), width=2).histogram
    [(0, 1, 1), (2, 3, 2)]
    """
    counted = side.lengths
    bars = np.bincount(counted // width)
    return Lengths(
        int(counted.min()),
        round(float(counted.mean()), 2),
        float(np.median(counted)),
        int(counted.max()),
        [
            (bar * width, (bar + 1) * width - 1, count)
            for bar, count in enumerate(bars.tolist())
        ],
    )


def bar_width(longest: int) -> int:
    """The lengths in one bar, 1, 2 or 5 times a power of ten, for a dozen bars.

    >>> [bar_width(longest) for longest in (5, 12, 48, 400)]
    [1, 1, 5, 50]
    """
    power = 1
    while True:
        for step in (1, 2, 5):
            if longest <= BARS * step * power:
                return step * power
        power *= 10


class Coverage(NamedTuple):
    """How much of a side the vocabulary knows."""

    symbols: int
    unknown: int  # symbols, counted as often as they stand there
    rows: int  # with an unknown symbol


def coverage(side: Ragged) -> Coverage:
    """How much of a side the vocabulary knows."""
    unknown = side.tokens == UNK
    rows = np.repeat(np.arange(len(side.lengths)), side.lengths)
    touched = len(np.unique(rows[unknown]))
    return Coverage(len(side.tokens), int(unknown.sum()), touched)


def rarest(
    side: Ragged, vocabulary: Vocabulary, count: int = 8
) -> tuple[int, list[tuple[str, int]]]:
    """How many symbols stand in the rows once, and the rarest with their counts.

    Features are none of them.
    """
    symbols = slice(SYMBOLS, SYMBOLS + len(vocabulary.symbols))
    counts = np.bincount(side.tokens, minlength=len(vocabulary))[symbols]
    seen = np.flatnonzero(counts)
    order = seen[np.argsort(counts[seen], kind="stable")][:count]
    found = [(str(vocabulary.symbols[i]), int(counts[i])) for i in order]
    return int((counts == 1).sum()), found


def repeated(examples: Examples) -> np.ndarray:
    """Positions of pairs that stood before."""
    first = np.unique(examples.pairs, return_index=True)[1]
    return np.setdiff1d(np.arange(len(examples)), first)


def ambiguous(examples: Examples) -> np.ndarray:
    """Positions of pairs whose source has another target elsewhere."""
    distinct = np.unique(examples.pairs, return_index=True)[1]
    again, counts = np.unique(examples.sources[distinct], return_counts=True)
    return np.flatnonzero(np.isin(examples.sources, again[counts > 1]))


def known(train: Examples, held_out: Examples) -> np.ndarray:
    """Positions of held-out examples whose source stands in training."""
    return np.flatnonzero(np.isin(held_out.sources, train.sources))


def empty(examples: Examples) -> np.ndarray:
    """Positions of pairs with a side without a symbol."""
    nothing = (examples.source.lengths == 0) | (examples.target.lengths == 0)
    return np.flatnonzero(nothing)


def unlike(examples: Examples) -> np.ndarray:
    """Positions of pairs whose lengths are very unlike those of others.

    The ratio of target to source is 4 times the median ratio, or a quarter of it, and
    the target is 8 symbols longer or shorter than it would be at the median.
    """
    source = examples.source.lengths + 1.0
    target = examples.target.lengths + 1.0
    usual = np.median(target / source)
    times = np.abs(np.log(target / source / usual)) > np.log(UNLIKE)
    return np.flatnonzero(times & (np.abs(target - usual * source) > FEW))


def copies(
    examples: Examples, source: Vocabulary, target: Vocabulary, *, reverse: bool
) -> np.ndarray:
    """Positions of pairs whose target is the source, of 3 symbols or more.

    Shorter ones, names and numbers, are often the same on both sides.
    """
    lengths = examples.source.lengths
    may = np.flatnonzero((lengths == examples.target.lengths) & (lengths > 2))
    one, other = (side.taken(may) for side in (examples.source, examples.target))
    one = _backwards(one) if reverse else one
    ids = _in_other(source, target)[one.tokens]
    different = (ids != other.tokens) | (ids == UNK)
    rows = np.repeat(np.arange(len(may)), one.lengths)
    return np.delete(may, np.unique(rows[different]))


def exchanged(
    train: Examples, examples: Examples, source: Vocabulary, target: Vocabulary
) -> np.ndarray:
    """Positions of pairs that are likelier with their sides exchanged, by 10 nats.

    Likely is what each symbol is by itself on its side of the training part, with one
    added to each count.
    """
    as_target, as_source = _in_other(source, target), _in_other(target, source)
    on_source = _log_shares(train.source.tokens, len(source))
    on_target = _log_shares(train.target.tokens, len(target))
    of_source = on_target[as_target] - on_source
    of_target = on_source[as_source] - on_target
    # Of what neither side knows nothing can be said.
    of_source[UNK] = of_target[UNK] = 0
    score = _sums(examples.source, of_source) + _sums(examples.target, of_target)
    return np.flatnonzero(score > MARGIN)


def steering(vocabulary: Vocabulary) -> list[int]:
    """The ids of symbols with characters that steer a terminal or are not seen."""
    return [
        SYMBOLS + place
        for place, symbol in enumerate(vocabulary.symbols)
        if isinstance(symbol, str) and any(map(_steers, symbol))
    ]


def holding(side: Ragged, ids: Sequence[int]) -> np.ndarray:
    """Positions of rows with one of some ids."""
    rows = np.repeat(np.arange(len(side.lengths)), side.lengths)
    return np.unique(rows[np.isin(side.tokens, np.array(ids, np.int64))])


class Unreachable(NamedTuple):
    """Examples that no output can be right for, and limits that would do."""

    rows: np.ndarray  # positions
    extra: int  # the least `length_extra` at this `length_ratio`
    ratio: float | None  # the least `length_ratio` at this `length_extra`, if any does


def unreachable(
    examples: Examples, most: Sequence[int], ratio: float, extra: int
) -> Unreachable:
    """Examples whose references, each of them, are longer than an output may be.

    Args:
      examples: of a split.
      most: the tokens of an output, EOS counted, for a source of 0, 1, .. symbols.
      ratio: of the limit, tokens for each symbol of a source.
      extra: and tokens besides.
    """
    source = examples.source.lengths
    least = examples.target.lengths if examples.shortest is None else examples.shortest
    wanted = least + 1
    rows = np.flatnonzero(wanted > np.asarray(most)[source])
    if not len(rows):
        return Unreachable(rows, extra, ratio)
    lacking = wanted[rows] - np.ceil(ratio * source[rows])
    if not source[rows].all():  # of an empty source any ratio is nothing
        return Unreachable(rows, int(lacking.max()), None)
    # In tenths: a limit is rounded up, so that it must be above one token less.
    tenths = 10 * (wanted[rows] - extra - 1) // source[rows] + 1
    return Unreachable(rows, int(lacking.max()), int(tenths.max()) / 10)


def padding(examples: Examples, source_width: int, target_width: int) -> float:
    """The share of positions that are padding in batches of these widths.

    The EOS of a target is none.
    """
    real = examples.source.lengths.sum() + (examples.target.lengths + 1).sum()
    return 1 - float(real) / (len(examples) * (source_width + target_width))


def _backwards(side: Ragged) -> Ragged:
    ends = np.cumsum(side.lengths, dtype=np.int64)
    sums = np.repeat(2 * ends - side.lengths - 1, side.lengths)
    return Ragged(side.tokens[sums - np.arange(len(side.tokens))], side.lengths)


def _in_other(one: Vocabulary, other: Vocabulary) -> np.ndarray:
    """The id in another vocabulary of each id in one, UNK where it has none."""
    ids = np.full(len(one), UNK, np.int64)
    known = [other.index.get(symbol, UNK) for symbol in one.symbols]
    ids[SYMBOLS : SYMBOLS + len(known)] = known  # features are of one side alone
    return ids


def _log_shares(tokens: np.ndarray, size: int) -> np.ndarray:
    counts = np.bincount(tokens, minlength=size) + 1.0
    return np.log(counts / counts.sum())


def _sums(side: Ragged, values: np.ndarray) -> np.ndarray:
    """The sum of a value of each token, by row."""
    rows = np.repeat(np.arange(len(side.lengths)), side.lengths)
    return np.bincount(rows, values[side.tokens], minlength=len(side.lengths))


def _steers(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and character not in JOINERS

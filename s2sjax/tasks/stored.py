"""Buckets whose examples are rows of arrays on the device."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from s2sjax.outcomes import References
from s2sjax.tasks.task import Bucket, places
from s2sjax.types import EOS, PAD, Batch

CHUNK = 16384  # rows padded at a time


class Rows(NamedTuple):
    """The store of a bucket; tokens in the smallest unsigned type that fits."""

    source: Array  # [N, S] unsigned
    source_lengths: Array  # [N] int32
    target: Array  # [N, T] unsigned, EOS last
    target_lengths: Array  # [N] int32, EOS counted
    ids: Array  # [N] int32
    weights: Array | None = None  # [N] float32; None: 1


class Ragged(NamedTuple):
    """Sequences of different lengths, one after the other."""

    tokens: np.ndarray  # [sum of lengths] unsigned
    lengths: np.ndarray  # [N] int32

    @staticmethod
    def of(rows: Sequence[Sequence[int]], vocabulary_size: int) -> "Ragged":
        """From rows of ids."""
        lengths = np.array([len(row) for row in rows], np.int32)
        flat = [number for row in rows for number in row]
        return Ragged(np.array(flat, smallest_type(vocabulary_size)), lengths)

    def offsets(self) -> np.ndarray:
        """Where each sequence begins."""
        return np.cumsum(self.lengths, dtype=np.int64) - self.lengths

    def row(self, place: int) -> list[int]:
        """One of the sequences."""
        start = int(self.lengths[:place].sum())
        found: list[int] = self.tokens[start : start + self.lengths[place]].tolist()
        return found

    def taken(self, rows: np.ndarray) -> "Ragged":
        """The sequences `rows` [n] alone, in their order."""
        lengths = self.lengths[rows]
        return Ragged(self.tokens[places(self.offsets()[rows], lengths)], lengths)

    def padded(
        self, chosen: np.ndarray, width: int, *, backwards: bool = False, end: int = PAD
    ) -> np.ndarray:
        """The sequences `chosen` [n], each followed by `end`: -> [n, width].

        >>> Ragged(np.array([5, 6, 7], np.uint8), np.array([1, 2])).padded(
        ...     np.array([1, 0]), 3, backwards=True, end=EOS).tolist()
        [[7, 6, 2], [5, 2, 0]]
        """
        result = np.full((len(chosen), width), PAD, self.tokens.dtype)
        offsets, columns = self.offsets(), np.arange(width)
        for start in range(0, len(chosen), CHUNK):
            part = chosen[start : start + CHUNK]
            lengths = self.lengths[part][:, None].astype(np.int64)
            order = lengths - 1 - columns if backwards else columns
            positions = offsets[part][:, None] + order
            within = columns < lengths
            block = result[start : start + CHUNK]
            block[within] = self.tokens[positions[within]]
            if end != PAD:
                block[columns == lengths] = end
        return result


def fetch(store: Rows, rows: Array) -> Batch:
    """Examples `rows` [B] of the store; -1 asks for filler."""
    chosen = jnp.maximum(rows, 0)
    return _batch(store, rows, store.source[chosen], store.target[chosen])


def part(store: Rows, rows: Array, source: Array, target: Array, size: int) -> Batch:
    """See `tasks.task.Part`: nothing but the store is as wide as its sequences."""
    chosen = jnp.maximum(rows, 0)

    def columns(kept: Array, first: Array) -> Array:
        picked = kept.at[chosen[:, None], (first + jnp.arange(size))[None]]
        return picked.get(mode="fill", fill_value=PAD)

    found = columns(store.source, source), columns(store.target, target)
    return _batch(store, rows, *found)


def _batch(store: Rows, rows: Array, source: Array, target: Array) -> Batch:
    """Examples with these tokens; filler has none."""
    real = rows >= 0
    chosen = jnp.maximum(rows, 0)

    def tokens(found: Array) -> Array:
        return jnp.where(real[:, None], found.astype(jnp.int32), PAD)

    def numbers(kept: Array) -> Array:
        return jnp.where(real, kept[chosen], 0)

    return Batch(
        tokens(source),
        numbers(store.source_lengths),
        tokens(target),
        numbers(store.target_lengths),
        numbers(store.ids),
        real.astype(jnp.float32) if store.weights is None else numbers(store.weights),
    )


def buckets(
    source: Ragged,
    target: Ragged,
    ids: np.ndarray,
    *,
    chosen: np.ndarray | None = None,
    count: int = 1,
    reverse_source: bool = False,
    source_eos: bool = False,
    weights: np.ndarray | None = None,
    references: References | None = None,
) -> tuple[Bucket, ...]:
    """At most `count` buckets of about equally many examples of similar lengths.

    Buckets that would have the same widths are one. Of sorting by the target's length
    first and by the source's length first, the one that pads least is taken.

    Args:
      source, target: sequences of ids without EOS.
      ids: [N] the global number of each.
      chosen: [n] positions of the examples that take part; all, where it is None.
      count: how many buckets.
      reverse_source: whether sources run backwards.
      source_eos: whether they end with EOS then.
      weights: [N] float32, what each counts; None: 1.
      references: further targets of all.
    """
    if chosen is None:
        chosen = np.arange(len(ids))
    s, t = source.lengths[chosen], target.lengths[chosen]
    groups = min(
        (
            np.array_split(chosen[order], min(count, len(chosen)))
            for order in (np.lexsort((s, t)), np.lexsort((t, s)))
        ),
        key=lambda split: _area(source, target, split),
    )
    merged: dict[tuple[int, int], list[np.ndarray]] = {}
    for group in groups:
        if len(group):
            merged.setdefault(_widths(source, target, group), []).append(group)
    found = []
    end = EOS if source_eos else PAD
    for (width, target_width), parts in merged.items():
        group = np.concatenate(parts)
        source_width = width + source_eos
        read = source.padded(group, source_width, backwards=reverse_source, end=end)
        store = Rows(
            jnp.asarray(read),
            jnp.asarray(source.lengths[group].astype(np.int32) + source_eos),
            jnp.asarray(target.padded(group, target_width, end=EOS)),
            jnp.asarray(target.lengths[group].astype(np.int32) + 1),
            jnp.asarray(ids[group].astype(np.int32)),
            None if weights is None else jnp.asarray(weights[group], jnp.float32),
        )
        further = None if references is None else references.taken(group)
        size = len(group)
        found.append(
            Bucket(size, source_width, target_width, store, fetch, further, part=part)
        )
    return tuple(found)


def joined(parts: Sequence[Bucket]) -> Bucket:
    """The examples of several buckets in one, padded to the widest of each side."""
    if len(parts) == 1:
        return parts[0]
    stores: list[Rows] = [part.store for part in parts]

    def column(name: str) -> Any:
        kept = [getattr(store, name) for store in stores]
        if kept[0] is None:
            return None
        width = max(leaf.shape[-1] for leaf in kept)
        return jnp.concatenate(
            [
                leaf
                if leaf.ndim == 1
                else jnp.pad(leaf, ((0, 0), (0, width - leaf.shape[1])))
                for leaf in kept
            ]
        )

    references = None
    if any(part.references is not None for part in parts):
        references = References.joined(
            [part.references or part.size or 0 for part in parts]
        )
    return replace(
        parts[0],
        size=sum(part.size or 0 for part in parts),
        source_width=max(part.source_width for part in parts),
        target_width=max(part.target_width for part in parts),
        store=Rows(*map(column, Rows._fields)),
        references=references,
    )


def smallest_type(vocabulary_size: int) -> np.dtype:
    """The smallest unsigned type that holds every id."""
    return np.min_scalar_type(vocabulary_size - 1)


def _area(source: Ragged, target: Ragged, groups: list[np.ndarray]) -> int:
    return sum(
        len(group) * sum(_widths(source, target, group))
        for group in groups
        if len(group)
    )


def _widths(source: Ragged, target: Ragged, group: np.ndarray) -> tuple[int, int]:
    # A width of zero would be a shape that no model can be built for.
    longest = int(source.lengths[group].max()), int(target.lengths[group].max())
    return max(1, longest[0]), longest[1] + 1

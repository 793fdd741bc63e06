"""The examples that all strategies decode, cut into batches of one shape each."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.inference import batches
from s2sjax.outcomes import References
from s2sjax.tasks.task import Bucket
from s2sjax.types import Batch


class Chunk(NamedTuple):
    """A batch on the device, and which examples its rows are."""

    batch: Batch
    places: np.ndarray  # [B] int, from 0; an example that only fills up comes twice
    examples: int  # rows before those that only fill up


def sources_of(chunks: Sequence[Chunk]) -> list[list[int]]:
    """The source of each example, in order, as the encoder reads it."""
    found: dict[int, list[int]] = {}
    for chunk in chunks:
        tokens, lengths = np.asarray(chunk.batch.source), chunk.batch.source_lengths
        for place, row, length in zip(
            chunk.places.tolist(), tokens, np.asarray(lengths).tolist(), strict=True
        ):
            found[place] = row[:length].tolist()
    return [found[place] for place in sorted(found)]


def chosen_rows(sizes: Sequence[int], examples: int | None) -> list[np.ndarray]:
    """Which rows of each bucket take part: all, or `examples` spread evenly.

    Buckets hold similar lengths, so that the first `examples` would be the short ones.

    >>> [rows.tolist() for rows in chosen_rows([4, 6], 5)]
    [[0, 2], [0, 3, 5]]
    """
    total = sum(sizes)
    examples = total if examples is None else min(examples, total)
    chosen = np.linspace(0, total - 1, examples).round().astype(int)
    starts = np.cumsum([0, *sizes])
    return [
        chosen[(chosen >= start) & (chosen < start + size)] - start
        for start, size in zip(starts[:-1], sizes, strict=True)
    ]


def chunks(
    buckets: Sequence[Bucket], examples: int | None, batch_size: int
) -> list[Chunk]:
    """All examples in batches of `batch_size`, bucket by bucket.

    The last batch of a bucket is filled up with the bucket's first examples: real work,
    so that what a batch costs does not depend on how full it is.
    """
    sizes = [bucket.size for bucket in buckets]
    assert None not in sizes, "an endless split needs a number of examples"
    filled: list[Chunk] = []
    before = 0
    every = chosen_rows([size for size in sizes if size is not None], examples)
    for bucket, rows in zip(buckets, every, strict=True):
        fetch = jax.jit(bucket.fetch)
        for within, count in batches.chunks(range(len(rows)), batch_size, repeat=True):
            batch = fetch(bucket.store, jnp.asarray(rows[within], jnp.int32))
            filled.append(Chunk(batch, before + within, count))
        before += len(rows)
    return filled


def further(buckets: Sequence[Bucket], examples: int | None) -> References | None:
    """What is right besides the targets of `chunks`, by example; None: nothing is."""
    every = chosen_rows([bucket.size or 0 for bucket in buckets], examples)
    if all(bucket.references is None for bucket in buckets):
        return None
    parts = []
    for bucket, rows in zip(buckets, every, strict=True):
        taken = bucket.references and bucket.references.taken(rows)
        nothing = np.zeros(0, np.int32), np.zeros(0, np.int32)
        parts.append(taken or References(*nothing, np.zeros(len(rows), np.int32)))
    return References(*map(np.concatenate, zip(*parts, strict=True)))


def evenly(chosen: Sequence[Chunk], most: int) -> list[Chunk]:
    """At most `most` of these, spread evenly, so that every bucket has its share."""
    places = np.linspace(0, len(chosen) - 1, min(most, len(chosen))).round()
    return [chosen[int(place)] for place in places]

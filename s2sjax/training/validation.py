"""Some examples of a split, the same ones every time.

By such validation examples a run is judged while it trains.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.tasks import unseen
from s2sjax.tasks.generated import Generator
from s2sjax.tasks.task import Bucket

CHUNK = 8192  # examples hashed at a time


def chosen(buckets: Sequence[Bucket], most: int) -> tuple[Bucket, ...]:
    """At most so many examples of a split, the same ones at every evaluation.

    Those with the smallest hashes of source and target are taken, so that neither the
    order of the examples nor how they are cut into buckets matters. Generated ones are
    drawn from hashes of their numbers: there the first are taken.

    Args:
      buckets: of the whole split; a store's leaves have an axis of examples in front.
      most: 0 takes them all, of finite buckets.
    """
    endless = any(bucket.size is None for bucket in buckets)
    if not endless and (not most or size(buckets) <= most):
        return tuple(buckets)
    if isinstance(buckets[0].fetch, Generator):
        (only,) = buckets
        return (dataclasses.replace(only, size=most),)
    hashes = [_hashes(bucket) for bucket in buckets]
    # The number breaks ties of equal examples, which one is taken does not matter.
    order = np.argsort(np.concatenate(hashes), kind="stable")[:most]
    ends = np.cumsum([len(its) for its in hashes])
    found = []
    for bucket, its, end in zip(buckets, hashes, ends, strict=True):
        start = end - len(its)
        rows = np.sort(order[(order >= start) & (order < end)]) - start
        if len(rows):
            store = jax.tree.map(lambda leaf, rows=rows: leaf[rows], bucket.store)
            found.append(dataclasses.replace(bucket, size=len(rows), store=store))
    return tuple(found)


def size(buckets: Sequence[Bucket]) -> int:
    """The examples of finite buckets."""
    return sum(bucket.size or 0 for bucket in buckets)


def _hashes(bucket: Bucket) -> np.ndarray:
    """Of the bucket's examples, -> [N] uint64."""
    fetch, parts = jax.jit(bucket.fetch), [np.zeros(0, np.uint64)]
    assert bucket.size is not None
    for start in range(0, bucket.size, CHUNK):
        rows = np.arange(start, min(start + CHUNK, bucket.size), dtype=np.int32)
        batch = fetch(bucket.store, jnp.asarray(rows))
        source, target = (
            unseen.fingerprints(np.asarray(tokens), np.asarray(lengths))
            for tokens, lengths in (
                (batch.source, batch.source_lengths),
                (batch.target, batch.target_lengths),
            )
        )
        # An odd multiple, so that a source and target in each other's place differ.
        parts.append(source * np.uint64(0x9E3779B97F4A7C15) ^ target)
    return np.concatenate(parts)

"""Which test sources training did not contain, exactly."""

from collections.abc import Callable, Iterable

import jax
import numpy as np

from s2sjax.tasks.task import Bucket

CHUNK = 8192  # training sources generated at a time


def fingerprints(source: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each row, whatever the padding.

    Shapes: source [B, S] ids, lengths [B] -> [B] uint64.
    """
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    found = lengths.astype(np.uint64) * multiplier
    for position in range(source.shape[1]):
        # A polynomial alone has zeros that short rows hit; the shift breaks them.
        mixed = (found ^ (found >> np.uint64(29))) * multiplier
        mixed += source[:, position].astype(np.uint64) + np.uint64(position + 1)
        found = np.where(position < lengths, mixed, found)
    return found ^ (found >> np.uint64(32))


def of_rows(rows: Iterable[list[int]]) -> np.ndarray:
    """The hashes of rows of ids without padding."""
    rows = list(rows)
    lengths = np.array([len(row) for row in rows], np.int64)
    padded = np.zeros((len(rows), max([0, *lengths.tolist()])), np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return fingerprints(padded, lengths)


def share_outside(known: np.ndarray, rows: Iterable[list[int]]) -> float:
    """The share of rows whose hash is not in `known` [N] uint64; 1 without rows."""
    asked = of_rows(rows)
    return float(np.mean(~np.isin(asked, known))) if asked.size else 1.0


def by_generating(bucket: Bucket) -> Callable[[list[list[int]], int], float]:
    """`unseen` of a task whose training examples can be generated again.

    A finite set counts as seen as a whole: an epoch goes through it in another order.
    """

    def unseen(sources: list[list[int]], count: int) -> float:
        count = count if bucket.size is None else bucket.size
        fetch = jax.jit(bucket.fetch)
        asked = of_rows(sources)
        new = np.ones(asked.shape, bool)
        for start in range(0, count, CHUNK):
            rows = np.arange(start, start + CHUNK, dtype=np.int32)
            rows = np.where(rows < count, rows, -1).astype(np.int32)
            batch = fetch(bucket.store, rows)
            drawn = fingerprints(np.array(batch.source), np.array(batch.source_lengths))
            new &= ~np.isin(asked, drawn[rows >= 0])
        return float(new.mean()) if asked.size else 1.0

    return unseen

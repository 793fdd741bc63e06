"""Evaluation: free-running and teacher-forced, on the examples of a split."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.errors import UsageError
from s2sjax.metrics import Outcomes, concatenate
from s2sjax.tasks.generated import Generator
from s2sjax.tasks.task import Bucket
from s2sjax.training.batches import each_batch
from s2sjax.training.predictor import System, decode, edits, force, symbol_lengths
from s2sjax.types import UNK, Batch


def outcomes(
    system: System,
    buckets: Sequence[Bucket],
    examples: int | None = None,
) -> tuple[Outcomes, list[list[int]]]:
    """What becomes of the first `examples` of a split (all, if it is finite).

    Returns:
      The outcomes and the source rows, without padding, in the same order.
    """
    parts: list[Outcomes] = []
    sources: list[list[int]] = []
    left, batch_size = examples, system.config.decode.batch_size
    for bucket in buckets:
        sizes = [size for size in (bucket.size, left) if size is not None]
        assert sizes, "an endless split needs a number of examples"
        size = min(sizes)

        def of_batch(
            start: int, bucket: Bucket = bucket, size: int = size
        ) -> tuple[Outcomes, list[list[int]]]:
            rows = np.arange(start, start + batch_size)
            count = min(size - start, len(rows))
            batch = _fetch(bucket, np.where(rows < size, rows, -1).astype(np.int32))
            return _batch_outcomes(system, batch, count), _rows(batch, count)

        for part, its_sources in each_batch(of_batch, range(0, size, batch_size)):
            parts.append(part)
            sources += its_sources
        if left is not None:
            left -= size
            if not left:
                break
    return concatenate(parts), sources


def _fetch(bucket: Bucket, rows: np.ndarray) -> Batch:
    return jax.jit(bucket.fetch)(bucket.store, jnp.asarray(rows))


def _batch_outcomes(system: System, batch: Batch, count: int) -> Outcomes:
    hypotheses = decode(system, batch.source, batch.source_lengths, batch.ids)
    forced = force(system, batch)
    output, lengths = hypotheses.tokens[:, 0], symbol_lengths(hypotheses)[:, 0]
    target_lengths = jnp.maximum(batch.target_lengths - 1, 0)
    edited = edits(output, lengths, batch.target, target_lengths)
    columns = (
        output,
        lengths,
        hypotheses.truncated[:, 0],
        batch.target,
        target_lengths,
        edited,
        hypotheses.scores[:, 0],
        -forced.log_probs.sum(axis=1),
        forced.correct,
    )
    return Outcomes(*(np.asarray(column)[:count] for column in columns))


def _rows(batch: Batch, count: int) -> list[list[int]]:
    source, lengths = np.asarray(batch.source), np.asarray(batch.source_lengths)
    return [source[row, : lengths[row]].tolist() for row in range(count)]


def enough(buckets: Sequence[Bucket], examples: int | None) -> Sequence[Bucket]:
    """Buckets that hold `examples` of them, where they can be generated.

    Raises:
      UsageError: an endless split, and no number.
    """
    if examples is None and any(bucket.size is None for bucket in buckets):
        raise UsageError("this split is endless; give --examples=N")
    if examples is None or len(buckets) != 1:
        return buckets
    (only,) = buckets
    if not isinstance(only.fetch, Generator):
        return buckets
    return (dataclasses.replace(only, size=examples),)


def some_source(buckets: Sequence[Bucket]) -> list[int]:
    """The token ids of a source of a split, without unknown symbols if there is one."""
    size = min(buckets[0].size or 100, 100)
    rows = _rows(_fetch(buckets[0], np.arange(size, dtype=np.int32)), size)
    return next((row for row in rows if row and UNK not in row), rows[0])

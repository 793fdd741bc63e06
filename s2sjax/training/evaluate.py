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
from s2sjax.training.batches import Passed, each_batch, unwatched
from s2sjax.training.predictor import (
    System,
    batch_rows,
    decode,
    edits,
    force,
    symbol_lengths,
)
from s2sjax.training.validation import size
from s2sjax.types import UNK, Batch


def outcomes(
    system: System,
    buckets: Sequence[Bucket],
    passed: Passed = unwatched,
) -> tuple[Outcomes, list[list[int]]]:
    """What becomes of the examples of finite buckets.

    Args:
      system: the models.
      buckets: of a split.
      passed: is told how far it is.

    Returns:
      The outcomes and the source rows, without padding, in the same order.
    """
    parts: list[Outcomes] = []
    sources: list[list[int]] = []
    examples = size(buckets)
    passed(0, examples)
    for bucket in buckets:
        assert bucket.size is not None
        batch_size = rows_at_once(system, bucket)

        def of_batch(
            start: int,
            bucket: Bucket = bucket,
            size: int = bucket.size,
            batch_size: int = batch_size,
        ) -> tuple[Outcomes, list[list[int]]]:
            rows = np.arange(start, start + batch_size)
            count = min(size - start, len(rows))
            batch = _fetch(bucket, np.where(rows < size, rows, -1).astype(np.int32))
            return _batch_outcomes(system, batch, count), _rows(batch, count)

        for part, its_sources in each_batch(
            of_batch, range(0, bucket.size, batch_size)
        ):
            parts.append(part)
            sources += its_sources
            passed(len(sources), examples)
    return concatenate(parts), sources


def rows_at_once(system: System, bucket: Bucket) -> int:
    """The rows of a batch of a bucket."""
    return batch_rows(
        system.config.decode,
        bucket.source_width,
        bucket.target_width,
        system.config.decode.batch_size if bucket.size is None else bucket.size,
    )


def long_ones(system: System, buckets: Sequence[Bucket]) -> str:
    """What to say of examples so long that their batches are smaller; empty if none."""
    long = [
        bucket
        for bucket in buckets
        if rows_at_once(system, bucket) < system.config.decode.batch_size
    ]
    if not long:
        return ""
    widest = max(max(bucket.source_width, bucket.target_width - 1) for bucket in long)
    count = sum(bucket.size or 0 for bucket in long)
    many = f"{count:,} examples have" if count != 1 else "1 example has"
    return (
        f"{many} up to {widest:,} symbols a side, decoded in small batches apart from "
        f"the others; that may take a while"
    )


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
        hypotheses.aux["logprob"][:, 0],
        -forced.log_probs.sum(axis=1),
        forced.correct,
    )
    return Outcomes.of(*(np.asarray(column)[:count] for column in columns))


def _rows(batch: Batch, count: int) -> list[list[int]]:
    source, lengths = np.asarray(batch.source), np.asarray(batch.source_lengths)
    return [source[row, : lengths[row]].tolist() for row in range(count)]


def enough(
    buckets: Sequence[Bucket], split: str, examples: int | None
) -> Sequence[Bucket]:
    """Buckets that hold `examples` of them, where they can be generated.

    A finite training set has no more than those that a run is trained on.

    Raises:
      UsageError: an endless split, and no number.
    """
    endless = any(bucket.size is None for bucket in buckets)
    if examples is None and endless:
        raise UsageError("this split is endless; give --examples=N")
    if examples is None or len(buckets) != 1 or (split == "train" and not endless):
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

"""Some predictions of an evaluation, in words for a person."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.errors import UsageError
from s2sjax.inference.batches import Passed, each_batch, unwatched
from s2sjax.inference.system import (
    System,
    batch_rows,
    decode,
    edits,
    force,
    symbol_lengths,
)
from s2sjax.metrics import Outcomes, concatenate
from s2sjax.tasks import unseen
from s2sjax.tasks.generated import Generator
from s2sjax.tasks.task import Bucket, Task, decode_source
from s2sjax.types import UNK, Batch

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

    def waiting() -> None:
        passed(len(sources), examples)

    waiting()
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
            of_batch,
            range(0, bucket.size, batch_size),
            waiting,
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
        raise UsageError("this split is endless; give examples=N")
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


class Sample(NamedTuple):
    """One prediction, in words for a person."""

    source: str
    output: str
    target: str

    @property
    def right(self) -> bool:
        """Whether the output is the target."""
        return self.output == self.target


def spread(
    task: Task, count: int, results: Outcomes, sources: Sequence[list[int]]
) -> list[Sample]:
    """So many of them, spread over the examples, which may be sorted by length."""
    source, target = task.source_vocabulary, task.target_vocabulary
    wanted = min(count, len(sources))
    places = np.linspace(0, len(sources) - 1, wanted, dtype=int)
    outputs, targets = results.output.tolist(), results.target.tolist()
    return [
        Sample(
            source.join(decode_source(task, sources[i])),
            target.join(target.decode(outputs[i])),
            target.join(target.decode(targets[i])),
        )
        for i in places
    ]

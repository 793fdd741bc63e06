"""Evaluation: what becomes of the examples of a split, free-running and forced."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.errors import UsageError
from s2sjax.inference.batches import Chunk, Passed, chunks, each_batch, unwatched
from s2sjax.inference.load import Trained, with_training
from s2sjax.inference.system import (
    System,
    batch_rows,
    decode,
    edits,
    force,
    symbol_lengths,
)
from s2sjax.outcomes import Outcomes, concatenate, with_further
from s2sjax.schema import TRAIN_EXAMPLES
from s2sjax.tasks import unseen
from s2sjax.tasks.task import Bucket, Task, decode_source
from s2sjax.types import UNK, Batch, Hypotheses

CHUNK = 8192  # examples hashed at a time

Evaluated = tuple[Outcomes, list[list[int]]]
"""Outcomes, and in the same order the source rows, without padding."""


def chosen(buckets: Sequence[Bucket], most: int) -> tuple[Bucket, ...]:
    """At most so many examples of a split, the same ones at every evaluation.

    Those with the smallest hashes of source and target are taken, so that neither the
    order of the examples nor how they are cut into buckets matters. Generated ones are
    drawn from hashes of their numbers: there the first are taken.

    Args:
      buckets: of the whole split.
      most: 0 takes them all, of finite buckets.
    """
    endless = any(bucket.size is None for bucket in buckets)
    if not endless and (not most or size(buckets) <= most):
        return tuple(buckets)
    if buckets[0].drawn:
        (only,) = buckets
        return (dataclasses.replace(only, size=most),)
    hashes = [_hashes(bucket) for bucket in buckets]
    # The number breaks ties of equal examples, which one is taken does not matter.
    order = np.argsort(np.concatenate(hashes), kind="stable")[:most]
    ends = np.cumsum([len(own) for own in hashes])
    found = []
    for bucket, own, end in zip(buckets, hashes, ends, strict=True):
        start = end - len(own)
        rows = np.sort(order[(order >= start) & (order < end)]) - start
        if len(rows):
            found.append(bucket.taken(rows))
    return tuple(found)


def size(buckets: Sequence[Bucket]) -> int:
    """The examples of finite buckets."""
    return sum(bucket.size or 0 for bucket in buckets)


def _hashes(bucket: Bucket) -> np.ndarray:
    """Of the bucket's examples, -> [N] uint64; of numbers by which example one is."""
    fetch, parts = jax.jit(bucket.fetch), [np.zeros(0, np.uint64)]
    assert bucket.size is not None
    for start in range(0, bucket.size, CHUNK):
        rows = np.arange(start, min(start + CHUNK, bucket.size), dtype=np.int32)
        batch = fetch(bucket.store, jnp.asarray(rows))
        if batch.given:
            ids = np.asarray(batch.ids)[:, None]
            parts.append(unseen.fingerprints(ids, np.ones(len(ids), np.int64)))
            continue
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
    *,
    oracle_length: bool = False,
) -> Evaluated:
    """What becomes of the examples of finite buckets.

    Args:
      system: the models.
      buckets: of a split.
      passed: is told how far it is.
      oracle_length: see `columns`.
    """

    def of_chunk(bucket: Bucket, chunk: Chunk) -> Evaluated:
        batch = _fetch(bucket, chunk.rows)
        found = columns(system, batch, oracle_length=oracle_length)
        sources = rows_of(batch.source, batch.source_lengths, chunk.examples)
        return of_columns(list(map(np.asarray, found)), bucket, chunk), sources

    parts: list[Outcomes] = []
    sources: list[list[int]] = []
    examples = size(buckets)

    def waiting() -> None:
        passed(len(sources), examples)

    waiting()
    for bucket in buckets:
        assert bucket.size is not None
        cut = chunks(range(bucket.size), rows_at_once(system, bucket))
        for results, its_sources in each_batch(partial(of_chunk, bucket), cut, waiting):
            parts.append(results)
            sources += its_sources
            passed(len(sources), examples)
    return concatenate(parts), sources


def of_columns(columns: Sequence[np.ndarray], bucket: Bucket, chunk: Chunk) -> Outcomes:
    """The outcomes of a chunk of a bucket, from the columns of its batch, [B, ...]."""
    results = Outcomes.of(*(column[: chunk.examples] for column in columns))
    rows = chunk.rows[: chunk.examples]
    further = bucket.references and bucket.references.taken(rows)
    return results if further is None else with_further(results, further)


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """A function of one run; see `columns`."""
    return function(*arguments)


def columns(
    system: System,
    batch: Batch,
    each: Callable[..., Any] = alone,
    *,
    oracle_length: bool = False,
) -> tuple[jax.Array, ...]:
    """What becomes of a batch: the columns of `Outcomes`, [B, ...], or [R, B, ...].

    Args:
      system: the models; of replicas with stacked parameters.
      batch: the examples; of replicas stacked too.
      each: `each(function, *arguments)`: the function of a run, or of every replica.
        Each part is a program of its own for both: compiled into one, the parts would
        be rounded otherwise.
      oracle_length: whether each output is told the length of its target, and ends
        there and not before (Lake and Baroni 2018). Its score is without an end.
    """
    decoding = _decode_to_length if oracle_length else _decode
    hypotheses, forced = each(decoding, system, batch), each(force, system, batch)
    best = (slice(None),) * batch.ids.ndim + (0,)
    first: Hypotheses = jax.tree.map(lambda leaf: leaf[best], hypotheses)
    lengths = symbol_lengths(first)
    target_lengths = jnp.maximum(batch.target_lengths - 1, 0)
    edited = each(edits, first.tokens, lengths, batch.target, target_lengths)
    return (
        first.tokens,
        lengths,
        first.truncated & (not oracle_length),
        batch.target,
        target_lengths,
        edited,
        first.scores,
        first.aux["logprob"],
        -forced.log_probs.sum(axis=-1),
        forced.correct,
        jnp.full(batch.ids.shape, int(system.ends), jnp.int32),
    )


def _decode(system: System, batch: Batch) -> Hypotheses:
    return decode(system, batch.source, batch.source_lengths, batch.ids)


def _decode_to_length(system: System, batch: Batch) -> Hypotheses:
    symbols = jnp.maximum(batch.target_lengths - 1, 0)
    about = batch.source, batch.source_lengths, batch.ids
    return decode(system, *about, symbols=symbols, width=batch.target.shape[-1])


def rows_of(tokens: jax.Array, lengths: jax.Array, count: int) -> list[list[int]]:
    """The first rows of an array, without their padding."""
    rows, ends = np.asarray(tokens), np.asarray(lengths)
    return [rows[row, : ends[row]].tolist() for row in range(count)]


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


def split_outcomes(
    trained: Trained,
    split: str = "test",
    examples: int | None = None,
    *,
    oracle_length: bool = False,
    warn: Callable[[str], None] = lambda line: None,
    passed: Passed = unwatched,
) -> Evaluated:
    """What becomes of a split's examples, and their sources.

    Args:
      trained: the run.
      split: "train", "valid" or "test".
      examples: how many, the same ones every time; None: all, and of the training set
        `TRAIN_EXAMPLES`.
      oracle_length: see `columns`.
      warn: takes a line for a person, e.g. about very long examples.
      passed: is told how far it is.

    Raises:
      UsageError: an endless split and no number, or training files that are gone.
    """
    if oracle_length and not trained.system.ends:
        raise UsageError(
            f"oracle_length=True: model.architecture="
            f"{trained.config.model.architecture} knows the lengths of its outputs"
        )
    if split == "train":
        buckets = with_training(trained).task.buckets[split]
        buckets = chosen(buckets, examples or TRAIN_EXAMPLES)
    else:
        every = enough(trained.task.buckets[split], split, examples)
        buckets = chosen(every, examples or 0)
    long = long_ones(trained.system, buckets)
    if long:
        warn(f"{split}: {long}")
    results, sources = outcomes(
        trained.system, buckets, passed, oracle_length=oracle_length
    )
    if examples is not None and len(sources) < examples:
        warn(f"examples={examples}: {split} has {len(sources)}")
    return results, sources


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
    if not only.drawn:
        return buckets
    return (dataclasses.replace(only, size=examples),)


def some_source(buckets: Sequence[Bucket]) -> list[int]:
    """The token ids of a source of a split, without unknown symbols if there is one."""
    count = min(buckets[0].size or 100, 100)
    batch = _fetch(buckets[0], np.arange(count, dtype=np.int32))
    rows = rows_of(batch.source, batch.source_lengths, count)
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

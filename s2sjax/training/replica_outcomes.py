"""Evaluation of all replicas of one program, free-running and teacher-forced."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.metrics import Outcomes, concatenate
from s2sjax.tasks.task import Bucket
from s2sjax.training import replicas
from s2sjax.training.evaluate import rows_at_once
from s2sjax.training.predictor import System, symbol_lengths
from s2sjax.training.replicas import Layout

Sources = list[list[int]]


def outcomes(
    layout: Layout,
    system: System,
    bucket: Bucket,
    stop: Callable[[], bool] = lambda: False,
) -> list[tuple[Outcomes, Sources]] | None:
    """For each replica what `evaluate.outcomes` says of one run.

    Args:
      layout: of the replicas.
      system: stacked parameters and numbers.
      bucket: the examples, as many for each; its store is stacked.
      stop: is asked between batches whether to give up.

    Returns:
      Outcomes and source rows of each replica, or None if it was given up.
    """
    parts: list[list[Outcomes]] = []
    sources: list[Sources] = []
    assert bucket.size is not None
    batch_size = rows_at_once(system, bucket)
    for start in range(0, bucket.size, batch_size):
        if stop():
            return None
        rows = np.arange(start, start + batch_size)
        count = min(bucket.size - start, batch_size)
        rows = np.where(rows < bucket.size, rows, -1).astype(np.int32)
        columns, source, lengths = _batch(layout, system, bucket, rows)
        parts = parts or [[] for _ in lengths]
        sources = sources or [[] for _ in lengths]
        for replica, part in enumerate(parts):
            part.append(Outcomes.of(*(column[replica, :count] for column in columns)))
            pairs = zip(source[replica], lengths[replica], strict=True)
            sources[replica] += [row[:n].tolist() for row, n in list(pairs)[:count]]
    return list(zip(map(concatenate, parts), sources, strict=True))


def _batch(
    layout: Layout, system: System, bucket: Bucket, rows: np.ndarray
) -> tuple[Sequence[np.ndarray], np.ndarray, np.ndarray]:
    """The columns of `Outcomes`, [R, B, ...]; sources [R, B, S] and lengths [R, B].

    Each part is a program of its own, as it is for a single run: compiled into one,
    the parts would be rounded otherwise.
    """
    batch = replicas.fetch(layout, bucket.fetch, bucket.store, jnp.asarray(rows))
    hypotheses = replicas.decode(layout, system, batch)
    forced = replicas.force(layout, system, batch)
    first = jax.tree.map(lambda leaf: leaf[:, :, 0], hypotheses)
    lengths = symbol_lengths(hypotheses)[:, :, 0]
    target_lengths = jnp.maximum(batch.target_lengths - 1, 0)
    edited = replicas.edits(layout, first.tokens, lengths, batch.target, target_lengths)
    columns: tuple[Any, ...] = (
        first.tokens,
        lengths,
        first.truncated,
        batch.target,
        target_lengths,
        edited,
        first.scores,
        first.aux["logprob"],
        -forced.log_probs.sum(axis=-1),
        forced.correct,
    )
    return (
        [np.asarray(column) for column in columns],
        np.asarray(batch.source),
        np.asarray(batch.source_lengths),
    )

"""What evaluation makes of outputs that are symbols."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.inference import summary
from s2sjax.inference.batches import Chunk
from s2sjax.inference.kind import Kind, Sample, alone
from s2sjax.inference.system import (
    System,
    batch_rows,
    decode,
    edits,
    force,
    symbol_lengths,
)
from s2sjax.outcomes import Outcomes, concatenate, with_further
from s2sjax.tasks.task import Bucket, Task, decode_source
from s2sjax.types import Batch, Hypotheses


def rows_at_once(system: System, bucket: Bucket) -> int:
    """The rows of a batch of a bucket."""
    return batch_rows(
        system.config.decode,
        bucket.source_width,
        bucket.target_width,
        system.config.decode.batch_size if bucket.size is None else bucket.size,
    )


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


def of_columns(columns: Sequence[np.ndarray], bucket: Bucket, chunk: Chunk) -> Outcomes:
    """The outcomes of a chunk of a bucket, from the columns of its batch, [B, ...]."""
    results = Outcomes.of(*(column[: chunk.examples] for column in columns))
    rows = chunk.rows[: chunk.examples]
    further = bucket.references and bucket.references.taken(rows)
    return results if further is None else with_further(results, further)


def rows_of(batch: Batch, count: int) -> list[list[int]]:
    """The first sources of a batch, without their padding."""
    rows, ends = np.asarray(batch.source), np.asarray(batch.source_lengths)
    return [rows[row, : ends[row]].tolist() for row in range(count)]


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


def remarks(found: Mapping[str, Any]) -> list[str]:
    """What to say where most outputs are one string."""
    alarm = summary.collapse(found)
    return [f"{found['split']}: {alarm}"] if alarm else []


SYMBOLS = Kind(
    rows_at_once,
    columns,
    of_columns,
    concatenate,
    rows_of,
    spread,
    summary.measured,
    summary.evaluation,
    summary.predictions,
    remarks,
)

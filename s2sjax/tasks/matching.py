"""Whether targets are as long as what a model without a decoder says."""

from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from s2sjax.config import ModelConfig
from s2sjax.errors import UsageError
from s2sjax.tasks.task import Bucket

LOOKED_AT = 2048  # examples of a split that is in no file


def check(
    model: ModelConfig,
    source: np.ndarray,
    target: np.ndarray,
    where: Callable[[int], str],
    what: str = "symbols",
) -> None:
    """Compares lengths of targets with those that a model's outputs have.

    Args:
      model: any; of one with a decoder all lengths are right.
      source: [N] the length of each source.
      target: [N] the length of each target, without EOS.
      where: `where(n)` names example n.
      what: the lengths are of.

    Raises:
      UsageError: an example, the first such, that the model cannot learn.
    """
    if model.has_decoder:
        return
    aligned = model.architecture == "aligned"
    wrong = np.flatnonzero(target != (source if aligned else 1))
    if not len(wrong):
        return
    place = int(wrong[0])
    came = f"the target has {target[place]} {what}"
    takes = "one"
    if aligned:
        came, takes = f"{came} and its source {source[place]}", "as many as a source"
    more = f"; {len(wrong) - 1:,} more are so" if wrong[1:].size else ""
    raise UsageError(
        f"{where(place)}: {came}; of model.architecture={model.architecture} it has "
        f"{takes}{more}"
    )


def check_buckets(
    model: ModelConfig, buckets: Mapping[str, Sequence[Bucket]], name: str
) -> None:
    """`check` of a task of no texts, by some examples of each split.

    Args:
      model: any.
      buckets: of each split.
      name: of the task.

    Raises:
      UsageError: as `check`.
    """
    if model.has_decoder:
        return
    for split, parts in buckets.items():
        for bucket in parts:
            count = min(bucket.size or LOOKED_AT, LOOKED_AT)
            rows = np.arange(count, dtype=np.int32)
            batch = jax.device_get(jax.jit(bucket.fetch)(bucket.store, rows))
            numbers = np.issubdtype(batch.target.dtype, np.floating)
            check(
                model,
                batch.source_lengths,
                batch.target_lengths - (not numbers),
                f"task.name={name}: {split} {{}}".format,
                "rows" if numbers else "symbols",
            )

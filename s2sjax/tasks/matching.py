"""Whether targets are as long as what a model without a decoder says."""

from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from s2sjax.config import ModelConfig
from s2sjax.errors import UsageError
from s2sjax.tasks.task import Bucket

LOOKED_AT = 2048  # examples of a split that is generated


def check(
    model: ModelConfig,
    source: np.ndarray,
    target: np.ndarray,
    where: Callable[..., str],
) -> None:
    """Compares lengths of targets with those that a model's outputs have.

    Args:
      model: any; of one with a decoder all lengths are right.
      source: [N] symbols of each source.
      target: [N] symbols of each target.
      where: `where(n)` names example n.

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
    came, own = int(target[place]), int(source[place])
    takes = (
        f"its source {own}; model.architecture=aligned takes targets as long as their "
        f"sources"
        if aligned
        else "model.architecture=classifier takes targets of one symbol"
    )
    more = f", and so for {len(wrong) - 1:,} more" if wrong[1:].size else ""
    raise UsageError(
        f"{where(place)}: the target has {came} symbols{' and' if aligned else ';'} "
        f"{takes}{more}"
    )


def check_buckets(
    model: ModelConfig, buckets: Mapping[str, Sequence[Bucket]], name: str
) -> None:
    """`check` of a task that is in no file, by some examples of each split.

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
            check(
                model,
                batch.source_lengths,
                batch.target_lengths - 1,
                lambda place, split=split: f"task.name={name}: {split} {place}",
            )

"""Windows of sources that are too long to be held: truncated backpropagation.

A window is K inputs (Williams and Peng 1990, with h = h' = K). The states after it are
those that the next one begins with, and no gradient goes back over the edge, so that
what a step keeps for it does not grow with the source. With a lookahead N the output
of an input is said N inputs later: in one window are the outputs of the inputs that
lie N before it.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from s2sjax.models.architectures import Model
from s2sjax.models.labeller import Aligned
from s2sjax.tasks.task import Fetch, Part
from s2sjax.types import PAD, Batch, Numbers


class Window(NamedTuple):
    """Which window of its examples a step takes."""

    size: int  # K
    source: Array  # [] int32, its first input
    target: Array  # [] int32, the first output that is said in it
    skipped: Array  # [] int32, its inputs before that is said

    @classmethod
    def of(cls, number: Array, size: int, ahead: int) -> "Window":
        """Window `number` [] from 0 on, of `size` inputs, with a lookahead."""
        source = number * size
        target = jnp.maximum(source - ahead, 0)
        return cls(size, source, target, target + ahead - source)

    @property
    def is_first(self) -> Array:
        """Whether sources begin in it, [] bool."""
        return self.source == 0


def fetched(
    model: Model, fetch: Fetch, part: Part | None, store: Any, rows: Array, w: Window
) -> Batch:
    """What of the examples `rows` [B] lies in a window: sources and targets [B, K].

    Lengths are those within the window; of symbols an EOS, which is not there, counts
    as it does in whole targets.

    Args:
      model: that reads them.
      fetch: of a bucket; the whole of the examples is cut where there is no `part`.
      part: of the bucket.
      store: of the bucket.
      rows: -1 asks for filler.
      w: the window.
    """
    assert isinstance(model, Aligned)
    if part is None:
        batch = fetch(store, rows)
        batch = batch._replace(
            source=_columns(batch.source, w.source, w.size),
            target=_columns(batch.target, w.target, w.size),
        )
    else:
        batch = part(store, rows, w.source, w.target, w.size)
    whole = batch.source_lengths
    read = jnp.where(whole > 0, whole + model.config.lookahead, 0)
    said = jnp.maximum(w.size - w.skipped, 0)
    end = 0 if isinstance(model.target, Numbers) else 1
    return batch._replace(
        source=model.extended(batch.source, whole - w.source, w.size),
        source_lengths=jnp.clip(read - w.source, 0, w.size),
        target_lengths=jnp.clip(whole - w.target, 0, said) + end,
    )


def _columns(array: Array, first: Array, size: int) -> Array:
    """`size` columns from one on, [B, T, ...] -> [B, size, ...]; past the last PAD."""
    rest = [(0, 0)] * (array.ndim - 2)
    longer = jnp.pad(array, [(0, 0), (0, size), *rest], constant_values=PAD)
    return lax.dynamic_slice_in_dim(longer, first, size, axis=1)

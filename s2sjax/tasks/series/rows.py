"""Examples of numbers that are given one by one, and how one is fetched."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from s2sjax.types import Batch, Given


class Store(NamedTuple):
    """Examples as they enter; sources with masks, and zeros beyond their lengths."""

    source: Array  # [N, S, F] float32
    source_lengths: Array  # [N] int32
    target: Array  # [N, T, G] float32, NaN where missing
    target_lengths: Array  # [N] int32
    known: Array  # [N, T, C] float32
    shift: Array  # [G] float32
    scale: Array  # [G] float32
    ids: Array  # [N] int32


def taken(store: Store, rows: np.ndarray) -> Store:
    """The store with some of its examples."""
    own = {
        name: leaf[rows]
        for name, leaf in store._asdict().items()
        if name not in ("shift", "scale")
    }
    return store._replace(**own)


@dataclass(frozen=True)
class Rows:
    """`fetch` of a bucket of such examples: equal ones share one compilation."""

    context: int  # S
    horizon: int  # T

    def __call__(self, store: Store, rows: Array) -> Batch:
        """Examples `rows` [B]; -1 asks for filler."""
        real, chosen = rows >= 0, jnp.maximum(rows, 0)
        shape = len(rows), store.target.shape[-1]

        def numbers(kept: Array) -> Array:
            own = kept[chosen]
            return jnp.where(real.reshape(-1, *[1] * (own.ndim - 1)), own, 0)

        return Batch(
            numbers(store.source),
            numbers(store.source_lengths),
            numbers(store.target),
            numbers(store.target_lengths),
            numbers(store.ids),
            real.astype(jnp.float32),
            Given(
                jnp.zeros(shape, jnp.float32),
                numbers(store.known),
                jnp.broadcast_to(store.shift, shape),
                jnp.broadcast_to(store.scale, shape),
            ),
        )

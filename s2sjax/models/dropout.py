"""Dropout whose mask belongs to the example: batch and padding do not change it."""

import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Dropout(NamedTuple):
    """A key for each example, and how much is dropped where; rates may be traced."""

    keys: Array  # [B] keys
    embedding: Array | float
    state: Array | float
    output: Array | float


def scales(
    keys: Array, name: str, rate: Array | float, shape: tuple[int, ...]
) -> Array:
    """Inverted dropout (Srivastava et al. 2014) as a factor: 0, or 1 / (1 - rate).

    The draw of an example depends on its key and on `name` alone; a longer first axis
    of `shape` only adds to it.

    Shapes: keys [B] -> [B, *shape] float32.
    """
    keep = 1.0 - jnp.asarray(rate, jnp.float32)

    def draw(key: Array) -> Array:
        key = jax.random.fold_in(key, zlib.crc32(name.encode()))
        return jax.random.uniform(key, shape) < keep

    return jax.vmap(draw)(keys) / keep

"""Dropout whose mask belongs to the example: batch and padding do not change it."""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Dropout(NamedTuple):
    """A key for each example, and how much is dropped: `embedding` is the rate of the
    field `model.dropout_embedding`, and so on. Rates may be traced."""

    keys: Array  # [B] keys
    rates: Mapping[str, Array | float]

    def factors(self, rate: str, place: str, shape: tuple[int, ...]) -> Array:
        """The factors of one place in the model, [B, *shape]; see `scales`."""
        return scales(self.keys, place, self.rates[rate], shape)


Noise = dict[str, Array]
"""Factors by where they act, e.g. `embedding` or `layer_0`, drawn before a recurrence:
[B, T, size], or [B, size] for one step."""

NONE: Noise = {}  # nothing is dropped


def drop(noise: Noise, place: str, x: Array) -> Array:
    """`x` times the factors of a place, if any."""
    return x * noise[place] if place in noise else x


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

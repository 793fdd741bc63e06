"""A softmax over the symbols that are not padding."""

import jax.numpy as jnp
from jax import Array


def masked_softmax(energies: Array, mask: Array) -> Array:
    """Softmax over the last axis where `mask` is true, 0 elsewhere, never NaN.

    Of an empty source all weights are 0.

    >>> masked_softmax(jnp.zeros(3), jnp.array([True, True, False])).tolist()
    [0.5, 0.5, 0.0]
    """
    lowest = jnp.finfo(energies.dtype).min
    largest = jnp.max(jnp.where(mask, energies, lowest), axis=-1, keepdims=True)
    exponentials = jnp.where(mask, jnp.exp(jnp.where(mask, energies - largest, 0)), 0)
    total = jnp.sum(exponentials, axis=-1, keepdims=True)
    return exponentials / jnp.where(total > 0, total, 1)

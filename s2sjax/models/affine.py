"""Bias, and initialisers whose scale ignores the shape."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers


def symmetric(bound: float) -> Callable[..., Array]:
    """An initialiser, uniform on [-bound, bound]."""
    uniform = initializers.uniform(2 * bound)

    def draw(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        return uniform(key, shape, dtype) - bound

    return draw


@jax.custom_vjp
def add_bias(x: Array, bias: Array) -> Array:
    """x + bias along the last axis: [..., D] + [D].

    The bias's gradient, a sum over all other axes, is taken as a product with ones:
    XLA's CPU backend reduces the leading axes of a large array slowly (measured for
    [20, 128, 1024]: 15 ms, and 0.9 ms as a product).
    """
    return x + jnp.expand_dims(bias, range(x.ndim - 1))


def _add_bias_forward(x: Array, bias: Array) -> tuple[Array, None]:
    return add_bias(x, bias), None


def _add_bias_backward(kept: None, d: Array) -> tuple[Array, Array]:
    rows = d.reshape(-1, d.shape[-1])
    return d, jnp.ones(rows.shape[0], d.dtype) @ rows


add_bias.defvjp(_add_bias_forward, _add_bias_backward)

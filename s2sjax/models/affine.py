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
def affine(x: Array, kernel: Array, bias: Array) -> Array:
    """x kernel + bias along the last axis: [..., I], [I, O], [O] -> [..., O].

    Its gradients are products of matrices [rows, I] and [rows, O] as they lie, the
    bias's one with ones: XLA's CPU backend reduces the leading axes of a large array
    slowly (measured for [20, 128, 1024]: 15 ms, and 0.9 ms as a product), and turns
    round whole arrays for the transposed products of autodiff.
    """
    rows = x.reshape(-1, x.shape[-1]) @ kernel + bias[None]
    return rows.reshape(*x.shape[:-1], kernel.shape[-1])


def _affine_forward(x: Array, kernel: Array, bias: Array) -> Any:
    return affine(x, kernel, bias), (x, kernel)


def _affine_backward(kept: Any, d: Array) -> tuple[Array, Array, Array]:
    x, kernel = kept
    d_rows, rows = d.reshape(-1, d.shape[-1]), x.reshape(-1, x.shape[-1])
    d_x = (d_rows @ kernel.T).reshape(x.shape)
    return d_x, rows.T @ d_rows, jnp.ones(d_rows.shape[0], d.dtype) @ d_rows


affine.defvjp(_affine_forward, _affine_backward)

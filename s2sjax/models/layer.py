"""The parameters of one recurrent layer."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers

from s2sjax import platforms
from s2sjax.models.base import Cell, Dot, Kernel, Parameters, Weights
from s2sjax.models.scan import product


def symmetric(bound: float) -> Callable[..., Array]:
    """An initialiser, uniform on [-bound, bound]."""
    uniform = initializers.uniform(2 * bound)

    def draw(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        return uniform(key, shape, dtype) - bound

    return draw


@jax.custom_vjp
def affine(x: Array, kernel: Array, bias: Array) -> Array:
    """x kernel + bias along the last axis: [..., I], [I, O], [O] -> [..., O].

    Its gradients are products of matrices [N, I] and [N, O] as they lie: of the
    transposed products of autodiff XLA's CPU backend turns round whole arrays.
    """
    flat = x.reshape(-1, x.shape[-1]) @ kernel + bias[None]
    return flat.reshape(*x.shape[:-1], kernel.shape[-1])


def _affine_forward(x: Array, kernel: Array, bias: Array) -> Any:
    return affine(x, kernel, bias), (x, kernel)


def _affine_backward(residuals: Any, d: Array) -> tuple[Array, Array, Array]:
    x, kernel = residuals
    d, flat = d.reshape(-1, d.shape[-1]), x.reshape(-1, x.shape[-1])
    return (d @ kernel.T).reshape(x.shape), flat.T @ d, platforms.total(d, 0)


affine.defvjp(_affine_forward, _affine_backward)


def at_once(weights: Weights) -> Dot:
    """`dot` for the steps of all time at once, outside of any scan: lhs [T, B, ..]."""

    def dot(name: str, *lhs: Array) -> Array:
        if len(lhs) == 1 and len(weights[name]) == 2:
            (x,), (kernel, bias) = lhs, weights[name]
            if jnp.issubdtype(x.dtype, jnp.integer):
                return platforms.rows(kernel + bias[None], x)
            return affine(x, kernel, bias)
        return product(lhs, weights[name])

    return dot


class Layer(nn.Module):
    """One recurrent layer.

    Attributes:
      cell: its cell.
      inputs: size of its input; of the vocabulary where `one_hot`.
      context: size of the attention context that enters the cell; 0: none.
      one_hot: the input is token ids, whose row of the kernel is gathered.
    """

    cell: Cell
    inputs: int
    context: int = 0
    one_hot: bool = False

    def setup(self) -> None:
        # Kernels with a vocabulary-sized axis are drawn at a scale that ignores it,
        # so that padding the vocabulary changes no other row.
        kernel: Kernel = initializers.glorot_uniform()
        if self.one_hot:
            kernel = symmetric(self.cell.units**-0.5)
        draws = self.cell.parameters(self.inputs, self.context, kernel)
        self.params = {name: self.param(name, draw) for name, draw in draws.items()}

    def parameters(self) -> Parameters:
        """The parameters by name, for `scan`."""
        return dict(self.params)

    def projection(self) -> tuple[Array, ...]:
        """What its input is multiplied with; see `Cell.projection`."""
        return self.cell.projection(self.params)

    def project(self, x: Array, scale: Array | None = None) -> Array:
        """What the inputs of all steps give at once, [..., I] or ids [...] -> [..., G].

        `scale` multiplies x (dropout); for ids it is [..., 1], on the one-hot vector.
        """
        kernel, *rest = self.projection()
        bias = rest[0] if rest else jnp.zeros(kernel.shape[1], kernel.dtype)
        if not jnp.issubdtype(x.dtype, jnp.integer):
            return affine(x if scale is None else x * scale, kernel, bias)
        if scale is None:
            return platforms.rows(kernel + bias[None], x)
        return platforms.rows(kernel, x) * scale + jnp.expand_dims(bias, range(x.ndim))

"""The LSTM."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import platforms
from s2sjax.models.base import Draw, Kernel, State
from s2sjax.models.cells.stepped import Additive, split


class LSTM(Additive):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

        i, f, g, o = split(z + h U)
        c' = sigmoid(f) c + sigmoid(i) tanh(g),    h' = sigmoid(o) tanh(c')

    The state is (h, c). The forget gate's bias starts at 1 (Jozefowicz et al. 2015).
    """

    names: ClassVar[tuple[str, ...]] = ("h", "c")
    gates: ClassVar[int] = 4

    def parameters(self, inputs: int, context: int, kernel: Kernel) -> dict[str, Draw]:
        """See `Cell`."""
        draws = super().parameters(inputs, context, kernel)
        return draws | {"bias": forget_bias(self.units)}

    def activate(self, a: Array, state: State) -> State:
        """See `Additive`."""
        return gates(a, state[1])


def forget_bias(units: int) -> Draw:
    """The bias of i, f, g, o, which starts at 1 for f and at 0 for the others."""
    return lambda key: jnp.zeros((4, units)).at[1].set(1.0).reshape(-1)


def plain_gates(a: Array, c: Array) -> tuple[Array, Array]:
    """The equation of `gates`, which tests differentiate by jax."""
    i, f, g, o = jnp.split(a, 4, axis=-1)
    new = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(new), new


@jax.custom_vjp
def gates(a: Array, c: Array) -> tuple[Array, Array]:
    """a [B, 4 D] and c [B, D] to the new h and c.

    The derivative is written out because it is a function of the activations alone:
    nothing else is kept for the backward pass, and nothing is computed twice.
    """
    return _forward(a, c)[0]


def _forward(a: Array, c: Array) -> tuple[Any, Any]:
    # sigmoid(x) = (1 + tanh(x / 2)) / 2, so that one tanh of the whole array does:
    # [1/2, 1/2, 1, 1/2] for i, f, g, o.
    scale = jnp.repeat(jnp.array([0.5, 0.5, 1.0, 0.5], a.dtype), c.shape[-1])[None]
    i, f, g, o = split(jnp.tanh(a * scale) * scale + (1 - scale), 4)
    new = platforms.settled(f * c + i * g)
    tanh_new = jnp.tanh(new)
    return (o * tanh_new, new), (i, f, g, o, c, tanh_new)


def _backward(activations: Any, cotangents: tuple[Array, Array]) -> tuple[Array, Array]:
    i, f, g, o, c, tanh_new = activations
    dh, dnew = cotangents
    dnew = dnew + dh * o * (1 - tanh_new**2)
    da = [
        dnew * g * i * (1 - i),
        dnew * c * f * (1 - f),
        dnew * i * (1 - g**2),
        dh * tanh_new * o * (1 - o),
    ]
    return jnp.concatenate(da, axis=-1), dnew * f


gates.defvjp(_forward, _backward)

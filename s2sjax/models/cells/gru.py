"""The GRU, with its reset gate after the product or before."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import platforms
from s2sjax.errors import unknown
from s2sjax.models.base import (
    Cell,
    Dot,
    Draw,
    Inputs,
    Kernel,
    Parameters,
    State,
    Weights,
)
from s2sjax.models.cells.stepped import Stepped, kernels, read, reads, split, zeros


def gru_cell(units: int, reset: str = "after") -> Cell:
    """The GRU whose reset gate stands after the recurrent product, or before it."""
    forms: dict[str, Callable[[int], Cell]] = {"after": GRU, "before": GRUResetBefore}
    if reset not in forms:
        raise unknown("reset", reset, forms)
    return forms[reset](units)


class GRU(Stepped):
    """Gated recurrent unit (Cho et al. 2014), the reset gate after the product.

        z_r, z_u, z_n = split(z),    m_r, m_u, m_n = split(h U)
        r = sigmoid(z_r + m_r),    u = sigmoid(z_u + m_u)
        n = tanh(z_n + r (m_n + recurrent_bias)),    h' = (1 - u) n + u h

    This is the form of cuDNN, of PyTorch and of Keras with `reset_after=True`.
    """

    names: ClassVar[tuple[str, ...]] = ("h",)

    def parameters(self, inputs: int, context: int, kernel: Kernel) -> dict[str, Draw]:
        """See `Cell`."""
        matrices = kernels(self.units, 3, inputs, context, kernel)
        biases = {"bias": zeros(3 * self.units), "recurrent_bias": zeros(self.units)}
        return matrices | biases

    def vectors(self, params: Parameters) -> Parameters:
        """See `Cell`."""
        return {"recurrent_bias": params["recurrent_bias"]}

    def step(
        self,
        dot: Dot,
        vectors: Parameters,
        rest: Any,
        state: State,
        context: Array | None,
    ) -> State:
        """See `Cell`."""
        (h,) = state
        z = read(dot, rest, context)
        return (gates(z, dot("recurrent", h), vectors["recurrent_bias"], h),)


class GRUResetBefore(Stepped):
    """Gated recurrent unit, the reset gate before the product.

        r, u = sigmoid(z_ru + h U_ru),    n = tanh(z_n + (r h) U_n)
        h' = (1 - u) n + u h

    This is the form of Cho et al. (2014, equations 5 to 8) and of Keras with
    `reset_after=False`. Its second product waits for the first.
    """

    names: ClassVar[tuple[str, ...]] = ("h",)

    def parameters(self, inputs: int, context: int, kernel: Kernel) -> dict[str, Draw]:
        """See `Cell`."""
        matrices = kernels(self.units, 3, inputs, context, kernel)
        return matrices | {"bias": zeros(3 * self.units)}

    def weights(self, params: Parameters) -> Weights:
        """See `Cell`."""
        matrices = [params["recurrent_kernel"]]
        if "context_kernel" in params:
            matrices.append(params["context_kernel"])
        gates, candidate = zip(*map(self._divided, matrices), strict=True)
        return {"gates": gates, "candidate": candidate}

    def inputs(self, z: Array) -> tuple[Inputs, Any]:
        """See `Cell`."""
        gates, candidate = self._divided(z)
        return {"gates": gates, "candidate": candidate}, ()

    def step(
        self,
        dot: Dot,
        vectors: Parameters,
        rest: Any,
        state: State,
        context: Array | None,
    ) -> State:
        """See `Cell`."""
        (h,) = state
        r, u = split(jax.nn.sigmoid(dot("gates", *reads(h, context))), 2)
        n = jnp.tanh(dot("candidate", *reads(r * h, context)))
        return (n + u * (h - n),)

    def _divided(self, a: Array) -> tuple[Array, Array]:
        return a[..., : 2 * self.units], a[..., 2 * self.units :]


def plain_gates(z: Array, m: Array, bias: Array, h: Array) -> Array:
    """The equation of `gates`, which tests differentiate by jax."""
    z_r, z_u, z_n = jnp.split(z, 3, axis=-1)
    m_r, m_u, m_n = jnp.split(m, 3, axis=-1)
    r, u = jax.nn.sigmoid(z_r + m_r), jax.nn.sigmoid(z_u + m_u)
    n = jnp.tanh(z_n + r * (m_n + bias[None]))
    return (1 - u) * n + u * h


@jax.custom_vjp
def gates(z: Array, m: Array, bias: Array, h: Array) -> Array:
    """z and m [B, 3 D], bias [D] and h [B, D] to the new h.

    The derivative is written out because it is a function of the activations alone.
    """
    return _forward(z, m, bias, h)[0]


def _forward(z: Array, m: Array, bias: Array, h: Array) -> tuple[Array, Any]:
    (units,) = h.shape[1:]
    m_n = m[:, 2 * units :] + bias[None]
    r, u = split(jax.nn.sigmoid(z[:, : 2 * units] + m[:, : 2 * units]), 2)
    n = jnp.tanh(platforms.settled(z[:, 2 * units :] + r * m_n))
    return n + u * (h - n), (r, u, n, m_n, h)


def _backward(activations: Any, dnew: Array) -> tuple[Array, Array, Array, Array]:
    r, u, n, m_n, h = activations
    dn = dnew * (1 - u) * (1 - n**2)
    du = dnew * (h - n) * u * (1 - u)
    dr = dn * m_n * r * (1 - r)
    dz = jnp.concatenate([dr, du, dn], axis=-1)
    dm = jnp.concatenate([dr, du, dn * r], axis=-1)
    return dz, dm, jnp.sum(dn * r, axis=0), dnew * u


gates.defvjp(_forward, _backward)

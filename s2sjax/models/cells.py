"""Recurrent cells: the arithmetic of one step, and the parameters it needs.

A cell is split where the speed is. What does not depend on the state is projected for
all steps at once (`project`). What does is one affine map `dot`, whose weight
gradients `scan.scan` takes in one product, and elementwise arithmetic (`step`).
States are tuples whose first part is the output h.

Parameters of a layer: `input_kernel` [I, G], `recurrent_kernel` [D, G], `bias` [G],
with G = gates * units; `context_kernel` [C, G] where attention enters the cell; GRU
also `recurrent_bias` [D].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.nn import initializers

Parameters = dict[str, Array]
State = tuple[Array, ...]  # each [B, D]; the first part is the output
Weights = dict[str, tuple[Array, ...]]  # matrices [I, O] by name
Inputs = dict[str, Array]  # what is added to the products, [..., O] by name
Dot = Callable[..., Array]  # dot(name, *xs) = sum_i xs_i @ weights_i + inputs, of name


class Cell(Protocol):
    """What the recurrences need of a cell."""

    @property
    def units(self) -> int:
        """Size D of the state."""

    gates: ClassVar[int]  # blocks of size `units` in a pre-activation
    parts: ClassVar[int]  # arrays in a state

    def vectors(self) -> Parameters:
        """The parameters that are not matrices, as they are before training."""

    def weights(self, params: Parameters) -> Weights:
        """The matrices that every step multiplies with."""

    def inputs(self, params: Parameters, z: Array) -> tuple[Inputs, Any]:
        """Splits z [..., G] into what is added to the products and the rest."""

    def step(self, dot: Dot, rest: Any, state: State, context: Array | None) -> State:
        """One step; `context` [B, C] enters as a second input."""


@dataclass(frozen=True)
class _Additive:
    """A cell whose pre-activation is the sum z + h U + context C."""

    units: int
    gates: ClassVar[int]

    def vectors(self) -> Parameters:
        return {"bias": jnp.zeros(self.gates * self.units)}

    def weights(self, params: Parameters) -> Weights:
        if "context_kernel" not in params:
            return {"recurrent": (params["recurrent_kernel"],)}
        return {"recurrent": (params["recurrent_kernel"], params["context_kernel"])}

    def inputs(self, params: Parameters, z: Array) -> tuple[Inputs, Any]:
        return {"recurrent": z}, ()

    def step(self, dot: Dot, rest: Any, state: State, context: Array | None) -> State:
        read = (state[0],) if context is None else (state[0], context)
        return self.activate(dot("recurrent", *read), state)

    def activate(self, a: Array, state: State) -> State:
        raise NotImplementedError


@dataclass(frozen=True)
class LSTM(_Additive):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

        i, f, g, o = split(z + h U)
        c' = sigmoid(f) c + sigmoid(i) tanh(g),    h' = sigmoid(o) tanh(c')

    The state is (h, c). The forget gate's bias starts at 1 (Jozefowicz et al. 2015).
    """

    gates: ClassVar[int] = 4
    parts: ClassVar[int] = 2

    def vectors(self) -> Parameters:
        return {"bias": jnp.zeros((4, self.units)).at[1].set(1.0).reshape(-1)}

    def activate(self, a: Array, state: State) -> State:
        return _lstm_gates(a, state[1])


@dataclass(frozen=True)
class RNN(_Additive):
    """The plain cell (Elman 1990): h' = tanh(z + h U)."""

    gates: ClassVar[int] = 1
    parts: ClassVar[int] = 1

    def activate(self, a: Array, state: State) -> State:
        return (jnp.tanh(a),)


@dataclass(frozen=True)
class GRU:
    """Gated recurrent unit (Cho et al. 2014), the reset gate after the product.

        z_r, z_u, z_n = split(z),    m_r, m_u, m_n = split(h U)
        r = sigmoid(z_r + m_r),    u = sigmoid(z_u + m_u)
        n = tanh(z_n + r (m_n + recurrent_bias)),    h' = (1 - u) n + u h

    This is the form of cuDNN, of PyTorch and of Keras with `reset_after=True`.
    """

    units: int
    gates: ClassVar[int] = 3
    parts: ClassVar[int] = 1

    def vectors(self) -> Parameters:
        return {
            "bias": jnp.zeros(3 * self.units),
            "recurrent_bias": jnp.zeros(self.units),
        }

    def weights(self, params: Parameters) -> Weights:
        weights: Weights = {"recurrent": (params["recurrent_kernel"],)}
        if "context_kernel" in params:
            weights["context"] = (params["context_kernel"],)
        return weights

    def inputs(self, params: Parameters, z: Array) -> tuple[Inputs, Any]:
        zeros = jnp.zeros((*z.shape[:-1], 2 * self.units), z.dtype)
        bias = jnp.broadcast_to(params["recurrent_bias"], (*z.shape[:-1], self.units))
        recurrent = jnp.concatenate([zeros, bias], axis=-1)
        if "context_kernel" in params:
            return {"recurrent": recurrent, "context": z}, None
        return {"recurrent": recurrent}, z

    def step(self, dot: Dot, rest: Any, state: State, context: Array | None) -> State:
        (h,) = state
        z = rest if context is None else dot("context", context)
        return (_gru_gates(z, dot("recurrent", h), h),)


CELLS: dict[str, Callable[[int], Cell]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


def initial_state(cell: Cell, batch: int, dtype: Any = jnp.float32) -> State:
    """The zero state, [batch, units] per part."""
    return tuple(jnp.zeros((batch, cell.units), dtype) for _ in range(cell.parts))


def recurrent_kernel(key: Array, cell: Cell) -> Array:
    """One orthogonal block per gate (Saxe et al. 2014), [units, gates * units]."""
    orthogonal = initializers.orthogonal()
    blocks = [
        orthogonal(jax.random.fold_in(key, gate), (cell.units, cell.units))
        for gate in range(cell.gates)
    ]
    return jnp.concatenate(blocks, axis=1)


def _split(a: Array, blocks: int) -> tuple[Array, ...]:
    """Splits the last axis of an array that is computed before, not on the way.

    XLA's CPU backend does not vectorise transcendental functions of slices, nor what
    it computes again for each of them; the barrier keeps it from doing either.
    """
    return tuple(jnp.split(lax.optimization_barrier(a), blocks, axis=-1))


# The gates' derivatives are written out because they are functions of the activations
# alone: nothing else is kept for the backward pass, and nothing is computed twice.


@jax.custom_vjp
def _lstm_gates(a: Array, c: Array) -> tuple[Array, Array]:
    return _lstm_forward(a, c)[0]


def _lstm_forward(a: Array, c: Array) -> tuple[Any, Any]:
    # sigmoid(x) = (1 + tanh(x / 2)) / 2, so that one tanh of the whole array does:
    # [1/2, 1/2, 1, 1/2] for i, f, g, o.
    scale = jnp.repeat(jnp.array([0.5, 0.5, 1.0, 0.5], a.dtype), c.shape[-1])[None]
    i, f, g, o = _split(jnp.tanh(a * scale) * scale + (1 - scale), 4)
    new = lax.optimization_barrier(f * c + i * g)
    tanh_new = jnp.tanh(new)
    return (o * tanh_new, new), (i, f, g, o, c, tanh_new)


def _lstm_backward(kept: Any, cotangents: tuple[Array, Array]) -> tuple[Array, Array]:
    i, f, g, o, c, tanh_new = kept
    dh, dnew = cotangents
    dnew = dnew + dh * o * (1 - tanh_new**2)
    da = [
        dnew * g * i * (1 - i),
        dnew * c * f * (1 - f),
        dnew * i * (1 - g**2),
        dh * tanh_new * o * (1 - o),
    ]
    return jnp.concatenate(da, axis=-1), dnew * f


_lstm_gates.defvjp(_lstm_forward, _lstm_backward)


@jax.custom_vjp
def _gru_gates(z: Array, m: Array, h: Array) -> Array:
    return _gru_forward(z, m, h)[0]


def _gru_forward(z: Array, m: Array, h: Array) -> tuple[Array, Any]:
    (units,) = h.shape[1:]
    m_n = m[:, 2 * units :]
    gates = jax.nn.sigmoid(z[:, : 2 * units] + m[:, : 2 * units])
    r, u = _split(gates, 2)
    n = jnp.tanh(lax.optimization_barrier(z[:, 2 * units :] + r * m_n))
    return n + u * (h - n), (r, u, n, m_n, h)


def _gru_backward(kept: Any, dnew: Array) -> tuple[Array, Array, Array]:
    r, u, n, m_n, h = kept
    dn = dnew * (1 - u) * (1 - n**2)
    du = dnew * (h - n) * u * (1 - u)
    dr = dn * m_n * r * (1 - r)
    dz = jnp.concatenate([dr, du, dn], axis=-1)
    dm = jnp.concatenate([dr, du, dn * r], axis=-1)
    return dz, dm, dnew * u


_gru_gates.defvjp(_gru_forward, _gru_backward)

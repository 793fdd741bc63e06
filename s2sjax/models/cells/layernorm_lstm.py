"""The LSTM with layer normalisation."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.models.base import Dot, Draw, Kernel, Parameters, State
from s2sjax.models.cells.lstm import forget_bias
from s2sjax.models.cells.stepped import Stepped, kernels, ones, read, split, zeros


class LayerNormLSTM(Stepped):
    """The LSTM with normalised pre-activations and cell (Ba et al. 2016, appendix).

        N(a) = (a - mean(a)) / sqrt(var(a) + 1e-5)
        i, f, g, o = split(input_gain N(x W) + recurrent_gain N(h U) + bias)
        c' = sigmoid(f) c + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(cell_gain N(c') + cell_bias)

    N is over all four gates of an example at once, as in the paper and its code, not
    over each gate. The paper adds a bias to each of the two norms; they are one. An
    attention's context is part of the input: N(x W + context C). Gains start at 1, and
    the forget gate's bias at 1 too.
    """

    names: ClassVar[tuple[str, ...]] = ("h", "c")

    def parameters(self, inputs: int, context: int, kernel: Kernel) -> dict[str, Draw]:
        """See `Cell`."""
        width = 4 * self.units
        return kernels(self.units, 4, inputs, context, kernel) | {
            "input_gain": ones(width),
            "recurrent_gain": ones(width),
            "bias": forget_bias(self.units),
            "cell_gain": ones(self.units),
            "cell_bias": zeros(self.units),
        }

    def projection(self, params: Parameters) -> tuple[Array, ...]:
        """See `Cell`; the bias comes after the norm."""
        return (params["input_kernel"],)

    def vectors(self, params: Parameters) -> Parameters:
        """See `Cell`."""
        return {name: value for name, value in params.items() if value.ndim == 1}

    def step(
        self,
        dot: Dot,
        vectors: Parameters,
        rest: Any,
        state: State,
        context: Array | None,
    ) -> State:
        """See `Cell`."""
        h, c = state
        z = read(dot, rest, context)
        m = dot("recurrent", h)
        a = normalised(z, vectors["input_gain"], vectors["bias"])
        a = a + normalised(m, vectors["recurrent_gain"])
        i, f, g, o = split(a, 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        n = normalised(c, vectors["cell_gain"], vectors["cell_bias"])
        return jax.nn.sigmoid(o) * jnp.tanh(n), c


def normalised(a: Array, gain: Array, bias: Array | None = None) -> Array:
    """gain N(a) + bias over the last axis: [B, G], [G], [G] -> [B, G]."""
    centred = a - jnp.mean(a, axis=-1, keepdims=True)
    variance = jnp.mean(centred**2, axis=-1, keepdims=True)
    scaled = gain[None] * centred * lax.rsqrt(variance + 1e-5)
    return scaled if bias is None else scaled + bias[None]

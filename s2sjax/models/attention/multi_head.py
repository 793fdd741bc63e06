"""Attention with several heads (Vaswani et al. 2017, section 3.2.2)."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers

from s2sjax import spec
from s2sjax.models.attention.softmax import masked_softmax
from s2sjax.models.base import Dot, Encoded, Weights
from s2sjax.models.layer import affine
from s2sjax.schema import SIZE


class HeadsMemory(NamedTuple):
    """What is looked at; each head has A = units / heads of the units."""

    keys: Array  # [B, H, A, S], scaled
    values: Array  # [B, H, S, A]
    mask: Array  # [B, S] bool, False on padding


class MultiHeadAttention(nn.Module):
    """Heads that look by themselves; the context is what all of them found.

        e^i_s = (Q_i h + p_i) . (K_i m_s + q_i) / sqrt(A),    a^i = softmax(e^i)
        context = O [sum_s a^1_s (V_1 m_s + r_1); ...] + o

    for the query h, and m_s what the encoder says of symbol s. The context has the size
    of the memory. This is `torch.nn.MultiheadAttention`. "attention" is the mean of the
    heads, which are reported as "heads", [B, H, S].

    Attributes:
      state: size D of the query.
      values: size C of what is attended to.
      heads: how many, H.
      units: size of all heads together, H A; 0: that of the query.
    """

    state: int
    values: int
    heads: int = 4
    units: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        spec.between("units", self.units, 0, SIZE)
        units = self.units or self.state
        spec.between("heads", self.heads, 1, units)
        if units % self.heads:
            raise ValueError(f"{units} units do not divide into heads={self.heads}")

    def setup(self) -> None:
        units = self.units or self.state
        self.query_kernel, self.query_bias = self._linear("query", self.state, units)
        self.key_kernel, self.key_bias = self._linear("key", self.values, units)
        self.value_kernel, self.value_bias = self._linear("value", self.values, units)
        self.output_kernel, self.output_bias = self._linear(
            "output", units, self.values
        )

    def _linear(self, name: str, inputs: int, outputs: int) -> tuple[Array, Array]:
        glorot = initializers.glorot_uniform()
        kernel = self.param(f"{name}_kernel", glorot, (inputs, outputs))
        return kernel, self.param(f"{name}_bias", initializers.zeros, (outputs,))

    def memory(self, encoded: Encoded) -> HeadsMemory:
        """Projects keys and values."""
        keys = affine(encoded.memory, self.key_kernel, self.key_bias)
        values = affine(encoded.memory, self.value_kernel, self.value_bias)
        keys, values = self._by_head(keys), self._by_head(values)  # -> [B, S, H, A]
        keys = keys * keys.shape[-1] ** -0.5
        return HeadsMemory(
            keys.transpose(0, 2, 3, 1), values.swapaxes(1, 2), encoded.mask
        )

    def _by_head(self, x: Array) -> Array:
        return x.reshape(*x.shape[:-1], self.heads, -1)

    def weights(self, memory: HeadsMemory) -> Weights:
        """The query's matrix and the output's; keys and values of each example."""
        return {
            "query": (self.query_kernel, self.query_bias),
            "keys": (memory.keys,),
            "values": (memory.values,),
            "output": (self.output_kernel, self.output_bias),
        }

    def start(self, memory: HeadsMemory) -> tuple[()]:
        """No state."""
        return ()

    def look(
        self, dot: Dot, query: Array, memory: HeadsMemory, state: Any
    ) -> tuple[Array, Any, dict[str, Array]]:
        """See `Attention.look`."""
        energies = dot("keys", self._by_head(dot("query", query)))  # -> [B, H, S]
        weights = masked_softmax(energies, memory.mask[:, None])
        by_head = dot("values", weights)  # -> [B, H, A]
        context = dot("output", by_head.reshape(len(by_head), -1))
        mean = jnp.mean(weights, axis=1)
        return context, state, {"attention": mean, "heads": weights}

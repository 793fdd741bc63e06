"""Multiplicative attention: the energy of a symbol is a product with the query.

    e_s = f(h, m_s),    a = softmax(e),    context = sum_s a_s m_s

for the query h, and m_s what the encoder says of symbol s.
"""

from typing import Any, NamedTuple

import flax.linen as nn
from jax import Array
from jax.nn import initializers

from s2sjax import spec
from s2sjax.errors import UsageError
from s2sjax.models.attention.softmax import masked_softmax
from s2sjax.models.base import Dot, Encoded, Weights
from s2sjax.schema import SIZE


class DotMemory(NamedTuple):
    """What is looked at."""

    keys: Array  # [B, A, S], what the query is multiplied with
    values: Array  # [B, S, C]
    mask: Array  # [B, S] bool, False on padding


class Multiplicative(nn.Module):
    """What they share: keys and values are one matrix each for an example."""

    def weights(self, memory: DotMemory) -> Weights:
        """Keys and values."""
        return {"keys": (memory.keys,), "values": (memory.values,)}

    def start(self, memory: DotMemory) -> tuple[()]:
        """No state."""
        return ()

    def look(
        self, dot: Dot, query: Array, memory: DotMemory, state: Any
    ) -> tuple[Array, Any, dict[str, Array]]:
        """See `Attention.look`."""
        weights = masked_softmax(dot("keys", query), memory.mask)
        return dot("values", weights), state, {"attention": weights}


class DotAttention(Multiplicative):
    """e_s = h . m_s (Luong, Pham and Manning 2015, section 3.1, "dot").

    Attributes:
      state: size D of the query.
      values: size C of what is attended to; the same.
    """

    state: int
    values: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.state != self.values:
            raise UsageError(
                f"attention=dot needs a query and a memory of one size; {self.state} "
                f"and {self.values} came; use attention=general"
            )

    def memory(self, encoded: Encoded) -> DotMemory:
        """The keys are the values."""
        return DotMemory(encoded.memory.swapaxes(1, 2), encoded.memory, encoded.mask)


class GeneralAttention(Multiplicative):
    """e_s = h . (W m_s) (Luong, Pham and Manning 2015, section 3.1, "general").

    Attributes:
      state: size D of the query.
      values: size C of what is attended to.
    """

    state: int
    values: int

    def setup(self) -> None:
        glorot = initializers.glorot_uniform()
        self.key_kernel = self.param("key_kernel", glorot, (self.values, self.state))

    def memory(self, encoded: Encoded) -> DotMemory:
        """Projects the keys."""
        keys = encoded.memory @ self.key_kernel
        return DotMemory(keys.swapaxes(1, 2), encoded.memory, encoded.mask)


class ScaledDotAttention(Multiplicative):
    """e_s = (Q h) . (K m_s) / sqrt(A) (Vaswani et al. 2017, section 3.2.1).

    Attributes:
      state: size D of the query.
      values: size C of what is attended to.
      units: size A of the projected query and keys; 0: that of the query.
    """

    state: int
    values: int
    units: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        spec.between("units", self.units, 0, SIZE)

    def setup(self) -> None:
        glorot, units = initializers.glorot_uniform(), self.units or self.state
        self.query_kernel = self.param("query_kernel", glorot, (self.state, units))
        self.key_kernel = self.param("key_kernel", glorot, (self.values, units))

    def memory(self, encoded: Encoded) -> DotMemory:
        """Projects the keys, and scales them."""
        keys = encoded.memory @ self.key_kernel
        keys = keys * keys.shape[-1] ** -0.5
        return DotMemory(keys.swapaxes(1, 2), encoded.memory, encoded.mask)

    def weights(self, memory: DotMemory) -> Weights:
        """The query's matrix, keys and values."""
        return {"query": (self.query_kernel,), **super().weights(memory)}

    def look(
        self, dot: Dot, query: Array, memory: DotMemory, state: Any
    ) -> tuple[Array, Any, dict[str, Array]]:
        """See `Attention.look`."""
        return super().look(dot, dot("query", query), memory, state)

"""Location-sensitive attention (Chorowski et al. 2015, section 2.1)."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers

from s2sjax import spec
from s2sjax.models.attention.softmax import masked_softmax
from s2sjax.models.base import Dot, Encoded, Weights
from s2sjax.models.layer import affine, symmetric
from s2sjax.schema import SIZE


class LocationMemory(NamedTuple):
    """What is looked at."""

    values: Array  # [B, S, C]
    keys: Array  # [B, S, A], projected once a source
    mask: Array  # [B, S] bool, False on padding
    features: Array  # [F, A], the matrix U
    score: Array  # [A], the vector v


class LocationSensitiveAttention(nn.Module):
    """Additive attention that knows where it looked before.

        f = conv(a', F),    e_s = v . tanh(Q h + K m_s + U f_s + b)
        a = softmax(e),     context = sum_s a_s m_s

    for the query h, m_s what the encoder says of symbol s, and a' the last weights
    (cumulative: the sum of all weights so far, as Shen et al. 2018, Tacotron 2). They
    are the attention's state, 0 before the first look. The convolution has an odd
    width, the symbol in its middle, and zeros beyond both ends.

    Attributes:
      state: size D of the query.
      values: size C of what is attended to.
      units: size A of the attention layer; 0: that of the query.
      filters: how many features a symbol has of the weights around it.
      width: how many symbols a filter sees.
      cumulative: it sees the sum of all weights so far.
    """

    state: int
    values: int
    units: int = 0
    filters: int = 10
    width: int = 7
    cumulative: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        spec.between("units", self.units, 0, SIZE)
        spec.between("filters", self.filters, 1, 1000)
        spec.between("width", self.width, 1, 1001)
        if self.width % 2 == 0:
            raise ValueError(f"width={self.width} is even; a filter has a middle")

    def setup(self) -> None:
        glorot, units = initializers.glorot_uniform(), self.units or self.state
        self.query_kernel = self.param("query_kernel", glorot, (self.state, units))
        self.key_kernel = self.param("key_kernel", glorot, (self.values, units))
        self.bias = self.param("bias", initializers.zeros, (units,))
        self.score = self.param("score", symmetric(units**-0.5), (units,))
        shape = (self.width, self.filters)
        self.filter_kernel = self.param("filter_kernel", glorot, shape)
        shape = (self.filters, units)
        self.feature_kernel = self.param("feature_kernel", glorot, shape)

    def memory(self, encoded: Encoded) -> LocationMemory:
        """Projects the keys."""
        values, mask = encoded.memory, encoded.mask
        keys = affine(values, self.key_kernel, self.bias)
        return LocationMemory(values, keys, mask, self.feature_kernel, self.score)

    def weights(self, memory: LocationMemory) -> Weights:
        """The matrices of query and filters, and the values, one for each example."""
        return {
            "query": (self.query_kernel,),
            "filters": (self.filter_kernel,),
            "values": (memory.values,),
        }

    def start(self, memory: LocationMemory) -> Array:
        """It has looked nowhere, [B, S]."""
        return jnp.zeros(memory.mask.shape, memory.values.dtype)

    def look(
        self, dot: Dot, query: Array, memory: LocationMemory, state: Array
    ) -> tuple[Array, Array, dict[str, Array]]:
        """See `Attention.look`."""
        features = dot("filters", _windows(state, self.width)) @ memory.features
        inner = memory.keys + dot("query", query)[:, None] + features
        weights = masked_softmax(jnp.tanh(inner) @ memory.score, memory.mask)
        new = state + weights if self.cumulative else weights
        return dot("values", weights), new, {"attention": weights}


def _windows(x: Array, width: int) -> Array:
    """The values around each place: [B, S] -> [B, S, width]."""
    size, around = x.shape[1], width // 2
    padded = jnp.pad(x, ((0, 0), (around, around)))
    return jnp.stack([padded[:, i : i + size] for i in range(width)], axis=-1)

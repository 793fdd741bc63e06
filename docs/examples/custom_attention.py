"""An attention of one's own: it looks near the place where it looked last.

    e_s = h . (W m_s) - strength (s - p)^2,    p = sum_s a_s s of the last step

    python docs/examples/custom_attention.py

trains it as `minimal.py` trains its model. What an attention must have is
`s2sjax.models.base.Attention`; `p` is its state, a part of the decoder's carry, so that
every decoding strategy moves it along with its hypothesis.
"""

import jax.numpy as jnp
from minimal import main

from s2sjax.models.attention import GeneralAttention
from s2sjax.models.attention.softmax import masked_softmax


class Near(GeneralAttention):
    """Multiplicative attention that is drawn to where it was."""

    strength: float = 0.1

    def start(self, memory):
        """Before the first step it looked at the last symbol."""
        return jnp.sum(memory.mask, axis=-1, keepdims=True) - 1.0  # [B, 1]

    def look(self, dot, query, memory, place):
        """The context, the place of this look, and what is reported."""
        places = jnp.arange(memory.mask.shape[-1])[None]
        near = -self.strength * (places - place) ** 2
        weights = masked_softmax(dot("keys", query) + near, memory.mask)
        place = jnp.sum(weights * places, axis=-1, keepdims=True)
        return dot("values", weights), place, {"attention": weights}


if __name__ == "__main__":
    main(attention=Near)

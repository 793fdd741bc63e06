"""Symbols: the logits of a vocabulary."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array
from jax.nn import initializers

from s2sjax.models.base import Dot, Draw, Parameters, Weights
from s2sjax.models.layer import symmetric
from s2sjax.types import BOS, EOS, Batch


@dataclass(frozen=True)
class Categorical:
    """logits = V h + d, and -inf for PAD and BOS, which can never be written.

    With a tied output V is the table of embeddings, E, which reads and writes (Press
    and Wolf 2017; Inan, Khosravi and Socher 2017); where embeddings are of another size
    than h, V = E P with a projection P.

    Attributes:
      size: of the vocabulary.
      tied: size of the embeddings that are the output, transposed; 0: it has its own.
      ends: whether EOS can be written; not by a model whose lengths are known before.
    """

    size: int
    tied: int = 0
    ends: bool = True
    gaps: ClassVar[bool] = False
    filler: ClassVar[int] = EOS

    @property
    def kind(self) -> "Categorical":
        return replace(self, size=SYMBOLIC.size, tied=0)

    def parameters(self, units: int) -> dict[str, Draw]:
        draws: dict[str, Draw] = {
            "output_bias": partial(initializers.zeros, shape=(self.size,))
        }
        if not self.tied:
            draw, shape = symmetric(units**-0.5), (self.size, units)
            return {"output_kernel": partial(draw, shape=shape), **draws}
        if self.tied != units:
            draw, shape = initializers.glorot_uniform(), (units, self.tied)
            return {"tied_kernel": partial(draw, shape=shape), **draws}
        return draws

    def weights(self, params: Parameters, embed: Any) -> Weights:
        kernel = embed.table if self.tied else params["output_kernel"]
        weights: Weights = {"output": (kernel.T, params["output_bias"])}
        if "tied_kernel" in params:
            weights["tied"] = (params["tied_kernel"],)
        return weights

    def read(self, dot: Dot, h: Array) -> Array:
        projects = self.tied and self.tied != h.shape[-1]
        logits = dot("output", dot("tied", h) if projects else h)
        emitted = jnp.arange(self.size) >= (EOS if self.ends else EOS + 1)
        emitted = jnp.expand_dims(emitted, range(logits.ndim - 1))
        return jnp.where(emitted, logits, -jnp.inf)

    def real(self, batch: Batch) -> Array:
        """All tokens, EOS included where it can be written, [B, T]."""
        width = batch.target.shape[1]
        return jnp.arange(width)[None] < self.counts(batch)[:, None]

    def counts(self, batch: Batch) -> Array:
        if self.ends:
            return batch.target_lengths
        return jnp.maximum(batch.target_lengths - 1, 0)

    def gold(self, batch: Batch) -> Array:
        """The target one step later, BOS before it."""
        shifted = ((0, 0), (1, 0))
        return jnp.pad(batch.target[:, :-1], shifted, constant_values=BOS)


SYMBOLIC = Categorical(7)  # of some symbols

"""Numbers: the raw values of a distribution, or of one value each."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax.numpy as jnp
from jax import Array
from jax.nn import initializers

from s2sjax.models.base import Dot, Draw, Parameters, Weights
from s2sjax.models.inputs import Inputs
from s2sjax.models.layer import symmetric
from s2sjax.models.readout.raw import Output
from s2sjax.types import Batch

Own = Callable[[Output, Array, Array, Array], Array]
"""`own(output, raw, key, scale) -> y`: what a decoder said, [..., P], as the next
numbers that it reads, [..., G]. `key` is for what is drawn."""

OWN: dict[str, Own] = {
    "mean": lambda output, raw, key, scale: output.mean(raw),
    "median": lambda output, raw, key, scale: output.median(raw, scale),
    "sample": lambda output, raw, key, scale: output.sample(key, raw, scale),
}


@dataclass(frozen=True)
class Numeric:
    """raw = V h + d, of which `output` makes numbers.

    Attributes:
      output: the kind.
      numbers: how many are written at a step, G.
      gaps: whether some of a target may be missing, NaN there.
    """

    output: Output
    numbers: int
    gaps: bool = False
    filler: ClassVar[float] = 0.0

    @property
    def name(self) -> str:
        """That of its kind, as `OUTPUTS` has it."""
        parts = re.findall("[A-Z][a-z]*", type(self.output).__name__)
        return "_".join(parts).lower()

    @property
    def kind(self) -> "Numeric":
        return self

    @property
    def size(self) -> int:
        return self.output.size(self.numbers)

    def parameters(self, units: int) -> dict[str, Draw]:
        draw = symmetric(units**-0.5)
        return {
            "output_kernel": partial(draw, shape=(self.size, units)),
            "output_bias": partial(initializers.zeros, shape=(self.size,)),
        }

    def weights(self, params: Parameters, embed: Inputs) -> Weights:
        return {"output": (params["output_kernel"].T, params["output_bias"])}

    def read(self, dot: Dot, h: Array) -> Array:
        return dot("output", h)

    def real(self, batch: Batch) -> Array:
        """The numbers that came, [B, T, G]."""
        return _within(batch) & ~jnp.isnan(batch.target)

    def counts(self, batch: Batch) -> Array:
        return jnp.sum(self.real(batch), axis=(1, 2))

    def gold(self, batch: Batch) -> Array:
        """Rows [B, T, G + C] of what came a step earlier, and what is known now.

        The first reads what was observed last. What is missing is NaN where there may
        be `gaps`, for `fed` to fill.
        """
        there = _within(batch) if self.gaps else self.real(batch)
        before = jnp.where(there, batch.target, 0)[:, :-1]
        before = jnp.concatenate([batch.given.first[:, None], before], axis=1)
        return jnp.concatenate([before, batch.given.known], axis=-1)

    def fed(self, own: Array, gold: Array, where: Array) -> Array:
        """Rows [B, G + C] with the model's own numbers [B, G] in gold's place, `where`
        [B] it is so and wherever gold is missing."""
        came, known = gold[:, : self.numbers], gold[:, self.numbers :]
        came = jnp.where(where[:, None] | jnp.isnan(came), own, came)
        return jnp.concatenate([came, known], axis=1)


def _within(batch: Batch) -> Array:
    width = batch.target.shape[1]
    return (jnp.arange(width)[None] < batch.target_lengths[:, None])[..., None]

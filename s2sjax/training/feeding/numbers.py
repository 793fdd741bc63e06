"""How an output becomes an input where it is numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.models.readout import Numeric
from s2sjax.models.readout.numeric import OWN, Own
from s2sjax.training.feeding.base import Feeding
from s2sjax.types import Batch


def mean() -> Own:
    """The mean of what was forecast; gradients pass through."""
    return OWN["mean"]


def median() -> Own:
    """The median of what was forecast; gradients pass through."""
    return OWN["median"]


def sample() -> Own:
    """A draw from what was forecast; gradients pass through where the draw is a smooth
    function of what it is drawn from."""
    return OWN["sample"]


NUMBER_FEEDINGS: dict[str, Callable[..., Own | None]] = {
    "gold": lambda: None,
    "none": lambda: None,  # the model reads nothing, whatever it is fed
    "mean": mean,
    "median": median,
    "sample": sample,
}


def never(step: Array) -> Array:
    """0 at every step."""
    return jnp.zeros_like(step, jnp.float32)


@dataclass(frozen=True)
class NumberFeeding(Feeding):
    """As `Feeding`, of numbers. The model's own go in wherever gold is missing too.

    Attributes:
      feedback: an `Own`.
      readout: what the numbers are read from.
    """

    readout: Numeric | None = None

    def beside(self, batch: Batch, vocabulary: Array | None, time: int) -> Array:
        scale = batch.given.scale
        return jnp.broadcast_to(scale, (time, *scale.shape))

    def feed(
        self, raw: Array, gold: Array, own: Array, keys: Array, beside: Any
    ) -> Array:
        """The next rows, [B, G + C]; `beside` is the scale, [B, G]."""
        assert self.readout is not None and self.feedback is not None
        said = jax.vmap(partial(self.feedback, self.readout.output))
        return self.readout.fed(said(raw, keys, beside), gold, own)

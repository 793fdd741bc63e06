"""Objectives of numbers: how far what was forecast is from what came."""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from s2sjax import spec
from s2sjax.models.readout import Output
from s2sjax.types import Batch, StepOutput

NumberLoss = Callable[[Output, Array, Array, Array], Array]
"""`loss(output, raw, y, scale) -> [..., G]`: of raw values [..., P] and the scaled
numbers that came, [..., G]; a number itself is shift + scale * y."""


def nll() -> NumberLoss:
    """-log p of the number in its own units, in nats."""
    return lambda output, raw, y, scale: -output.log_prob(raw, y, scale)


def mse() -> NumberLoss:
    """(y - mean)^2, of scaled numbers."""
    return lambda output, raw, y, scale: (y - output.mean(raw)) ** 2


def mae() -> NumberLoss:
    """|y - median|, of scaled numbers."""
    return lambda output, raw, y, scale: jnp.abs(y - output.median(raw, scale))


def huber(*, delta: float = 1.0) -> NumberLoss:
    """e^2 / 2 of e = |y - mean| up to delta, and delta (e - delta / 2) beyond.

    (Huber 1964; of scaled numbers.)

    Args:
      delta: above 0.
    """
    spec.between("delta", delta, 1e-6, 1e6)

    def loss(output: Output, raw: Array, y: Array, scale: Array) -> Array:
        error = jnp.abs(y - output.mean(raw))
        within = jnp.minimum(error, delta)
        return within * (error - within / 2)

    return loss


NUMBER_OBJECTIVES: dict[str, Callable[..., NumberLoss]] = {
    "nll": nll,
    "mse": mse,
    "mae": mae,
    "huber": huber,
}


@dataclass(frozen=True)
class OfNumbers:
    """An objective of a kind of numbers: `objective(output, batch) -> [B, T, G]`."""

    loss: NumberLoss
    output: Output

    def __call__(self, output: StepOutput, batch: Batch) -> Array:
        scale = batch.given.scale[:, None]
        return self.loss(self.output, output.logits, batch.target, scale)

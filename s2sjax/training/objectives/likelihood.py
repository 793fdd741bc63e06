"""The likelihood of the target, sharp and smoothed."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import spec
from s2sjax.decoding.forced import token_losses
from s2sjax.types import Batch, StepOutput


def nll(output: StepOutput, batch: Batch) -> Array:
    """The negative log-likelihood, -log p(y_t), in nats.

    Shapes: logits [B, T, V] -> [B, T].

    >>> batch = Batch(*[jnp.full((1, 1), 2)] * 3, jnp.ones(1, int), *[jnp.ones(1)] * 2)
    >>> print(nll(StepOutput(jnp.zeros((1, 1, 4)), {}), batch))  # ln 4
    [[1.3862944]]
    """
    return token_losses(output.logits, batch.target, batch.target_lengths)


def likelihood(*, focal: float = 0.0) -> Callable[[StepOutput, Batch], Array]:
    """`nll`, or with `focal` the focal loss, which counts tokens less that are certain.

        loss_t = (1 - p(y_t))^focal (-log p(y_t))

    (Lin et al. 2017, equation 4.)

    Args:
      focal: from 0, which is `nll`, up to 100.
    """
    spec.between("focal", focal, 0, 100)
    if not focal:
        return nll

    def focused(output: StepOutput, batch: Batch) -> Array:
        loss = nll(output, batch)
        # Of a power below 1 the slope at 0 is infinite, where the loss is 0 too.
        doubt = jnp.maximum(-jnp.expm1(-loss), jnp.finfo(loss.dtype).tiny)
        return doubt**focal * loss

    focused.__name__ = f"nll:focal={focal}"
    return focused


def label_smoothing(*, epsilon: float = 0.1) -> Callable[[StepOutput, Batch], Array]:
    """The cross-entropy to a target that has a share `epsilon` spread out evenly.

        loss_t = (1 - epsilon) (-log p(y_t)) + epsilon / |E| sum_{v in E} -log p(v)

    E is the tokens that can be emitted, y_t among them: PAD, BOS and what pads a
    vocabulary have a logit of -inf, and get nothing. (Szegedy et al. 2016, section 7.)

    Args:
      epsilon: the share, from 0 up to but not 1.
    """
    spec.between("epsilon", epsilon, 0, 0.999)

    def smoothed(output: StepOutput, batch: Batch) -> Array:
        at_least = jnp.promote_types(output.logits.dtype, jnp.float32)
        log_probs = jax.nn.log_softmax(output.logits.astype(at_least))
        emitted = output.logits > -jnp.inf
        spread = jnp.where(emitted, log_probs, 0).sum(axis=-1) / emitted.sum(axis=-1)
        return (1 - epsilon) * nll(output, batch) - epsilon * spread

    smoothed.__name__ = f"label_smoothing:epsilon={epsilon}"
    return smoothed

"""Teacher forcing, free running and everything between: feeding is data.

At each step a mask says whether the gold token or the model's own last output goes in.
All gold is teacher forcing, none is free running, a random mask is scheduled sampling
(Bengio et al. 2015), a prefix is a prompt.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.types import Carry, StepFn, StepOutput

Feedback = Callable[[Array, Array, Array], Array]
"""`feedback(logits, gold, own) -> x`: the next input from the last logits [B, V], the
gold tokens [B] and the mask [B] that is true where the model's own output goes in."""


def feed_argmax(logits: Array, gold: Array, own: Array) -> Array:
    """The most probable token; no gradient passes through the choice."""
    return jnp.where(own, jnp.argmax(logits, axis=-1).astype(gold.dtype), gold)


def feed_probabilities(logits: Array, gold: Array, own: Array) -> Array:
    """The whole distribution, so that the input is a probability-weighted embedding.

    Gradients pass through it.
    """
    gold_one_hot = jax.nn.one_hot(gold, logits.shape[-1], dtype=logits.dtype)
    return jnp.where(own[:, None], jax.nn.softmax(logits), gold_one_hot)


FEEDBACKS: dict[str, Feedback] = {
    "argmax": feed_argmax,
    "probabilities": feed_probabilities,
}


def unroll(
    step: StepFn, carry: Carry, gold: Array, own: Array, feedback: Feedback
) -> StepOutput:
    """Runs a decoder over T steps, feeding gold tokens or its own outputs.

    Args:
      step: the decoder.
      carry: its first carry.
      gold: the gold inputs [B, T] int32: BOS, then the target without its end.
      own: [B, T] bool, true where the last output replaces the gold input. There is
        none before the first step: own[:, 0] does not count.
      feedback: how an output becomes an input.

    Returns:
      The outputs of all steps, [B, T, ...].
    """
    own = own.at[:, 0].set(False)
    shape = jax.eval_shape(step, carry, gold[:, 0])[1].logits

    def feed_and_step(
        carry: tuple[Carry, Array], x: tuple[Array, Array]
    ) -> tuple[tuple[Carry, Array], StepOutput]:
        carry, logits = carry
        carry, output = step(carry, feedback(logits, *x))
        return (carry, output.logits), output

    first = (carry, jnp.zeros(shape.shape, shape.dtype))
    _, outputs = lax.scan(feed_and_step, first, (gold.T, own.T))
    return jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), outputs)

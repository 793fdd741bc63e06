"""From a decoder's logits to the log-probabilities that a search adds up."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.types import Carry, StepFn


class Scores(NamedTuple):
    """What a search sees of one step."""

    log_probs: Array  # [B, V] float32, -inf where a token must not follow
    aux: dict[str, Array]  # the step's own, leading axis B


ScoreFn = Callable[[Carry, Array], tuple[Carry, Scores]]
"""`score(carry, token) -> (carry, Scores)`: token [B] int32."""


def log_probs(logits: Array) -> Array:
    """log softmax in float32 over the last axis.

    A token with logit -inf keeps -inf, also where all are: there is no NaN that was
    not in the logits.
    """
    logits = logits.astype(jnp.float32)
    nothing = jnp.max(logits, axis=-1, keepdims=True) == -jnp.inf
    return jnp.where(nothing, -jnp.inf, jax.nn.log_softmax(logits))


def scorer(step: StepFn) -> ScoreFn:
    """The model's own log-probabilities.

    What constrains a search masks these and does not normalise them again, so that
    the sum over a hypothesis is its log-probability under the model.
    """

    def score(carry: Carry, token: Array) -> tuple[Carry, Scores]:
        carry, output = step(carry, token)
        return carry, Scores(log_probs(output.logits), output.aux)

    return score

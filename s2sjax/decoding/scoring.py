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
    not in the logits. One NaN makes all of its distribution NaN, so that whichever
    token a search takes, the score shows it.

    >>> import jax.numpy as jnp
    >>> bool(jnp.isnan(log_probs(jnp.array([-jnp.inf, jnp.nan, 0.0]))).all())
    True
    """
    logits = logits.astype(jnp.float32)
    # A compiler may take a maximum past a NaN; comparisons with it are defined.
    nothing = jnp.all(logits == -jnp.inf, axis=-1, keepdims=True)
    spoilt = jnp.any(jnp.isnan(logits), axis=-1, keepdims=True)
    normalised = jnp.where(nothing, -jnp.inf, jax.nn.log_softmax(logits))
    return jnp.where(spoilt, jnp.nan, normalised)


def only(allowed: Array, log_probs: Array) -> Array:
    """Log-probabilities where `allowed`, -inf elsewhere. A NaN stays: no mask hides it.

    >>> import jax.numpy as jnp
    >>> only(jnp.array([False, True]), jnp.array([jnp.nan, 0.0])).tolist()
    [nan, 0.0]
    """
    return jnp.where(allowed | jnp.isnan(log_probs), log_probs, -jnp.inf)


def scorer(step: StepFn) -> ScoreFn:
    """The model's own log-probabilities.

    What constrains a search masks these and does not normalise them again, so that
    the sum over a hypothesis is its log-probability under the model.
    """

    def score(carry: Carry, token: Array) -> tuple[Carry, Scores]:
        carry, output = step(carry, token)
        return carry, Scores(log_probs(output.logits), output.aux)

    return score

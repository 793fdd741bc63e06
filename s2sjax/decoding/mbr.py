"""Minimum Bayes risk: the output that serves best whichever candidate is right."""

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.n_best import competing, n_best, repeated
from s2sjax.decoding.similarity import Utility, pairwise
from s2sjax.errors import unknown
from s2sjax.types import Hypotheses

WEIGHTS = ("uniform", "probability")


def minimum_bayes_risk(
    hypotheses: Hypotheses, utility: Utility, weights: str = "uniform", count: int = 1
) -> Hypotheses:
    """The candidates of the largest expected utility (Kumar and Byrne 2004).

    The score of a candidate is `expected_utility`.

    Args:
      hypotheses: candidates [B, M, ...], samples or an n-best list, with their
        `aux["logprob"]`.
      utility: of one output were another one right.
      weights: how probable each candidate is taken to be, as `expected_utility` says.
      count: hypotheses returned, N.

    Returns:
      An n-best list [B, N, T], unique and best first; of equal ones the more probable
      first. Candidates cut at their limit neither compete with complete ones nor count
      as what might be right; a row of which all are cut gives the best of them.
    """
    return n_best(hypotheses, expected_utility(hypotheses, utility, weights), count)


def expected_utility(
    hypotheses: Hypotheses, utility: Utility, weights: str = "uniform"
) -> Array:
    """sum_j w_j u(y_i, y_j) / sum_j w_j, of each candidate y_i over all, itself too.

    `uniform` weighs each candidate 1: for samples, which stand in the list as often as
    they were drawn, this estimates the expectation under what they were drawn from
    (Eikema and Aziz 2020). `probability` weighs each distinct candidate by its
    probability under the model: for an n-best list.

    Cost: M**2 utilities for each row. Memory: those of one candidate at a time.

    Shapes: hypotheses [B, M, ...] -> [B, M] float32.

    Raises:
      UsageError: unknown weights.
    """
    ended = hypotheses.valid & ~hypotheses.truncated
    utilities = pairwise(utility, hypotheses.tokens, hypotheses.lengths - ended)
    possible = competing(hypotheses)
    if weights == "uniform":
        shares = possible.astype(jnp.float32)
    elif weights == "probability":
        possible &= ~repeated(hypotheses, possible)
        log_probs = jnp.where(possible, hypotheses.aux["logprob"], -jnp.inf)
        shares = jax.nn.softmax(log_probs, axis=1)
    else:
        raise unknown("weights", str(weights), WEIGHTS)
    total = jnp.maximum(jnp.sum(shares, axis=1, keepdims=True), 1e-30)
    return jnp.sum(utilities * shares[:, None], axis=2) / total

"""Reranking: the candidates of one strategy in the order of another score."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.base import Request, Strategy
from s2sjax.decoding.hypotheses import competing, n_best, repeated
from s2sjax.decoding.scores import KINDS, Normaliser
from s2sjax.decoding.scores import normaliser as a_normaliser
from s2sjax.decoding.similarity import Utility, pairwise
from s2sjax.errors import UsageError, unknown
from s2sjax.types import Carry, Hypotheses, StepFn

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


Scorer = Callable[[Hypotheses, Request], Array]
"""`scorer(hypotheses, request) -> [B, N]` float32, larger for the better."""


def rerank(
    step: StepFn,
    carry: Carry,
    request: Request,
    candidates: Strategy,
    scorer: Scorer,
    count: int = 1,
) -> Hypotheses:
    """The candidates that a scorer likes best, each once.

    A scorer sees whole outputs, so it may be what no search can add up token by token:
    another model read in the other direction, a property of the whole. What the search
    did not find it cannot bring back.

    Args:
      step: the decoder.
      carry: its first carry.
      request: what is asked of each output.
      candidates: the strategy that finds them.
      scorer: what they are sorted by. What it says of a hypothesis that is not valid
        does not matter.
      count: hypotheses returned, N.

    Returns:
      An n-best list [B, N, T], best first, with the scorer's scores and the
      candidates' `aux`. Hypotheses cut at their limit never compete with complete
      ones.
    """
    found = candidates(step, carry, request)
    return n_best(found, scorer(found, request), count)


def by_normaliser(normaliser: Normaliser) -> Scorer:
    """log p, normalised: the score that a beam with that normaliser gives."""

    def score(hypotheses: Hypotheses, request: Request) -> Array:
        log_probs = hypotheses.aux["logprob"]
        return normaliser.score(log_probs, hypotheses.lengths, request.width)

    return score


def by_length(hypotheses: Hypotheses, request: Request) -> Array:
    """The number of tokens: the longest first."""
    return hypotheses.lengths.astype(jnp.float32)


ORDERS = ("logprob", "average", "gnmt", "length")


def scorer_named(name: str, alpha: float | None = None) -> Scorer:
    """A ready-made scorer.

    `logprob` is the sum of log-probabilities, `average` and `gnmt` normalise it with
    `alpha`, `length` is the number of tokens.

    Raises:
      UsageError: unknown name, or an alpha where it has no effect.
    """
    if name not in ORDERS:
        raise unknown("order", str(name), ORDERS)
    if name in KINDS:
        return by_normaliser(a_normaliser(name, alpha))
    if alpha is not None:
        raise UsageError(f"alpha={alpha} has no effect with by={name}")
    return by_length if name == "length" else by_normaliser(Normaliser())

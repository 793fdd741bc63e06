"""Reranking: the candidates of one strategy in the order of another score."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.n_best import n_best
from s2sjax.decoding.normaliser import KINDS, Normaliser
from s2sjax.decoding.normaliser import normaliser as a_normaliser
from s2sjax.decoding.request import Request
from s2sjax.decoding.strategy import Strategy
from s2sjax.errors import UsageError, unknown
from s2sjax.types import Carry, Hypotheses, StepFn

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

"""Candidates of one strategy in the order of another score: `rerank`, and minimum Bayes
risk (`mbr`), where that score is an expected utility.

A scorer sees whole outputs, so it may be what no search can add up token by token:
another model read in the other direction, a property of the whole. What the search did
not find it cannot bring back.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import spec
from s2sjax.decoding.base import LARGEST_SIZE, Limit, Request, Strategy, accept
from s2sjax.decoding.beam import beam
from s2sjax.decoding.filters import with_filters
from s2sjax.decoding.hypotheses import competing, n_best, repeated
from s2sjax.decoding.sampling import sample
from s2sjax.decoding.scores import KINDS, Normaliser
from s2sjax.decoding.similarity import UTILITIES, Utility, pairwise
from s2sjax.errors import UsageError, unknown
from s2sjax.types import Carry, Hypotheses, StepFn

WEIGHTS = ("uniform", "probability")
ORDERS = ("logprob", "average", "gnmt", "length")

Scorer = Callable[[Hypotheses, Request], Array]
"""`scorer(hypotheses, request) -> [B, N]` float32, larger for the better."""


@with_filters
def rerank(
    step: StepFn,
    carry: Carry,
    limit: Limit,
    key: Array | None = None,
    *,
    n: int = 1,
    candidates: str | Strategy = "beam",
    size: int = 10,
    by: str | Scorer = "average",
    alpha: float | None = None,
    seed: int | None = None,
    **filters: Any,
) -> Hypotheses:
    """The candidates that a scorer likes best, each once.

    Args:
      step, carry: the decoder, any `StepFn`, and its first carry.
      limit: most tokens of an output, an int or [B]; or a `Request`.
      key: of all rows, where candidates are drawn.
      n: hypotheses returned, N.
      candidates: `beam`, `sample`, or a strategy.
      size: how many candidates, unless they are a strategy's.
      by: a scorer, or the name of one (`scorer_named`).
      alpha: of the scorer's normaliser.
      seed, filters: of samples; as for `sample`.

    Returns:
      An n-best list [B, N, T], best first, with the scorer's scores and the candidates'
      `aux`. Hypotheses cut at their limit never compete with complete ones. What the
      scorer says of a hypothesis that is not valid does not matter.

    Raises:
      UsageError: an unknown name, a number outside its range or without effect, or as
        the strategy of the candidates.
    """
    step, request = accept(step, carry, limit, key)
    scorer = scorer_named(by, alpha) if isinstance(by, str) else by
    for name, value in {"size": size, "n": n}.items():
        spec.between(name, value, 1, LARGEST_SIZE)
    if isinstance(candidates, str) and n > size:
        raise UsageError(f"n={n} is more than there are candidates: size={size}")
    of_samples = filters if seed is None else filters | {"seed": seed}
    if candidates == "sample":
        hypotheses = sample(step, carry, request, n=size, **of_samples)
    elif of_samples:
        name, value = next(iter(of_samples.items()))
        raise UsageError(f"{name}={value} has no effect with candidates={candidates}")
    elif candidates == "beam":
        hypotheses = beam(step, carry, request, size=size, n=size)
    elif isinstance(candidates, str):
        raise unknown("candidates", candidates, ("beam", "sample"))
    else:
        hypotheses = candidates(step, carry, request)
    return n_best(hypotheses, scorer(hypotheses, request), n)


@with_filters
def mbr(
    step: StepFn,
    carry: Carry,
    limit: Limit,
    key: Array | None = None,
    *,
    n: int = 1,
    candidates: str | Strategy = "sample",
    size: int = 32,
    utility: str = "edit_distance",
    weights: str | None = None,
    seed: int | None = None,
    **filters: Any,
) -> Hypotheses:
    """The candidates of the largest expected utility (Kumar and Byrne 2004).

    Of equal ones the more probable stands first. Candidates cut at their limit neither
    compete with complete ones nor count as what might be right; a row of which all are
    cut gives the best of them.

    Args:
      utility: of one output were another one right (`similarity`).
      weights: how probable each candidate is taken to be (`expected_utility`); unset:
        `uniform` for samples, which come as often as they are probable, else
        `probability`.
      The others are those of `rerank`.

    Returns:
      An n-best list [B, N, T], best first; scores are `expected_utility`.

    Raises:
      UsageError: as `rerank`.
    """
    if weights is None:
        weights = "uniform" if candidates == "sample" else "probability"
    if weights not in WEIGHTS:
        raise unknown("weights", str(weights), WEIGHTS)
    if utility not in UTILITIES:
        raise unknown("utility", str(utility), UTILITIES)

    def expected(hypotheses: Hypotheses, request: Request) -> Array:
        return expected_utility(hypotheses, UTILITIES[utility], weights)

    return rerank(
        *(step, carry, limit, key),
        n=n,
        candidates=candidates,
        size=size,
        by=expected,
        seed=seed,
        **filters,
    )


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


def scorer_named(name: str, alpha: float | None = None) -> Scorer:
    """A ready-made scorer.

    `logprob` is the sum of log-probabilities, `average` and `gnmt` normalise it with
    `alpha`, `length` is the number of tokens.

    Raises:
      UsageError: unknown name, or an alpha where it has no effect.
    """
    if name not in ORDERS:
        raise unknown("order", name, ORDERS)
    if alpha is not None and name not in KINDS:
        raise UsageError(f"alpha={alpha} has no effect with by={name}")
    normaliser = Normaliser.named(name if name in KINDS else "none", alpha)

    def score(hypotheses: Hypotheses, request: Request) -> Array:
        lengths = hypotheses.lengths
        if name == "length":
            return lengths.astype(jnp.float32)
        return normaliser.score(hypotheses.aux["logprob"], lengths, request.width)

    return score

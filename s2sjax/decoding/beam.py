"""Beam search: the K best prefixes of each length, and the best that ended."""

import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.driver import Driver, until_done
from s2sjax.decoding.normaliser import Normaliser
from s2sjax.decoding.request import Request
from s2sjax.decoding.scoring import scorer
from s2sjax.decoding.search import Candidates, search
from s2sjax.decoding.slots import slotwise, spread
from s2sjax.types import EOS, Carry, Hypotheses, StepFn


def beam(
    step: StepFn,
    carry: Carry,
    request: Request,
    size: int = 5,
    count: int = 1,
    normaliser: Normaliser = Normaliser(),  # noqa: B008 (frozen)
    coverage_penalty: float = 0.0,
    early: bool = True,
    drive: Driver = until_done,
) -> Hypotheses:
    """The best complete hypotheses that a beam of `size` prefixes finds.

    Of all K V one-token continuations of the live prefixes, one that ends in EOS is
    complete if it is among the best K; the best K of the others live on. So beam 1 is
    greedy decoding for alpha <= 0, and a beam as wide as the widest level of the
    search tree finds all there is. Scores of complete hypotheses are

        log p(y) / n**alpha + beta sum_s log min(sum_t a_ts, 1)

    or the normaliser's other form; prefixes of equal length are compared by log p.

    A row is done when it is at its limit, has no live prefix, or, if `early`, when its
    `count`-th best score is at least what any live prefix can still reach
    (`Normaliser.bound`; the coverage penalty is never positive). Then nothing that is
    returned can change: `early` saves time and nothing else.

    Memory: K carries for each row, and T K back-pointers and step outputs (those that
    the caller reads).

    Args:
      step: the decoder.
      carry: its first carry.
      request: what is asked of each output.
      size: live prefixes for each row, K; may exceed the vocabulary.
      count: hypotheses returned, N <= K.
      normaliser: what scores are divided by.
      coverage_penalty: beta >= 0; other than 0 needs attention in the step's aux and
        the request's source lengths.
      early: whether to stop as soon as the result is certain.
      drive: how the steps are driven.

    Returns:
      An n-best list [B, N, T] of complete hypotheses, unique and best first; a row that
      has none gives its best live prefix, flagged `truncated`. `aux["logprob"]` is
      log p, without normaliser or penalty.
    """
    score, carry = constrained(scorer(step), carry, request)

    def best(live: Array, log_probs: Array, carry: Carry) -> Candidates:
        return expand(live, log_probs)

    return search(
        slotwise(score),
        spread(carry, size),
        request,
        best,
        size,
        count,
        normaliser,
        coverage_penalty,
        early,
        drive,
    )


def expand(live: Array, log_probs: Array) -> Candidates:
    """The best continuations of live prefixes.

    Shapes: live [B, K], log_probs [B, K, V]. A NaN makes all of its row NaN.
    """
    batch, size, vocabulary = log_probs.shape
    totals = jnp.where(
        live[:, :, None] == -jnp.inf, -jnp.inf, live[:, :, None] + log_probs
    ).reshape(batch, size * vocabulary)
    best, places = lax.top_k(totals, min(2 * size, size * vocabulary))  # -> [B, 2 K]
    # Where a NaN would be sorted is not defined: one spoils its row, and so is seen.
    spoilt = jnp.any(jnp.isnan(totals), axis=1, keepdims=True)
    best = jnp.where(spoilt, jnp.nan, best)
    slots, tokens = places // vocabulary, places % vocabulary
    is_end = tokens == EOS
    going_on, order = lax.top_k(jnp.where(is_end, -jnp.inf, best), size)
    return Candidates(
        going_on,
        jnp.take_along_axis(tokens, order, axis=1),
        jnp.take_along_axis(slots, order, axis=1),
        jnp.where(is_end, best, -jnp.inf)[:, :size],
        slots[:, :size],
    )

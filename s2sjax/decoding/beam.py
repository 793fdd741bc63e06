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

    Of equally probable ones the lower slot's is better, then the smaller token.

    Shapes: live [B, K], log_probs [B, K, V]. A NaN makes all of its row NaN.
    """
    batch, size, vocabulary = log_probs.shape
    totals = jnp.where(
        live[:, :, None] == -jnp.inf, -jnp.inf, live[:, :, None] + log_probs
    )
    # Where a NaN would be sorted is not defined; infinity comes first, and is seen.
    totals = jnp.where(jnp.isnan(totals), jnp.inf, totals)
    ends, is_end = totals[:, :, EOS], jnp.arange(vocabulary)[None, None] == EOS
    others = jnp.where(is_end, -jnp.inf, totals).reshape(batch, size * vocabulary)
    going_on, places = lax.top_k(others, size)
    slots = jnp.broadcast_to(jnp.arange(size, dtype=jnp.int32), (batch, size))
    numbers = slots * vocabulary + EOS
    # An end is complete if fewer than K of these stand before it; nothing else could.
    first = jnp.concatenate([going_on, ends], axis=1)
    better = _better(first, jnp.concatenate([places, numbers], axis=1), ends, numbers)
    ended = jnp.where(better < size, ends, -jnp.inf)
    spoilt = jnp.any(first == jnp.inf, axis=1, keepdims=True)
    return Candidates(
        jnp.where(spoilt, jnp.nan, going_on),
        places % vocabulary,
        places // vocabulary,
        jnp.where(spoilt, jnp.nan, ended),
        slots,
    )


def _better(scores: Array, places: Array, than: Array, at: Array) -> Array:
    """How many of the scores [B, M] stand before each of those [B, K] -> [B, K]."""
    before = places[:, None] < at[:, :, None]
    equal = scores[:, None] == than[:, :, None]
    return jnp.sum((scores[:, None] > than[:, :, None]) | (equal & before), axis=-1)

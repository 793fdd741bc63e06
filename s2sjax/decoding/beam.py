"""Beam search: the K best prefixes of each length, and the best that ended."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding import scores as coverage
from s2sjax.decoding.base import (
    Driver,
    Request,
    ScoreFn,
    pick,
    pick_all,
    scorer,
    slotwise,
    spread,
    until_done,
)
from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.hypotheses import (
    Complete,
    Cut,
    History,
    empty,
    none_complete,
    nothing_cut,
    record,
    spell_out,
)
from s2sjax.decoding.scores import Normaliser
from s2sjax.types import BOS, EOS, Carry, Hypotheses, StepFn


class Beam(NamedTuple):
    """A search after some steps."""

    time: Array  # [] int32, steps taken: the tokens of every live hypothesis
    carry: Carry  # [B, K, ...]
    last: Array  # [B, K] int32, the token that goes in next
    log_probs: Array  # [B, K] float32, -inf where there is no live hypothesis
    covered: Array | None  # [B, K, S] float32, attention summed over the steps
    complete: Complete
    cut: Cut
    history: History


class Candidates(NamedTuple):
    """What a step makes of the live hypotheses."""

    live: Array  # [B, K] float32, log-probabilities
    tokens: Array  # [B, K] int32
    parents: Array  # [B, K] int32, the slot that each continues
    ended: Array  # [B, K] float32, log-probabilities of complete ones, else -inf
    enders: Array  # [B, K] int32, the slot that each ends


Expand = Callable[[Array, Array, Carry], Candidates]
"""`expand(live [B, K], log_probs [B, K, V], carry)`: which continuations go on and
which complete. The carry is the one after the step."""


def search(
    score: ScoreFn,
    carry: Carry,
    request: Request,
    expand: Expand,
    size: int,
    count: int,
    normaliser: Normaliser,
    coverage_penalty: float = 0.0,
    early: bool = True,
    drive: Driver = until_done,
    groups: int = 1,
) -> Hypotheses:
    """What all beams share: `beam`, with another rule of which continuations go on.

    `score` and `carry` have a slot axis. Each of `groups` equal runs of slots begins
    with one empty prefix. The rest is as for `beam`.
    """
    batch, width = request.limits.shape[0], request.width
    aux = jax.eval_shape(score, carry, jnp.full((batch, size), BOS))[1].aux
    covers = coverage_penalty > 0
    seen = coverage.looked_at(aux) if covers else None
    is_first = jnp.arange(size) % (size // groups) == 0
    alone = jnp.where(is_first, 0.0, -jnp.inf)[None]  # one empty prefix a group
    first = Beam(
        jnp.int32(0),
        carry,
        jnp.full((batch, size), BOS, jnp.int32),
        jnp.where(request.limits[:, None] > 0, alone, -jnp.inf),
        None if seen is None else jnp.zeros(seen.shape, jnp.float32),
        none_complete(batch, count),
        nothing_cut(batch),
        empty(width, batch, size, aux),
    )

    def penalised(log_probs: Array, lengths: Array, covered: Array | None) -> Array:
        scores = normaliser.score(log_probs, lengths, width)
        if covered is None or request.source_lengths is None:
            return scores
        return scores + coverage.penalty(
            covered, request.source_lengths, coverage_penalty
        )

    def extend(beam: Beam) -> Beam:
        carry, scores = score(beam.carry, beam.last)
        found = expand(beam.log_probs, scores.log_probs, carry)
        time, covered = beam.time + 1, beam.covered
        lengths = jnp.full((batch, size), time)
        ended_covered = None
        if covered is not None:
            covered = covered + scores.aux["attention"]
            ended_covered = pick(covered, found.enders)
            covered = pick(covered, found.parents)
        ended = Complete(
            penalised(found.ended, lengths, ended_covered),
            found.ended,
            lengths,
            found.enders,
        )
        complete = beam.complete.add(ended)
        best_live = penalised(found.live, lengths, covered)
        cut = _latest(beam.cut, found.live, best_live, time)
        live = found.live
        over = time >= request.limits
        if early:
            least = time + 1
            if request.minimums is not None:
                least = jnp.maximum(least, request.minimums)
            least = jnp.minimum(least, request.limits)
            best = jnp.max(live, axis=1)
            reachable = normaliser.bound(best, least, request.limits, width)
            over |= complete.scores[:, -1] >= reachable
        return Beam(
            time,
            pick_all(carry, found.parents),
            found.tokens,
            jnp.where(over[:, None], -jnp.inf, live),
            covered,
            complete,
            cut,
            record(beam.history, beam.time, found.tokens, found.parents, scores.aux),
        )

    def unfinished(beam: Beam) -> Array:
        return jnp.any(beam.log_probs != -jnp.inf) & (beam.time < width)

    last = drive(extend, unfinished, first, width)
    return spell_out(last.complete, last.cut, last.history)


def _latest(cut: Cut, live: Array, scores: Array, time: Array) -> Cut:
    """The best live prefix of this step, where there is one."""
    best = jnp.argmax(live, axis=1).astype(jnp.int32)
    log_prob, score = (
        jnp.take_along_axis(leaf, best[:, None], axis=1)[:, 0]
        for leaf in (live, scores)
    )
    alive = log_prob != -jnp.inf
    return Cut(
        jnp.where(alive, score, cut.score),
        jnp.where(alive, log_prob, cut.log_prob),
        jnp.where(alive, time, cut.length),
        jnp.where(alive, best, cut.slot),
    )


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

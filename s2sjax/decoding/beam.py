"""Beam search: the K best prefixes of each length, and the best that ended.

`search` is the loop of every beam; a `BeamRule` says what it holds and returns, and
`Expand` which continuations go on. `beam` is the plain rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax import spec
from s2sjax.decoding.base import (
    LARGEST_SIZE,
    Limit,
    Request,
    ScoreFn,
    accept,
    pick,
    pick_all,
    slotwise,
    spread,
)
from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.hypotheses import Ended, History, best_of, spell_out
from s2sjax.decoding.scores import Normaliser, attention_of, penalty, reachable
from s2sjax.errors import UsageError
from s2sjax.types import BOS, EOS, Carry, Hypotheses, StepFn


@dataclass(frozen=True)
class BeamRule:
    """What a beam holds, what it returns, and what its scores are.

    Raises:
      UsageError: a number outside its range.
    """

    size: int  # live prefixes for each row, K; may exceed the vocabulary
    n: int = 1  # hypotheses returned, N <= K
    normaliser: Normaliser = Normaliser()  # noqa: RUF009 (frozen)
    coverage: float = 0.0  # beta of the coverage penalty; 0: none
    early: bool = True  # stop as soon as the result is certain
    groups: int = 1  # equal runs of slots, each of which begins with one empty prefix

    def __post_init__(self) -> None:
        spec.between("size", self.size, 1, LARGEST_SIZE)
        spec.between("n", self.n, 1, LARGEST_SIZE)
        spec.between("coverage", self.coverage, 0, 1e6)
        spec.between("groups", self.groups, 1, LARGEST_SIZE)
        if self.n > self.size:
            raise UsageError(
                f"n={self.n} is more than the beam holds: size={self.size}"
            )
        if self.size % self.groups:
            raise UsageError(
                f"size={self.size} cannot be shared out to groups={self.groups} equally"
            )


class Beam(NamedTuple):
    """A search after some steps."""

    time: Array  # [] int32, steps taken: the tokens of every live hypothesis
    carry: Carry  # [B, K, ...]
    last: Array  # [B, K] int32, the token that goes in next
    log_probs: Array  # [B, K] float32, -inf where there is no live hypothesis
    covered: Array | None  # [B, K, S] float32, attention summed over the steps
    complete: Ended  # [B, N], best first
    cut: Ended  # [B, 1], the best live one at the last step at which there was one
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
which complete. The carry is the one after the step, for rules that keep a memory."""


def search(
    score: ScoreFn, carry: Carry, request: Request, expand: Expand, rule: BeamRule
) -> Hypotheses:
    """The loop of every beam: score, expand, collect what ended, move what lives.

    `score` and `carry` have a slot axis. What a row returns, and when it is done, is
    as `beam` says.
    """
    batch, width, normaliser = request.limits.shape[0], request.width, rule.normaliser
    slots = (batch, rule.size)
    aux = jax.eval_shape(score, carry, jnp.full(slots, BOS))[1].aux
    covered = None
    if rule.coverage > 0:
        covered = jnp.zeros(attention_of(aux).shape, jnp.float32)
    is_first = jnp.arange(rule.size) % (rule.size // rule.groups) == 0
    may_write = (request.limits > 0)[:, None] & is_first[None]
    no_output = Ended.none(batch, 1)._replace(
        scores=jnp.zeros((batch, 1)), log_probs=jnp.zeros((batch, 1))
    )
    first = Beam(
        jnp.int32(0),
        carry,
        jnp.full(slots, BOS, jnp.int32),
        jnp.where(may_write, 0.0, -jnp.inf),
        covered,
        Ended.none(batch, rule.n),
        no_output,
        History.empty(width, aux, slots),
    )

    def final(log_probs: Array, lengths: Array, covered: Array | None) -> Array:
        """What hypotheses score if they end here."""
        scores = normaliser.score(log_probs, lengths, width)
        if covered is None or request.source_lengths is None:
            return scores
        return scores + penalty(covered, request.source_lengths, rule.coverage)

    def extend(beam: Beam) -> Beam:
        carry, scores = score(beam.carry, beam.last)
        made = expand(beam.log_probs, scores.log_probs, carry)
        time = beam.time + 1
        lengths = jnp.full(slots, time)
        of_live = of_ended = None
        if beam.covered is not None:
            covered = beam.covered + scores.aux["attention"]
            of_live, of_ended = (
                pick(covered, made.parents),
                pick(covered, made.enders),
            )
        ended_scores = final(made.ended, lengths, of_ended)
        ended = Ended(ended_scores, made.ended, lengths, made.enders)
        complete = best_of(rule.n, beam.complete, ended)
        live_scores = final(made.live, lengths, of_live)
        over = time >= request.limits
        if rule.early:
            best_live = jnp.max(made.live, axis=1)
            bound = reachable(normaliser, request, best_live, time)
            over |= complete.scores[:, -1] >= bound
        return Beam(
            time,
            pick_all(carry, made.parents),
            made.tokens,
            jnp.where(over[:, None], -jnp.inf, made.live),
            of_live,
            complete,
            _latest(beam.cut, made.live, live_scores, time),
            beam.history.record(beam.time, made.tokens, made.parents, scores.aux),
        )

    def unfinished(beam: Beam) -> Array:
        return jnp.any(beam.log_probs != -jnp.inf) & (beam.time < width)

    last = lax.while_loop(unfinished, extend, first)
    return spell_out(last.complete, last.cut, last.history)


def _latest(cut: Ended, live: Array, scores: Array, time: Array) -> Ended:
    """The best live prefix of this step, where there is one."""
    best = jnp.argmax(live, axis=1, keepdims=True).astype(jnp.int32)
    log_prob, score = (
        jnp.take_along_axis(leaf, best, axis=1) for leaf in (live, scores)
    )
    new = Ended(score, log_prob, jnp.full_like(best, time), best)
    alive = log_prob != -jnp.inf
    return jax.tree.map(lambda now, then: jnp.where(alive, now, then), new, cut)


def beam(
    step: StepFn,
    carry: Carry,
    limit: Limit,
    *,
    size: int = 5,
    n: int = 1,
    alpha: float | None = None,
    normaliser: str | None = None,
    coverage: float = 0.0,
    early: bool = True,
) -> Hypotheses:
    """The best complete hypotheses that a beam of `size` prefixes finds.

    Of all K V one-token continuations of the live prefixes, one that ends in EOS is
    complete if it is among the best K; the best K of the others live on. So beam 1 is
    greedy decoding for alpha <= 0, and a beam as wide as the widest level of the
    search tree finds all there is. Scores of complete hypotheses are

        log p(y) / n**alpha + coverage sum_s log min(sum_t a_ts, 1)

    or the normaliser's other form; prefixes of equal length are compared by log p.

    A row is done when it is at its limit, has no live prefix, or, if `early`, when its
    n-th best score is at least what any live prefix can still reach
    (`Normaliser.bound`; the coverage penalty is never positive). Then nothing that is
    returned can change: `early` saves time and nothing else.

    Memory: K carries for each row, and T K back-pointers and step outputs (those that
    the caller reads).

    Args:
      step: the decoder, any `StepFn`.
      carry: its first carry.
      limit: most tokens of an output, an int or [B]; or a `Request`.
      size: live prefixes for each row, K; may exceed the vocabulary.
      n: hypotheses returned, N <= K.
      alpha, normaliser: what scores are divided by; see `Normaliser.named`.
      coverage: beta >= 0 of the coverage penalty; other than 0 needs attention in the
        step's aux and the request's source lengths.
      early: whether to stop as soon as the result is certain.

    Returns:
      An n-best list [B, N, T] of complete hypotheses, unique and best first; a row that
      has none gives its best live prefix, flagged `truncated`. `aux["logprob"]` is
      log p, without normaliser or penalty.

    Raises:
      UsageError: a number outside its range, or a step that breaks its contract.
    """
    step, request = accept(step, carry, limit)
    rule = BeamRule(size, n, Normaliser.named(normaliser, alpha), coverage, early)
    score, carry = constrained(step, carry, request)
    return search(slotwise(score), spread(carry, size), request, best, rule)


def best(live: Array, log_probs: Array, carry: Carry = None) -> Candidates:
    """The best continuations of live prefixes; what the carry holds does not matter.

    Of equally probable ones the lower slot's is better, then the smaller token.

    Shapes: live [B, K], log_probs [B, K, V]. A NaN makes all of its row NaN.
    """
    batch, size, vocabulary = log_probs.shape
    totals = jnp.where(
        live[:, :, None] == -jnp.inf, -jnp.inf, live[:, :, None] + log_probs
    )
    # Sorting a NaN is undefined; infinity comes first, so that the result shows it.
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

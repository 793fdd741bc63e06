"""What all beams share: live prefixes, the hypotheses that ended, and when to stop."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding import coverage
from s2sjax.decoding.complete import (
    Complete,
    Cut,
    none_complete,
    nothing_cut,
    spell_out,
)
from s2sjax.decoding.driver import Driver, until_done
from s2sjax.decoding.history import History, empty, record
from s2sjax.decoding.normaliser import Normaliser
from s2sjax.decoding.request import Request
from s2sjax.decoding.scoring import ScoreFn
from s2sjax.decoding.slots import pick, pick_all
from s2sjax.types import BOS, Carry, Hypotheses


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

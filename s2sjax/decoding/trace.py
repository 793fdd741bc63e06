"""Hypotheses written token by token, none of which minds the others."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.driver import Driver, until_done
from s2sjax.decoding.request import Request
from s2sjax.decoding.scoring import scorer
from s2sjax.decoding.slots import slotwise, spread
from s2sjax.types import BOS, EOS, PAD, Carry, Hypotheses, StepFn


class Trace(NamedTuple):
    """What has been written so far."""

    time: Array  # [] int32, steps taken
    carry: Carry
    last: Array  # [B, N] int32, the token that goes in next
    live: Array  # [B, N] bool, not finished
    tokens: Array  # [B, N, T] int32
    scores: Array  # [B, N] float32, what the choices add up to
    log_probs: Array  # [B, N] float32, under the model
    aux: dict[str, Array]  # each [B, N, T, ...]

    def hypotheses(self) -> Hypotheses:
        """In the order in which they were asked for."""
        return Hypotheses(
            self.tokens,
            self.scores,
            jnp.sum(self.tokens != PAD, axis=-1),
            jnp.ones(self.scores.shape, bool),
            ~jnp.any(self.tokens == EOS, axis=-1),
            {**self.aux, "logprob": self.log_probs},
        )


Choice = Callable[[Array, Array], tuple[Array, Array]]
"""`choose(log_probs [B, N, V], time) -> (tokens [B, N], what they score [B, N])`."""


def follow(
    step: StepFn,
    carry: Carry,
    request: Request,
    count: int,
    choose: Choice,
    drive: Driver = until_done,
) -> Trace:
    """Writes `count` hypotheses for each row, with the tokens that `choose` says.

    One ends with EOS, at its row's limit, or where no token may follow; then it
    changes no more, so that it does not depend on the others.
    """
    score, carry = constrained(scorer(step), carry, request)
    score, carry = slotwise(score), spread(carry, count)
    shape, width = (request.limits.shape[0], count), request.width
    start = jnp.full(shape, BOS, jnp.int32)
    aux = jax.eval_shape(score, carry, start)[1].aux
    first = Trace(
        jnp.int32(0),
        carry,
        start,
        jnp.broadcast_to(request.limits[:, None] > 0, shape),
        jnp.full((*shape, width), PAD, jnp.int32),
        jnp.zeros(shape, jnp.float32),
        jnp.zeros(shape, jnp.float32),
        {
            name: jnp.zeros((*shape, width, *leaf.shape[2:]), leaf.dtype)
            for name, leaf in aux.items()
        },
    )

    def extend(trace: Trace) -> Trace:
        carry, scores = score(trace.carry, trace.last)
        chosen, scored = choose(scores.log_probs, trace.time)
        chosen = chosen.astype(jnp.int32)
        gained = jnp.take_along_axis(scores.log_probs, chosen[..., None], axis=-1)
        gained = gained[..., 0]
        # A choice may be a maximum taken past a NaN; the token's own number is not.
        scored = jnp.where(jnp.isnan(gained), jnp.nan, scored)
        live = trace.live & (gained != -jnp.inf)
        room = trace.time + 1 < request.limits[:, None]
        return Trace(
            trace.time + 1,
            carry,
            chosen,
            live & (chosen != EOS) & room,
            trace.tokens.at[:, :, trace.time].set(jnp.where(live, chosen, PAD)),
            trace.scores + jnp.where(live, scored, 0),
            trace.log_probs + jnp.where(live, gained, 0),
            {
                name: trace.aux[name].at[:, :, trace.time].set(_only(live, leaf))
                for name, leaf in scores.aux.items()
            },
        )

    def unfinished(trace: Trace) -> Array:
        return jnp.any(trace.live) & (trace.time < width)

    return drive(extend, unfinished, first, width)


def _only(live: Array, leaf: Array) -> Array:
    """`leaf` [B, N, ...] where `live` [B, N], 0 elsewhere."""
    live = jnp.expand_dims(live, range(2, leaf.ndim))
    return jnp.where(live, leaf, jnp.zeros_like(leaf))

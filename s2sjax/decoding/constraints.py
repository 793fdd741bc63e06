"""Constraints: which tokens may follow what has been written.

Each is a mask on log-probabilities, so that every strategy obeys every constraint and
a score stays the model's own. The set of hypotheses that may be returned is the same
for all strategies: those that begin with the prefix, contain no banned token and no
n-gram twice, are long enough, and contain every required phrase.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.base import Request, ScoreFn, Scores, log_probs, only
from s2sjax.types import EOS, PAD, Carry, StepFn


class Written(NamedTuple):
    """What the constraints remember of a hypothesis; None where none needs it."""

    length: Array  # [B] int32, tokens so far; -1 before BOS went in
    recent: Array | None  # [B, L] int32, the last tokens, the newest last
    met: Array | None  # [B, C] bool, which phrases it contains
    tokens: Array | None  # [B, T] int32


def constrained(step: StepFn, carry: Carry, request: Request) -> tuple[ScoreFn, Carry]:
    """The log-probabilities of a step under a request's constraints, and a first carry.

    Without constraints the carry is the step's own.
    """

    def score(carry: Carry, token: Array) -> tuple[Carry, Scores]:
        carry, output = step(carry, token)
        return carry, Scores(log_probs(output.logits), output.aux)

    masks = (request.minimums, request.prefixes, request.banned, request.required)
    if all(each is None for each in masks) and not request.no_repeat:
        return score, carry

    def constrained_score(
        carry: tuple[Carry, Written], token: Array
    ) -> tuple[tuple[Carry, Written], Scores]:
        inner, written = carry
        inner, scores = score(inner, token)
        written = _write(written, token, request)
        allowed = _allowed(written, scores.log_probs.shape[-1], request)
        return (inner, written), Scores(only(allowed, scores.log_probs), scores.aux)

    return constrained_score, (carry, _nothing_written(request))


def progress(recent: Array, required: Array) -> Array:
    """How much of each phrase the last tokens are: the longest prefix of the phrase
    that is a suffix of them.

    Shapes: recent [B, L], required [B, C, L] -> [B, C] int32.
    """
    width = required.shape[-1]
    sizes = phrase_lengths(required)
    longest = jnp.zeros(required.shape[:2], jnp.int32)
    for size in range(1, width + 1):
        same = required[..., :size] == recent[:, None, width - size :]
        matches = jnp.all(same, axis=-1) & (size <= sizes)
        longest = jnp.where(matches, size, longest)
    return longest


def phrase_lengths(required: Array) -> Array:
    """Tokens in each phrase: [B, C, L] -> [B, C]."""
    return jnp.sum(required != PAD, axis=-1)


def _nothing_written(request: Request) -> Written:
    batch = request.limits.shape[0]
    recent = met = tokens = None
    if request.required is not None:
        recent = jnp.full((batch, request.required.shape[2]), PAD, jnp.int32)
        met = phrase_lengths(request.required) == 0
    if request.no_repeat:
        tokens = jnp.full((batch, request.width), PAD, jnp.int32)
    return Written(jnp.full(batch, -1, jnp.int32), recent, met, tokens)


def _write(written: Written, token: Array, request: Request) -> Written:
    length, recent, met, tokens = written
    if recent is not None:
        assert request.required is not None and met is not None
        recent = jnp.concatenate([recent[:, 1:], token[:, None]], axis=1)
        sizes = phrase_lengths(request.required)
        met = met | (progress(recent, request.required) == sizes)
    if tokens is not None:
        here = jnp.arange(request.width)[None] == length[:, None]
        tokens = jnp.where(here, token[:, None], tokens)
    return Written(length + 1, recent, met, tokens)


def _allowed(written: Written, vocabulary: int, request: Request) -> Array:
    """Which tokens may come next, [B, V] bool."""
    tokens = jnp.arange(vocabulary)[None]
    length = written.length[:, None]
    allowed = jnp.ones((length.shape[0], vocabulary), bool)
    if request.banned is not None:
        allowed &= ~request.banned
    if request.minimums is not None:
        allowed &= (tokens != EOS) | (length + 1 >= request.minimums[:, None])
    if written.met is not None:
        allowed &= (tokens != EOS) | jnp.all(written.met, axis=1, keepdims=True)
    if written.tokens is not None:
        allowed &= ~_repeats(written, vocabulary, request.no_repeat)
    if request.prefixes is not None:
        width = request.prefixes.shape[1]
        place = jnp.minimum(length, width - 1)
        next_token = jnp.take_along_axis(request.prefixes, place, axis=1)
        forced = (length < width) & (next_token != PAD)
        allowed = jnp.where(forced, tokens == next_token, allowed)
    return allowed


def _repeats(written: Written, vocabulary: int, order: int) -> Array:
    """Which tokens would end an n-gram that was written before, [B, V] bool."""
    assert written.tokens is not None
    batch, width = written.tokens.shape
    if order > width:  # and is not to be unrolled
        return jnp.zeros((batch, vocabulary), bool)
    return jax.vmap(_repeats_of_one, in_axes=(0, 0, None, None))(
        written.tokens, written.length, vocabulary, order
    )


def _repeats_of_one(tokens: Array, length: Array, vocabulary: int, order: int) -> Array:
    width = tokens.shape[0]
    starts = jnp.arange(width)
    repeats = starts + order - 1 < length  # a whole n-gram begins here
    for offset in range(order - 1):
        last = tokens[jnp.maximum(length - (order - 1) + offset, 0)]
        repeats &= jnp.roll(tokens, -offset) == last
    ends = jnp.roll(tokens, -(order - 1))
    return jnp.any(
        repeats[:, None] & (ends[:, None] == jnp.arange(vocabulary)[None]), axis=0
    )

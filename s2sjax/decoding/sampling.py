"""Hypotheses written token by token without looking back: greedy and sampled ones.

`follow` is the loop; a strategy is the choice of a token.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax import spec
from s2sjax.decoding.base import (
    LARGEST_SIZE,
    Limit,
    Request,
    accept,
    slotwise,
    spread,
)
from s2sjax.decoding.base import log_probs as normalised
from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.filters import Filters, with_filters
from s2sjax.decoding.hypotheses import masked
from s2sjax.errors import UsageError
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
        """In the order in which they were written."""
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
    step: StepFn, carry: Carry, request: Request, n: int, choose: Choice
) -> Trace:
    """Writes `n` hypotheses for each row, with the tokens that `choose` gives.

    One ends with EOS, at its row's limit, or where no token may follow; then it
    changes no more, so that it does not depend on the others.
    """
    score, carry = constrained(step, carry, request)
    score, carry = slotwise(score), spread(carry, n)
    shape, width = (request.limits.shape[0], n), request.width
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
                name: trace.aux[name].at[:, :, trace.time].set(masked(live, leaf))
                for name, leaf in scores.aux.items()
            },
        )

    def unfinished(trace: Trace) -> Array:
        return jnp.any(trace.live) & (trace.time < width)

    return lax.while_loop(unfinished, extend, first)


def greedy(step: StepFn, carry: Carry, limit: Limit) -> Hypotheses:
    """y_t = argmax p(y | y_1 .. y_{t-1}), until EOS or the row's own limit.

    Of equally probable tokens the one with the smallest id is taken.

    Args:
      step: the decoder, any `StepFn`.
      carry: its first carry.
      limit: most tokens of an output, an int or [B]; or a `Request`.

    Returns:
      One hypothesis for each row, [B, 1, T]; its score is its log-probability.

    Raises:
      UsageError: a limit below 1, or a step that breaks its contract.

    >>> import jax, jax.numpy as jnp
    >>> from s2sjax import types
    >>> table = jnp.log(jnp.array([[0, 0, 0.1, 0.9, 0], [0, 0, 0.6, 0, 0.4]]))
    >>> def step(carry, token):  # 3, then EOS
    ...     return carry, types.StepOutput(table[(token == 3).astype(int)], {})
    >>> greedy(step, jnp.zeros(1), limit=4).tokens.tolist()
    [[[3, 2, 0, 0]]]
    """
    step, request = accept(step, carry, limit)

    def most_probable(log_probs: Array, time: Array) -> tuple[Array, Array]:
        # The first of the best ones: on a CPU two plain reductions take less time than
        # one that carries a place along.
        best = jnp.max(log_probs, axis=-1)
        places = jnp.arange(log_probs.shape[-1])[None]
        among = jnp.where(log_probs == best[:, None], places, places[:, -1:])
        return jnp.min(among, axis=-1), best

    return follow(step, carry, request, 1, most_probable).hypotheses()


@with_filters
def sample(
    step: StepFn,
    carry: Carry,
    limit: Limit,
    key: Array | None = None,
    *,
    n: int = 1,
    seed: int | None = None,
    **filters: Any,
) -> Hypotheses:
    """Draws y_t ~ q(y | y_1 .. y_{t-1}), `n` times for each row.

    q is p under the filters (`filters`), normalised again. A draw is a function of the
    row's key, its number among the row's samples and the step: not of the batch, the
    limit or how many samples there are. Drawn as argmax(log q + Gumbel noise) (Gumbel
    1954).

    Args:
      step: the decoder, any `StepFn`.
      carry: its first carry.
      limit: most tokens of an output, an int or [B]; or a `Request` with its keys.
      key: of all rows; row b draws with `fold_in(key, b)`.
      n: samples for each row, N.
      seed: folded into the keys: other samples of the same inputs.
      filters: temperature, top_k, top_p, min_p, typical, epsilon; see `filters`.

    Returns:
      The samples as drawn, [B, N, T]: not sorted, and the same one may come twice.
      Scores are log q, `aux["logprob"]` is log p.

    Raises:
      UsageError: no key, a number outside its range, a limit below 1, or a step that
        breaks its contract.
    """
    step, request = accept(step, carry, limit, key)
    spec.between("n", n, 1, LARGEST_SIZE)
    apply_filters = Filters(**filters)
    numbered = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    keys = jax.vmap(numbered, in_axes=(0, None))(
        keys_of(request, seed), jnp.arange(n)
    )  # -> [B, N]

    def draw(key: Array, time: Array, log_probs: Array) -> tuple[Array, Array]:
        filtered = apply_filters(
            normalised(log_probs)
        )  # a constraint may have masked some
        noise = jax.random.gumbel(jax.random.fold_in(key, time), filtered.shape)
        token = jnp.argmax(filtered + noise)
        return token, filtered[token]

    def drawn(log_probs: Array, time: Array) -> tuple[Array, Array]:
        of_row = jax.vmap(draw, in_axes=(0, None, 0))
        return jax.vmap(of_row, in_axes=(0, None, 0))(keys, time, log_probs)

    return follow(step, carry, request, n, drawn).hypotheses()


def keys_of(request: Request, seed: int | None) -> Array:
    """The keys of a request, [B]; with a seed folded into them where one is given.

    Raises:
      UsageError: it has none, or the seed is negative.
    """
    if request.keys is None:
        raise UsageError("key: what is drawn needs one, e.g. key=jax.random.key(0)")
    if seed is None:
        return request.keys
    spec.between("seed", seed, 0, spec.LARGEST)
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(request.keys, seed)

"""Greedy decoding: the most probable token at every step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.types import BOS, EOS, PAD, Carry, Hypotheses, StepFn


class _State(NamedTuple):
    step: Array  # [] int32
    carry: Carry
    last: Array  # [B] int32, the token that goes in next
    live: Array  # [B] bool, not finished
    tokens: Array  # [B, T] int32
    scores: Array  # [B] float32
    aux: dict[str, Array]  # each [B, T, ...]


def greedy(
    step: StepFn, carry: Carry, limits: Array, keys: Array | None, width: int
) -> Hypotheses:
    """y_t = argmax p(y | y_1 .. y_{t-1}), until EOS or the row's own limit.

    The loop ends when every row has; a finished row changes no more, so a row's result
    does not depend on its neighbours.

    Args:
      step: the decoder.
      carry: its first carry.
      limits: most tokens of each hypothesis, EOS counted, [B] int32.
      keys: not used, greedy draws nothing.
      width: the largest limit there can be, T.

    Returns:
      One hypothesis for each row, [B, 1, T]; its score is its log-probability.
    """
    batch = limits.shape[0]
    start = jnp.full(batch, BOS, jnp.int32)
    aux = jax.eval_shape(step, carry, start)[1].aux
    first = _State(
        jnp.int32(0),
        carry,
        start,
        limits > 0,
        jnp.full((batch, width), PAD, jnp.int32),
        jnp.zeros(batch, jnp.float32),
        {
            name: jnp.zeros((batch, width, *leaf.shape[1:]), leaf.dtype)
            for name, leaf in aux.items()
        },
    )

    def extend(state: _State) -> _State:
        carry, output = step(state.carry, state.last)
        log_probs = jax.nn.log_softmax(output.logits.astype(jnp.float32))
        best = jnp.argmax(log_probs, axis=-1).astype(jnp.int32)
        gained = jnp.max(log_probs, axis=-1)
        token = jnp.where(state.live, best, PAD)
        return _State(
            state.step + 1,
            carry,
            best,
            state.live & (best != EOS) & (state.step + 1 < limits),
            state.tokens.at[:, state.step].set(token),
            state.scores + jnp.where(state.live, gained, 0),
            {
                name: state.aux[name].at[:, state.step].set(_where(state.live, leaf))
                for name, leaf in output.aux.items()
            },
        )

    last = lax.while_loop(
        lambda state: jnp.any(state.live) & (state.step < width), extend, first
    )
    lengths = jnp.sum(last.tokens != PAD, axis=1)
    ended = jnp.any(last.tokens == EOS, axis=1)
    return Hypotheses(
        last.tokens[:, None],
        last.scores[:, None],
        lengths[:, None],
        jnp.ones((batch, 1), bool),
        ~ended[:, None],
        {name: leaf[:, None] for name, leaf in last.aux.items()},
    )


def _where(rows: Array, leaf: Array) -> Array:
    """`leaf` [B, ...] in these rows [B], 0 in the others."""
    rows = jnp.expand_dims(rows, range(1, leaf.ndim))
    return jnp.where(rows, leaf, jnp.zeros_like(leaf))

"""The complete hypotheses of a search, and the one to fall back on."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding.history import History, walk
from s2sjax.decoding.slots import pick_all
from s2sjax.types import Hypotheses


class Complete(NamedTuple):
    """The best hypotheses that have ended, best first; score -inf where there is none.

    Of equal scores the one that came first stands first.
    """

    scores: Array  # [B, N] float32
    log_probs: Array  # [B, N] float32
    lengths: Array  # [B, N] int32, EOS counted
    slots: Array  # [B, N] int32, the live hypothesis that it ends

    def add(self, others: "Complete") -> "Complete":
        """The best of these and others."""
        both = Complete(
            *(
                jnp.concatenate(parts, axis=1)
                for parts in zip(self, others, strict=True)
            )
        )
        _, best = lax.top_k(both.scores, self.scores.shape[1])
        found = pick_all(both, best)
        # Where a NaN would be sorted is not defined: one spoils its list, and is seen.
        spoilt = jnp.any(jnp.isnan(both.scores), axis=1, keepdims=True)
        return found._replace(scores=jnp.where(spoilt, jnp.nan, found.scores))

    def exist(self) -> Array:
        """Which are hypotheses at all, [B, N] bool."""
        return self.scores != -jnp.inf


class Cut(NamedTuple):
    """The best live hypothesis at the last step at which there was one."""

    score: Array  # [B] float32
    log_prob: Array  # [B] float32
    length: Array  # [B] int32
    slot: Array  # [B] int32


def none_complete(batch: int, count: int) -> Complete:
    """Room for `count` hypotheses."""
    nothing = jnp.full((batch, count), -jnp.inf)
    zeros = jnp.zeros((batch, count), jnp.int32)
    return Complete(nothing, nothing, zeros, zeros)


def nothing_cut(batch: int) -> Cut:
    """An output without tokens."""
    zeros = jnp.zeros(batch)
    return Cut(zeros, zeros, zeros.astype(jnp.int32), zeros.astype(jnp.int32))


def spell_out(complete: Complete, cut: Cut, history: History) -> Hypotheses:
    """The complete hypotheses; where a row has none, its cut one, flagged."""
    found = complete.exist()
    none = ~jnp.any(found, axis=1, keepdims=True)
    truncated = none & (jnp.arange(found.shape[1])[None] == 0)

    def either(ended: Array, live: Array, nothing: float) -> Array:
        return jnp.where(truncated, live[:, None], jnp.where(found, ended, nothing))

    lengths = either(complete.lengths, cut.length, 0).astype(jnp.int32)
    slots = either(complete.slots, cut.slot, 0).astype(jnp.int32)
    tokens, aux = walk(history, slots, lengths, found)
    scores = either(complete.scores, cut.score, -jnp.inf)
    aux["logprob"] = either(complete.log_probs, cut.log_prob, -jnp.inf)
    return Hypotheses(tokens, scores, lengths, found | truncated, truncated, aux)

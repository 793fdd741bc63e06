"""Hypotheses while they are searched for, and the n-best lists they become.

A search keeps no histories: each step leaves pointers from slot to slot (`History`),
and hypotheses are spelled out once, at the end. What has ended waits in a list of the
best (`Ended`, `best_of`). An n-best list is unique, best first and without filler.
"""

from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding.base import pick, pick_all
from s2sjax.types import EOS, PAD, Hypotheses

Record = TypeVar("Record", bound=NamedTuple)


class History(NamedTuple):
    """The live hypotheses after each step, as pointers to those before it."""

    tokens: Array  # [T, B, K] int32, the token that a slot's hypothesis ends with
    parents: Array  # [T, B, K] int32, the slot that it continues
    aux: dict[str, Array]  # [T, B, K, ...], of the step from the slot's prefix on

    @classmethod
    def empty(cls, width: int, aux: dict[str, Array], shape: Any) -> "History":
        """Room for `width` steps of [B, K] slots; `aux` shows what a step gives."""
        pointers = jnp.zeros((width, *shape), jnp.int32)
        room = {
            name: jnp.zeros((width, *leaf.shape), leaf.dtype)
            for name, leaf in aux.items()
        }
        return cls(pointers, pointers, room)

    def record(
        self, time: Array, tokens: Array, parents: Array, aux: dict[str, Array]
    ) -> "History":
        """With a step more: tokens and parents [B, K], aux [B, K, ...] by parent."""
        new = History(tokens, parents, aux)
        return jax.tree.map(lambda room, leaf: room.at[time].set(leaf), self, new)

    def spell(
        self, slots: Array, lengths: Array, has_eos: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Tokens [B, N, T] and each token's aux [B, N, T, ...]; PAD and 0 after an end.

        Args:
          slots: [B, N], the live hypothesis that each one is, or ends with an EOS.
          lengths: [B, N], its tokens, EOS counted.
          has_eos: [B, N] bool, whether it ends with an EOS.
        """
        width = self.tokens.shape[0]

        def back(slots: Array, at: tuple[Array, Array, Array]) -> tuple[Array, Any]:
            time, tokens, parents = at
            is_end = has_eos & (time == lengths - 1)
            inside = time < lengths - has_eos
            token = jnp.where(is_end, EOS, jnp.where(inside, pick(tokens, slots), PAD))
            before = jnp.where(inside, pick(parents, slots), slots)
            return before, (token, before)

        steps = (jnp.arange(width), self.tokens, self.parents)
        _, (tokens, origins) = lax.scan(back, slots, steps, reverse=True)
        written = jnp.arange(width)[:, None, None] < lengths[None]  # -> [T, B, N]
        aux = {
            name: jnp.moveaxis(masked(written, jax.vmap(pick)(leaf, origins)), 0, 2)
            for name, leaf in self.aux.items()
        }
        return jnp.moveaxis(tokens, 0, 2), aux


class Ended(NamedTuple):
    """Hypotheses that go on no more; score -inf where there is none."""

    scores: Array  # [B, N] float32
    log_probs: Array  # [B, N] float32
    lengths: Array  # [B, N] int32, tokens, EOS counted
    slots: Array  # [B, N] int32, the live hypothesis that it is or ends

    @classmethod
    def none(cls, batch: int, n: int) -> "Ended":
        """A list without hypotheses."""
        nothing, zeros = (
            jnp.full((batch, n), -jnp.inf),
            jnp.zeros((batch, n), jnp.int32),
        )
        return cls(nothing, nothing, zeros, zeros)

    def exist(self) -> Array:
        """Which are hypotheses at all, [B, N] bool."""
        return self.scores != -jnp.inf


def best_of(n: int, *lists: Record) -> Record:
    """The `n` entries of lists [B, ?, ...] whose first fields are largest, best first.

    Of equal ones the one that came first stands first. Sorting a NaN is undefined, so
    one makes the first field of its whole row NaN, which shows it.
    """
    joined = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *lists)
    _, order = lax.top_k(joined[0], n)
    spoilt = jnp.any(jnp.isnan(joined[0]), axis=1, keepdims=True)
    first, *others = pick_all(joined, order)
    return type(joined)(jnp.where(spoilt, jnp.nan, first), *others)


def spell_out(complete: Ended, cut: Ended, history: History) -> Hypotheses:
    """The complete hypotheses [B, N]; where a row has none, its cut one [B, 1]."""
    exist = complete.exist()
    none = ~jnp.any(exist, axis=1, keepdims=True)
    truncated = none & (jnp.arange(exist.shape[1])[None] == 0)

    def either(ended: Array, live: Array, nothing: float) -> Array:
        chosen = jnp.where(truncated, live, jnp.where(exist, ended, nothing))
        return chosen.astype(ended.dtype)

    nothing = Ended(-jnp.inf, -jnp.inf, 0, 0)  # type: ignore[arg-type]
    listed = jax.tree.map(either, complete, cut, nothing)
    tokens, aux = history.spell(listed.slots, listed.lengths, exist)
    aux["logprob"] = listed.log_probs
    valid = exist | truncated
    return Hypotheses(tokens, listed.scores, listed.lengths, valid, truncated, aux)


def competing(hypotheses: Hypotheses) -> Array:
    """Which hypotheses may be returned, [B, N] bool.

    The complete ones; of a row that has none, those cut at their limit.
    """
    complete = hypotheses.valid & ~hypotheses.truncated
    none = ~jnp.any(complete, axis=1, keepdims=True)
    return complete | (hypotheses.valid & none)


def repeated(hypotheses: Hypotheses, among: Array) -> Array:
    """Which hypotheses stand in the list before, among those given, [B, N] bool."""
    tokens = hypotheses.tokens
    same = jnp.all(tokens[:, :, None] == tokens[:, None], axis=-1)  # -> [B, N, N]
    return jnp.any(jnp.tril(same & among[:, None], -1), axis=-1)


def n_best(hypotheses: Hypotheses, scores: Array, n: int) -> Hypotheses:
    """The `n` best by new scores, each once.

    Hypotheses cut at their limit never compete with complete ones: a row that has no
    complete one keeps its best cut one alone. Equal scores stand by `aux["logprob"]`,
    then as they stood. A hypothesis whose log-probability is NaN makes all scores of
    its row NaN, whatever the new scores are.

    Shapes: hypotheses [B, M, ...], scores [B, M] -> [B, min(N, M), ...].
    """
    fits = competing(hypotheses)
    fits &= ~repeated(hypotheses, fits)
    log_probs = hypotheses.aux["logprob"]
    order = jnp.lexsort((-log_probs, -scores, ~fits), axis=1)[:, :n]
    broken = hypotheses.valid & jnp.isnan(log_probs)
    scores = jnp.where(jnp.any(broken, axis=1, keepdims=True), jnp.nan, scores)
    best = pick_all(hypotheses._replace(scores=scores), order)
    first = jnp.arange(order.shape[1])[None] == 0
    valid = pick(fits, order) & (~best.truncated | first)
    listed: Hypotheses = jax.tree.map(lambda leaf: masked(valid, leaf), best)
    listed.aux["logprob"] = masked(valid, best.aux["logprob"], -jnp.inf)
    return listed._replace(scores=masked(valid, best.scores, -jnp.inf), valid=valid)


def masked(mask: Array, leaf: Array, nothing: float = 0) -> Array:
    """`leaf` where a mask of its first axes is true; `nothing`, which PAD is, else."""
    mask = jnp.expand_dims(mask, range(mask.ndim, leaf.ndim))
    return jnp.where(mask, leaf, jnp.full_like(leaf, nothing))

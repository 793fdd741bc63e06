"""From hypotheses in any order to an n-best list: unique, sorted, without filler."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding.base import pick, pick_all
from s2sjax.types import EOS, PAD, Hypotheses


class History(NamedTuple):
    """The live hypotheses after each step, as pointers to those before it."""

    tokens: Array  # [T, B, K] int32, the token that a slot's hypothesis ends with
    parents: Array  # [T, B, K] int32, the slot that it continues
    aux: dict[str, Array]  # [T, B, K, ...], what the step said of a slot it continued


def empty(width: int, batch: int, size: int, aux: dict[str, Array]) -> History:
    """Room for `width` steps; `aux` [B, K, ...] shows the shapes of what is kept."""
    pointers = jnp.zeros((width, batch, size), jnp.int32)
    kept = {
        name: jnp.zeros((width, *leaf.shape), leaf.dtype) for name, leaf in aux.items()
    }
    return History(pointers, pointers, kept)


def record(
    history: History, time: Array, tokens: Array, parents: Array, aux: dict[str, Array]
) -> History:
    """Adds a step: tokens and parents [B, K], aux [B, K, ...] by parent."""
    return History(
        history.tokens.at[time].set(tokens),
        history.parents.at[time].set(parents),
        {name: kept.at[time].set(aux[name]) for name, kept in history.aux.items()},
    )


def walk(
    history: History, slots: Array, lengths: Array, ended: Array
) -> tuple[Array, dict[str, Array]]:
    """Spells hypotheses out, from their ends to their beginnings.

    Args:
      history: of a search.
      slots: [B, N], the live hypothesis that each one is, or ends with an EOS.
      lengths: [B, N], its tokens, EOS counted.
      ended: [B, N] bool, whether it ends with an EOS.

    Returns:
      Tokens [B, N, T], PAD after the end, and each token's aux [B, N, T, ...], 0 after
      the end.
    """
    width = history.tokens.shape[0]

    def back(slots: Array, at: tuple[Array, Array, Array]) -> tuple[Array, Any]:
        time, tokens, parents = at
        is_end = ended & (time == lengths - 1)
        inside = time < lengths - ended
        token = jnp.where(is_end, EOS, jnp.where(inside, pick(tokens, slots), PAD))
        before = jnp.where(inside, pick(parents, slots), slots)
        return before, (token, before)

    steps = (jnp.arange(width), history.tokens, history.parents)
    _, (tokens, origins) = lax.scan(back, slots, steps, reverse=True)
    written = jnp.arange(width)[:, None, None] < lengths[None]  # -> [T, B, N]
    aux = {}
    for name, kept in history.aux.items():
        chosen = jax.vmap(pick)(kept, origins)  # -> [T, B, N, ...]
        mask = jnp.expand_dims(written, range(3, chosen.ndim))
        chosen = jnp.where(mask, chosen, jnp.zeros_like(chosen))
        aux[name] = jnp.moveaxis(chosen, 0, 2)
    return jnp.moveaxis(tokens, 0, 2), aux


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


def n_best(hypotheses: Hypotheses, scores: Array, count: int) -> Hypotheses:
    """The `count` best by new scores, each once.

    Hypotheses cut at their limit never compete with complete ones: a row that has no
    complete one keeps its best cut one alone. Equal scores stand by `aux["logprob"]`,
    then as they stood. A hypothesis whose log-probability is NaN makes all scores of
    its row NaN, whatever the new scores are.

    Shapes: hypotheses [B, M, ...], scores [B, M] -> [B, min(N, M), ...].
    """
    fits = competing(hypotheses)
    fits &= ~repeated(hypotheses, fits)
    log_probs = hypotheses.aux["logprob"]
    order = jnp.lexsort((-log_probs, -scores, ~fits), axis=1)[:, :count]
    broken = hypotheses.valid & jnp.isnan(log_probs)
    scores = jnp.where(jnp.any(broken, axis=1, keepdims=True), jnp.nan, scores)
    best = pick_all(hypotheses._replace(scores=scores), order)
    alone = jnp.arange(order.shape[1])[None] == 0
    kept = pick(fits, order) & (~best.truncated | alone)

    def only(leaf: Array, nothing: float = 0) -> Array:
        mask = jnp.expand_dims(kept, range(2, leaf.ndim))
        return jnp.where(mask, leaf, jnp.full_like(leaf, nothing))

    return Hypotheses(
        only(best.tokens, PAD),
        only(best.scores, -jnp.inf),
        only(best.lengths),
        kept,
        best.truncated & kept,
        {name: only(leaf) for name, leaf in best.aux.items()}
        | {"logprob": only(best.aux["logprob"], -jnp.inf)},
    )

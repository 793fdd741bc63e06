"""Who wrote what: back-pointers kept while searching, walked once at the end."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding.slots import pick
from s2sjax.types import EOS, PAD


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

"""Several hypotheses for each input: a slot axis behind the batch axis."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.scoring import ScoreFn
from s2sjax.types import Carry


def spread(carry: Carry, count: int) -> Carry:
    """The same carry in every slot: [B, ...] -> [B, K, ...]."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf[:, None], count, axis=1), carry)


def slotwise(score: ScoreFn) -> ScoreFn:
    """`score` of all slots: tokens and carry [B, K, ...].

    What the step closes over, the encoded source, is not copied for each slot.
    """
    return jax.vmap(score, in_axes=1, out_axes=1)


def pick(leaf: Array, slots: Array) -> Array:
    """`leaf` [B, K, ...] at each row's slots [B, N] -> [B, N, ...]."""
    return jax.vmap(lambda row, chosen: row[chosen])(leaf, slots)


def pick_all(tree: Any, slots: Array) -> Any:
    """`pick` for every leaf: hypotheses move to other slots with all they carry."""
    return jax.tree.map(lambda leaf: pick(leaf, slots), tree)

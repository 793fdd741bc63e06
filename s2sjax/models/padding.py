"""Vocabularies that are padded to the size that another replica needs."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.types import StepFn, StepOutput


def cut(logits: Array, vocabulary: Array | None) -> Array:
    """-inf for the tokens beyond a run's own vocabulary; None: there are none.

    Shapes: logits [..., V], vocabulary [] int32.

    >>> cut(jnp.zeros(3), jnp.int32(2)).tolist()
    [0.0, 0.0, -inf]
    """
    if vocabulary is None:
        return logits
    own = jnp.arange(logits.shape[-1]) < vocabulary
    own = jnp.expand_dims(own, range(logits.ndim - 1))
    return jnp.where(own, logits, -jnp.inf)


def cut_step(step: StepFn, vocabulary: Array | None) -> StepFn:
    """The step function whose logits are cut."""
    if vocabulary is None:
        return step

    def narrowed(carry: Any, x: Array) -> tuple[Any, StepOutput]:
        carry, output = step(carry, x)
        return carry, output._replace(logits=cut(output.logits, vocabulary))

    return narrowed


def zero_rows(params: Any, axes: Any, vocabulary: Array | None) -> Any:
    """Parameters whose rows beyond a run's own vocabulary are 0.

    They have no gradient and stay 0, so that norms are those of the run alone.

    Args:
      params: a tree of arrays.
      axes: for each the axis of the vocabulary, -1 where it has none.
      vocabulary: its size; None: there is nothing beyond.
    """
    if vocabulary is None:
        return params

    def zeroed(leaf: Array, axis: int) -> Array:
        if axis < 0:
            return leaf
        own = jnp.arange(leaf.shape[axis]) < vocabulary
        others = [other for other in range(leaf.ndim) if other != axis]
        return jnp.where(jnp.expand_dims(own, others), leaf, 0)

    return jax.tree.map(zeroed, params, axes)

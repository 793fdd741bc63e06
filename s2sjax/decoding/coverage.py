"""The coverage penalty: complete hypotheses should have looked at the whole source."""

import jax.numpy as jnp
from jax import Array

from s2sjax.errors import UsageError

_TINY = 1e-6  # attention below this counts as this: the penalty stays finite


def looked_at(aux: dict[str, Array]) -> Array:
    """The attention of a step.

    Raises:
      UsageError: the step function gives none.
    """
    if "attention" not in aux:
        raise UsageError("coverage needs a model with attention; this one has none")
    return aux["attention"]


def penalty(coverage: Array, source_lengths: Array, beta: float) -> Array:
    """beta sum_s log min(sum_t a_ts, 1), at most 0 (Wu et al. 2016, equation 14).

    Over the symbols of the source; padding does not count. It is part of the score of
    complete hypotheses alone: what an unfinished one has not looked at, it still may.

    Shapes: coverage [B, K, S], source_lengths [B] -> [B, K].
    """
    places = jnp.arange(coverage.shape[-1])[None, None]
    real = places < source_lengths[:, None, None]
    missing = jnp.log(jnp.clip(coverage, _TINY, 1))
    return beta * jnp.sum(jnp.where(real, missing, 0), axis=-1)

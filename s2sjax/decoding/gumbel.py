"""Gumbel variables on the condition that their largest is known."""

import jax.numpy as jnp
from jax import Array


def conditioned(log_probs: Array, noise: Array, largest: Array) -> Array:
    """Gumbel variables with these log-probabilities whose maximum is `largest`.

    Of log_probs [..., V], unconditional noise [..., V] and `largest` [...]; -inf stays.

    >>> import jax.numpy as jnp
    >>> some = conditioned(jnp.log(jnp.array([0.5, 0.5])), jnp.array([0.0, 1.0]), 3.0)
    >>> [round(float(each), 3) for each in some]
    [-0.273, 3.0]
    """
    perturbed = log_probs + noise
    top = jnp.max(perturbed, axis=-1, keepdims=True)
    largest = jnp.expand_dims(jnp.asarray(largest), -1)
    possible = perturbed != -jnp.inf
    below = jnp.where(possible & (perturbed < top), perturbed - top, -1.0)
    # log(1 - exp(below)), each form where it is accurate.
    gap = jnp.where(
        below > -0.693, jnp.log(-jnp.expm1(below)), jnp.log1p(-jnp.exp(below))
    )
    shift = largest - jnp.where(possible, perturbed, 0.0) + gap
    moved = largest - jnp.maximum(shift, 0) - jnp.log1p(jnp.exp(-jnp.abs(shift)))
    moved = jnp.where(perturbed == top, largest, moved)
    return jnp.where(possible, moved, -jnp.inf)

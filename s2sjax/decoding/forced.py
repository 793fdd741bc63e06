"""The loss: negative log-likelihood over real tokens only."""

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import platforms
from s2sjax.types import EOS


def token_losses(logits: Array, target: Array, lengths: Array) -> Array:
    """-log p(target) per token, in nats; 0 beyond a row's length.

    Computed in float32, or in float64 where the logits are.

    Shapes: logits [B, T, V], target [B, T], lengths [B] -> [B, T] float.
    """
    real = real_tokens(target, lengths)
    at_least = jnp.promote_types(logits.dtype, jnp.float32)
    log_probs = jax.nn.log_softmax(logits.astype(at_least))
    # The logits of padding are -inf; a token that can be emitted stands in for it.
    safe = jnp.where(real, target, EOS)
    return jnp.where(real, -platforms.picked(log_probs, safe), 0.0)


def real_tokens(target: Array, lengths: Array) -> Array:
    """Where the target has tokens, EOS included: [B, T] bool."""
    return jnp.arange(target.shape[1])[None] < lengths[:, None]

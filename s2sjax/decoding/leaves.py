"""The outputs that a sampling search has finished, by their noise."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding.history import History, walk
from s2sjax.decoding.slots import pick_all
from s2sjax.types import Hypotheses


class Leaves(NamedTuple):
    """Finished hypotheses, the largest G first."""

    perturbed: Array  # [B, K] float32, -inf where there is none
    log_qs: Array  # [B, K] float32
    log_probs: Array  # [B, K] float32
    lengths: Array  # [B, K] int32
    slots: Array  # [B, K] int32, the live prefix that it is or ends
    ended: Array  # [B, K] bool, with an EOS

    def add(self, *others: "Leaves") -> "Leaves":
        """The K with the largest G of these and others."""
        every = Leaves(
            *(
                jnp.concatenate(parts, axis=1)
                for parts in zip(self, *others, strict=True)
            )
        )
        _, largest = lax.top_k(every.perturbed, self.perturbed.shape[1])
        found = pick_all(every, largest)
        # Where a NaN would be sorted is not defined: one spoils the row, and is seen.
        spoilt = jnp.any(jnp.isnan(every.perturbed), axis=1, keepdims=True)
        return found._replace(perturbed=jnp.where(spoilt, jnp.nan, found.perturbed))


def no_leaves(batch: int, slots: int) -> Leaves:
    """Room for `slots` leaves."""
    nothing = jnp.full((batch, slots), -jnp.inf)
    zeros = jnp.zeros((batch, slots), jnp.int32)
    return Leaves(nothing, nothing, nothing, zeros, zeros, zeros.astype(bool))


def sampled(leaves: Leaves, history: History) -> Hypotheses:
    """All leaves but the last, whose G is the threshold."""
    kappa = leaves.perturbed[:, -1:]
    leaves = Leaves(*(leaf[:, :-1] for leaf in leaves))
    valid = leaves.perturbed != -jnp.inf
    lengths = jnp.where(valid, leaves.lengths, 0)
    tokens, aux = walk(history, leaves.slots, lengths, leaves.ended & valid)

    def kept(values: Array, nothing: float) -> Array:
        return jnp.where(valid, values, nothing)

    aux["logprob"] = kept(leaves.log_probs, -jnp.inf)
    aux["logq"] = kept(leaves.log_qs, -jnp.inf)
    aux["inclusion"] = kept(-jnp.expm1(-jnp.exp(leaves.log_qs - kappa)), 0)
    aux["kappa"] = jnp.broadcast_to(kappa, valid.shape)
    return Hypotheses(
        tokens, leaves.perturbed, lengths, valid, valid & ~leaves.ended, aux
    )

"""Ensembles: several decoders that write one output together."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.base import log_probs
from s2sjax.types import Carry, StepFn, StepOutput

Combine = Callable[[Array], Array]
"""From log-probabilities of M members [M, B, V] to logits [B, V]."""


def mean_probability(members: Array) -> Array:
    """log 1/M sum_m p_m: the members as a mixture."""
    return jax.nn.logsumexp(members, axis=0) - jnp.log(len(members))


def mean_log_probability(members: Array) -> Array:
    """1/M sum_m log p_m, up to a constant: all members must agree.

    A token that one member rules out is ruled out.
    """
    return jnp.mean(members, axis=0)


COMBINATIONS: dict[str, Combine] = {
    "probability": mean_probability,
    "logprob": mean_log_probability,
}


def ensemble(steps: Sequence[StepFn], combine: Combine = mean_probability) -> StepFn:
    """One step function of several over the same vocabulary, for every strategy.

    Logits are what `combine` makes of the members' log-probabilities; a strategy
    normalises them, so that scores are log-probabilities of the ensemble. `aux`
    (attention) is the mean over the members that have it.

    Returns:
      The step; its carry is the tuple of the members' carries.
    """

    def step(carries: Sequence[Carry], x: Array) -> tuple[Carry, StepOutput]:
        pairs = [member(carry, x) for member, carry in zip(steps, carries, strict=True)]
        new, outputs = zip(*pairs, strict=True)
        if len(outputs) == 1:
            return new, outputs[0]
        logits = combine(jnp.stack([log_probs(each.logits) for each in outputs]))
        return new, StepOutput(logits, mean_aux([each.aux for each in outputs]))

    return step


def mean_aux(records: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """Each name's mean over the records that have it."""
    by_name: dict[str, list[Array]] = {}
    for name, leaf in (item for record in records for item in record.items()):
        by_name.setdefault(name, []).append(leaf)
    return {name: jnp.mean(jnp.stack(by_name[name]), axis=0) for name in by_name}

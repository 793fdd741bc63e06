"""From hypotheses in any order to an n-best list: unique, sorted, without filler."""

import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.slots import pick, pick_all
from s2sjax.types import PAD, Hypotheses


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

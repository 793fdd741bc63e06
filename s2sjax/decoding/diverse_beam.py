"""Diverse beam search: groups of beams that avoid one another's tokens."""

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.base import Limit, ScoreFn, Scores, accept, slotwise, spread
from s2sjax.decoding.beam import BeamRule, Candidates, best, search
from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.scores import Normaliser
from s2sjax.spec import between
from s2sjax.types import EOS, Carry, Hypotheses, StepFn


def diverse_beam(
    step: StepFn,
    carry: Carry,
    limit: Limit,
    *,
    size: int = 6,
    groups: int = 3,
    diversity: float = 0.5,
    n: int = 1,
    alpha: float | None = None,
    normaliser: str | None = None,
    early: bool = True,
) -> Hypotheses:
    """The best that G beams of K / G prefixes find.

    At every step the groups choose in turn. Group g ranks its continuations by

        log p(prefix, token) - diversity sum_{h < g} #_h(token)

    #_h counts the hypotheses of group h that wrote the token at this step, those that
    it completed included (Hamming diversity; Vijayakumar et al. 2016, section 4). The
    term is for choosing at this step: it does not add up over steps, and scores are
    free of it. In all else a group is a `beam`, and one group is `beam`.

    The complete hypotheses of all groups are one list. Two groups may complete the
    same hypothesis; it is in the list once. A row is done when nothing that any of its
    groups can still reach would enter the list, so that `early` changes no result; all
    its groups go on until then.

    Cost: one step of K slots, as `beam`; ranking is the same work in G parts, one after
    the other. Memory: as `beam` of K, and one count for each token. It asks for
    several different good outputs; the best one is as a rule found better by `beam`.

    Args:
      step, carry: the decoder, any `StepFn`, and its first carry.
      limit: most tokens of an output, an int or [B]; or a `Request`.
      size: live prefixes of all groups, K.
      groups: how many groups, G; divides K.
      diversity: what a token costs for each time that an earlier group wrote it.
      n, alpha, normaliser, early: as for `beam`.

    Returns:
      An n-best list [B, N, T] of complete hypotheses, unique and best first; a row that
      has none gives the most probable live prefix of all groups, flagged `truncated`.

    Raises:
      UsageError: as `beam`; or the groups cannot share the slots equally.
    """
    step, request = accept(step, carry, limit)
    between("diversity", diversity, 0, 1e6)
    scores_by = Normaliser.named(normaliser, alpha)
    rule = BeamRule(size, n, scores_by, early=early, groups=groups)
    score, carry = constrained(step, carry, request)
    batch, share = request.limits.shape[0], size // groups

    def expand(live: Array, log_probs: Array, carry: Carry) -> Candidates:
        written = jnp.zeros((batch, 1, log_probs.shape[-1]), log_probs.dtype)
        by_group = []
        for first in range(0, size, share):
            here = slice(first, first + share)
            group = best(live[:, here], log_probs[:, here] - diversity * written)
            written += _written(group, log_probs.shape[-1])
            parents, enders = group.parents + first, group.enders + first
            by_group.append(group._replace(parents=parents, enders=enders))
        all_groups = jax.tree.map(
            lambda *parts: jnp.concatenate(parts, axis=1), *by_group
        )
        _, names = carry
        return _once(_without_penalty(all_groups, live, log_probs), names)

    names = jnp.zeros((batch, size), jnp.int32)
    carry = (spread(carry, size), names)
    return search(_named(slotwise(score)), carry, request, expand, rule)


def _named(score: ScoreFn) -> ScoreFn:
    """`score` that also names prefixes: equal ones in two slots have one name.

    A name is the number of the first slot with this prefix. It comes from the name
    that the parent had and the token that was added.
    """

    def named_score(
        carry: tuple[Carry, Array], token: Array
    ) -> tuple[tuple[Carry, Array], Scores]:
        inner, names = carry  # names of the parents
        same = (names[:, :, None] == names[:, None]) & (
            token[:, :, None] == token[:, None]
        )
        inner, scores = score(inner, token)
        return (inner, jnp.argmax(same, axis=-1).astype(jnp.int32)), scores

    return named_score


def _written(group: Candidates, vocabulary: int) -> Array:
    """How often a group wrote each token at this step, [B, 1, V]."""
    real = group.live != -jnp.inf
    tokens = jax.nn.one_hot(group.tokens, vocabulary) * real[..., None]
    ends = jnp.sum(group.ended != -jnp.inf, axis=1)
    return jnp.sum(tokens, axis=1).at[:, EOS].add(ends)[:, None]


def _without_penalty(made: Candidates, live: Array, log_probs: Array) -> Candidates:
    """Candidates with the log-probabilities that they have under the model."""
    rows = jnp.arange(live.shape[0])[:, None]
    going_on = live[rows, made.parents] + log_probs[rows, made.parents, made.tokens]
    ended = live[rows, made.enders] + log_probs[rows, made.enders, EOS]
    return made._replace(
        live=jnp.where(made.live != -jnp.inf, going_on, -jnp.inf),
        ended=jnp.where(made.ended != -jnp.inf, ended, -jnp.inf),
    )


def _once(made: Candidates, names: Array) -> Candidates:
    """Of the same hypothesis completed by several groups, the first."""
    prefixes = jnp.take_along_axis(names, made.enders, axis=1)
    real = made.ended != -jnp.inf
    same = (prefixes[:, :, None] == prefixes[:, None]) & real[:, None]
    is_first = jnp.argmax(same, axis=-1) == jnp.arange(names.shape[1])[None]
    return made._replace(ended=jnp.where(real & is_first, made.ended, -jnp.inf))

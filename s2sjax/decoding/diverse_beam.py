"""Diverse beam search: groups of beams, each kept from writing what others write."""

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.base import (
    Driver,
    Request,
    ScoreFn,
    Scores,
    scorer,
    slotwise,
    spread,
    until_done,
)
from s2sjax.decoding.beam import Candidates, expand, search
from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.scores import Normaliser
from s2sjax.types import EOS, Carry, Hypotheses, StepFn


def diverse_beam(
    step: StepFn,
    carry: Carry,
    request: Request,
    size: int = 6,
    groups: int = 3,
    diversity: float = 0.5,
    count: int = 1,
    normaliser: Normaliser = Normaliser(),  # noqa: B008 (frozen)
    early: bool = True,
    drive: Driver = until_done,
) -> Hypotheses:
    """The best that G beams of K / G prefixes find, which avoid one another's tokens.

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
      step: the decoder.
      carry: its first carry.
      request: what is asked of each output.
      size: live prefixes of all groups, K.
      groups: how many groups, G; divides K.
      diversity: what a token costs for each time that an earlier group wrote it.
      count: hypotheses returned, N <= K.
      normaliser: what scores are divided by.
      early: whether to stop as soon as the result is certain.
      drive: how the steps are driven.

    Returns:
      An n-best list [B, N, T] of complete hypotheses, unique and best first; a row that
      has none gives the most probable live prefix of all groups, flagged `truncated`.
    """
    score, carry = constrained(scorer(step), carry, request)
    batch, share = request.limits.shape[0], size // groups

    def expand_all(live: Array, log_probs: Array, carry: Carry) -> Candidates:
        written = jnp.zeros((batch, 1, log_probs.shape[-1]), log_probs.dtype)
        found = []
        for group in range(groups):
            here = slice(group * share, (group + 1) * share)
            of_group = expand(live[:, here], log_probs[:, here] - diversity * written)
            written += _written(of_group, log_probs.shape[-1])
            found.append(_without_penalty(of_group, live, log_probs, group * share))
        together = Candidates(
            *(jnp.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        )
        _, names = carry
        return _once(together, names)

    return search(
        _named(slotwise(score)),
        (spread(carry, size), jnp.zeros((batch, size), jnp.int32)),
        request,
        expand_all,
        size,
        count,
        normaliser,
        early=early,
        drive=drive,
        groups=groups,
    )


def _named(score: ScoreFn) -> ScoreFn:
    """`score` that also names prefixes: slots with the same one have the same name.

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


def _written(found: Candidates, vocabulary: int) -> Array:
    """How often a group wrote each token at this step, [B, 1, V]."""
    real = found.live != -jnp.inf
    tokens = jax.nn.one_hot(found.tokens, vocabulary) * real[..., None]
    ends = jnp.sum(found.ended != -jnp.inf, axis=1)
    return jnp.sum(tokens, axis=1).at[:, EOS].add(ends)[:, None]


def _without_penalty(
    found: Candidates, live: Array, log_probs: Array, first: int
) -> Candidates:
    """A group's candidates with their log-probabilities, by slots of all groups."""
    rows = jnp.arange(live.shape[0])[:, None]
    parents, enders = found.parents + first, found.enders + first
    going_on = live[rows, parents] + log_probs[rows, parents, found.tokens]
    ended = live[rows, enders] + log_probs[rows, enders, EOS]
    return Candidates(
        jnp.where(found.live != -jnp.inf, going_on, -jnp.inf),
        found.tokens,
        parents,
        jnp.where(found.ended != -jnp.inf, ended, -jnp.inf),
        enders,
    )


def _once(found: Candidates, names: Array) -> Candidates:
    """Of the same hypothesis completed by several groups, the first."""
    prefixes = jnp.take_along_axis(names, found.enders, axis=1)
    real = found.ended != -jnp.inf
    same = (prefixes[:, :, None] == prefixes[:, None]) & real[:, None]
    is_first = jnp.argmax(same, axis=-1) == jnp.arange(names.shape[1])[None]
    return found._replace(ended=jnp.where(real & is_first, found.ended, -jnp.inf))

"""Constrained beam search: a beam that makes its way to the required phrases."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding.base import Limit, accept, slotwise, spread
from s2sjax.decoding.beam import BeamRule, Candidates, best, search
from s2sjax.decoding.constraints import Written, constrained, phrase_lengths, progress
from s2sjax.decoding.scores import Normaliser
from s2sjax.types import EOS, Carry, Hypotheses, StepFn


def constrained_beam(
    step: StepFn,
    carry: Carry,
    limit: Limit,
    *,
    size: int = 10,
    n: int = 1,
    alpha: float | None = None,
    normaliser: str | None = None,
    early: bool = True,
) -> Hypotheses:
    """A beam whose K slots are shared out over how much of the phrases is written.

    Every strategy forbids EOS until all of `request.required` is written, but a beam
    of the K most probable prefixes may never write it. Here the candidates of a step
    are the 2 K best continuations and, of every live prefix,

        - the most probable token,
        - the tokens that begin or continue a phrase that it lacks,
        - EOS, where it may end.

    Candidates that have written as many tokens of phrases (whole phrases, and the
    longest beginning of one that stands at the end) form a bank. Slots are dealt from
    bank to bank, the fullest first: the best candidate of each, then the second of
    each, and so on, so that what a bank has no candidates for goes to the others
    (dynamic beam allocation: Post and Vilar 2018, section 4; Hu et al. 2019; they fix
    each bank's share beforehand and give what is left to neighbours). EOS counts as
    the last token of the phrases: what has ended is the fullest bank. A candidate that
    ends in EOS and is dealt one of K slots is complete; K others go on. A row without
    phrases has a single bank, with or without EOS, and gets what `beam` gives it.

    Cost: a step of K slots, as `beam`, and sorting 2 K + K (2 C + 2) candidates for C
    phrases. The beam should have room for each bank, K > the tokens of all phrases;
    with less the emptiest banks get nothing. A phrase that begins like another, or
    overlaps itself, is followed as any.

    Args:
      step, carry: the decoder, any `StepFn`, and its first carry.
      limit: a `Request`, whose `required` has the phrases; or as for `beam`.
      size, n, alpha, normaliser, early: as for `beam`.

    Returns:
      An n-best list [B, N, T] of complete hypotheses that contain every phrase, unique
      and best first; a row that has none gives its best live prefix, flagged
      `truncated`.

    Raises:
      UsageError: as `beam`.
    """
    step, request = accept(step, carry, limit)
    rule = BeamRule(size, n, Normaliser.named(normaliser, alpha), early=early)
    score, carry = constrained(step, carry, request)
    required = request.required

    def expand(live: Array, log_probs: Array, carry: Carry) -> Candidates:
        if required is None:
            return best(live, log_probs)
        _, written = carry
        return jax.vmap(_expand)(live, log_probs, written, required)

    return search(slotwise(score), spread(carry, size), request, expand, rule)


def _expand(
    live: Array, log_probs: Array, written: Written, required: Array
) -> Candidates:
    """The candidates of one row: live [K], log_probs [K, V], required [C, L]."""
    size, vocabulary = log_probs.shape
    totals = (live[:, None] + log_probs).reshape(-1)
    # Sorting a NaN is undefined; infinity comes first, so that the result shows it.
    totals = jnp.where(jnp.isnan(totals), jnp.inf, totals)
    _, best = lax.top_k(totals, min(2 * size, size * vocabulary))
    tokens = jnp.concatenate(
        [
            _advances(written, required),
            jnp.argmax(log_probs, axis=-1)[:, None],
            jnp.full((size, 1), EOS),
        ],
        axis=1,
    )
    places = (jnp.arange(size)[:, None] * vocabulary + tokens).reshape(-1)
    places = jnp.sort(jnp.concatenate([best, places]))  # -> [M]
    repeated = jnp.concatenate([jnp.zeros(1, bool), places[1:] == places[:-1]])
    scores = jnp.where(repeated, -jnp.inf, totals[places])
    slots, tokens = places // vocabulary, places % vocabulary
    banks = _bank(jax.tree.map(lambda leaf: leaf[slots], written), tokens, required)

    dealt = _deal(scores, banks, size)
    is_end = tokens == EOS
    going_on = _deal(jnp.where(is_end, -jnp.inf, scores), banks, size)
    scores = jnp.where(jnp.any(scores == jnp.inf), jnp.nan, scores)
    return Candidates(
        jnp.where(is_end, -jnp.inf, scores)[going_on],
        tokens[going_on],
        slots[going_on],
        jnp.where(is_end, scores, -jnp.inf)[dealt],
        slots[dealt],
    )


def _advances(written: Written, required: Array) -> Array:
    """Tokens that begin or continue a phrase that is not there, [K, 2 C].

    EOS where there is none.
    """
    assert written.met is not None and written.recent is not None
    everyones = jnp.broadcast_to(required, (len(written.met), *required.shape))
    begun = progress(written.recent, everyones)  # -> [K, C]
    # A whole phrase at the end is met, so that what is next in it does not count.
    begun = jnp.minimum(begun, required.shape[1] - 1)
    starts = everyones[..., 0]
    following = jnp.take_along_axis(everyones, begun[..., None], axis=-1)[..., 0]
    return jnp.concatenate(
        [jnp.where(written.met, EOS, tokens) for tokens in (starts, following)], axis=1
    )


def _bank(written: Written, tokens: Array, required: Array) -> Array:
    """How many tokens of phrases are written with one more token, [M] int32.

    Where there are phrases, EOS is one of them.
    """
    assert written.met is not None and written.recent is not None
    everyones = jnp.broadcast_to(required, (len(tokens), *required.shape))
    recent = jnp.concatenate([written.recent[:, 1:], tokens[:, None]], axis=1)
    begun, sizes = progress(recent, everyones), phrase_lengths(everyones)
    met = written.met | (begun == sizes)
    whole = jnp.sum(jnp.where(met, sizes, 0), axis=1)
    ended = (tokens == EOS) & jnp.any(sizes > 0, axis=1)
    return whole + jnp.max(jnp.where(met, 0, begun), axis=1) + ended


def _deal(scores: Array, banks: Array, size: int) -> Array:
    """Which candidates get a slot, [K]: round by round, the fullest bank first.

    Shapes: scores and banks [M], M >= K. What scores -inf comes last.
    """
    numbers = jnp.arange(len(scores))
    banks = jnp.where(scores == -jnp.inf, -1, banks)
    fullest, _, order = lax.sort((-banks, -scores, numbers), num_keys=3)
    begins = jnp.concatenate([jnp.ones(1, bool), fullest[1:] != fullest[:-1]])
    rounds = numbers - lax.cummax(jnp.where(begins, numbers, 0))
    rounds = jnp.where(fullest == 1, len(scores), rounds)
    _, _, dealt = lax.sort((rounds, fullest, order), num_keys=2)
    return dealt[:size]

"""Stochastic beam search: samples without replacement, with their probabilities."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax import spec
from s2sjax.decoding.base import (
    LARGEST_SIZE,
    Limit,
    accept,
    pick_all,
    slotwise,
    spread,
)
from s2sjax.decoding.base import log_probs as normalised
from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.filters import Filters, with_filters
from s2sjax.decoding.hypotheses import History, best_of, masked
from s2sjax.decoding.sampling import keys_of
from s2sjax.types import BOS, EOS, Carry, Hypotheses, StepFn


class Leaves(NamedTuple):
    """Finished hypotheses, the largest G first."""

    perturbed: Array  # [B, K] float32, -inf where there is none
    log_qs: Array  # [B, K] float32
    log_probs: Array  # [B, K] float32
    lengths: Array  # [B, K] int32
    slots: Array  # [B, K] int32, the live prefix that it is or ends
    has_eos: Array  # [B, K] bool


def sampled(leaves: Leaves, history: History) -> Hypotheses:
    """All leaves but the last, whose G is the threshold."""
    kappa = leaves.perturbed[:, -1:]
    leaves = Leaves(*(leaf[:, :-1] for leaf in leaves))
    valid = leaves.perturbed != -jnp.inf
    lengths, has_eos = masked(valid, leaves.lengths), valid & leaves.has_eos
    tokens, aux = history.spell(leaves.slots, lengths, has_eos)
    aux["logprob"] = masked(valid, leaves.log_probs, -jnp.inf)
    aux["logq"] = masked(valid, leaves.log_qs, -jnp.inf)
    aux["inclusion"] = masked(valid, -jnp.expm1(-jnp.exp(leaves.log_qs - kappa)))
    aux["kappa"] = jnp.broadcast_to(kappa, valid.shape)
    return Hypotheses(tokens, leaves.perturbed, lengths, valid, valid & ~has_eos, aux)


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


class Prefixes(NamedTuple):
    """Hypotheses with their noise; `perturbed` is -inf where there is none."""

    perturbed: Array  # [B, K] float32, G
    log_qs: Array  # [B, K] float32, under what is drawn from
    log_probs: Array  # [B, K] float32, under the model
    keys: Array  # [B, K], each prefix's own


class Search(NamedTuple):
    """A search after some steps."""

    time: Array  # [] int32
    carry: Carry  # [B, K, ...]
    last: Array  # [B, K] int32
    live: Prefixes
    leaves: Leaves
    history: History


@with_filters
def stochastic_beam(
    step: StepFn,
    carry: Carry,
    limit: Limit,
    key: Array | None = None,
    *,
    size: int = 5,
    seed: int | None = None,
    **filters: Any,
) -> Hypotheses:
    """K outputs sampled without replacement (Kool, van Hoof and Welling 2019).

    Each possible output has a perturbed log-probability G = log q + Gumbel noise; the
    K largest are a sample without replacement from q. They are found without listing
    all outputs: a prefix has the largest G of its continuations, so that noise is drawn
    top down. Given the G of a prefix, its one-token continuations have

        g_i = log q_i + Gumbel noise,  Z = max_i g_i
        G_i = -log(exp(-G) - exp(-Z) + exp(-g_i))

    which are Gumbel variables on the condition that their maximum is G (section 4.1;
    appendix B.3 for the form that does not overflow). q is p under the filters,
    normalised again at every step; what constraints forbid has no share in it.

    An output is a leaf when it ends with EOS, is at its row's limit or where no token
    may follow; the last two are returned flagged `truncated`, as by `sample`: all
    leaves together have probability 1.

    Noise is a function of the row's key and the prefix, not of the batch, the slot or
    the size: of two sizes, the smaller sample is the beginning of the larger.

    The inclusion probability of an output is that of being among the K, with all other
    noise as it is: 1 - exp(-exp(log q - kappa)), where kappa is the (K + 1)-th largest
    G (section 4.2). Then for any f, sum_k q_k / inclusion_k f(y_k) has the expectation
    E_q f(y). A row with at most K outputs has kappa = -inf and inclusion 1.

    Cost: a beam of K + 1 slots, and a Gumbel variable for each token of the vocabulary
    in each slot and step, which for small models is most of the work. Memory: as `beam`
    of K + 1, and K + 1 keys for each row. Affordable wherever a beam is.

    Args:
      step, carry: the decoder, any `StepFn`, and its first carry.
      limit: most tokens of an output, an int or [B]; or a `Request` with its keys.
      key: of all rows; row b draws with `fold_in(key, b)`.
      size: samples for each row, K.
      seed, filters: as for `sample`.

    Returns:
      Distinct samples [B, K, T], the largest G first. Scores are G; the rest is in
      `aux`, [B, K] each: `logprob` is log p, `logq` is log q, `inclusion` is the
      inclusion probability, and `kappa` repeats the row's threshold.

    Raises:
      UsageError: as `sample`.
    """
    step, request = accept(step, carry, limit, key)
    spec.between("size", size, 1, LARGEST_SIZE)
    apply_filters = Filters(**filters)
    roots = _roots(keys_of(request, seed), size + 1)
    score, carry = constrained(step, carry, request)
    score, carry = slotwise(score), spread(carry, size + 1)
    batch, width = request.limits.shape[0], request.width
    slots = (batch, size + 1)
    start = jnp.full(slots, BOS, jnp.int32)
    aux = jax.eval_shape(score, carry, start)[1].aux
    may_write = jnp.broadcast_to(request.limits[:, None] > 0, slots)
    first = Search(
        jnp.int32(0),
        carry,
        start,
        roots._replace(perturbed=masked(may_write, roots.perturbed, -jnp.inf)),
        _cut(roots, jnp.int32(0), ~may_write),
        History.empty(width, aux, slots),
    )

    def extend(search: Search) -> Search:
        carry, scores = score(search.carry, search.last)
        proposed = normalised(apply_filters(scores.log_probs))
        time, live = search.time + 1, search.live
        alive = live.perturbed != -jnp.inf
        perturbed = masked(alive, _perturb(live, proposed), -jnp.inf)
        dead_end = jnp.all(scores.log_probs == -jnp.inf, axis=-1)
        stuck = _cut(live, search.time, dead_end)
        ended = _ended(live, perturbed, proposed, scores.log_probs, time)

        going_on = perturbed.at[..., EOS].set(-jnp.inf).reshape(batch, -1)
        largest, places = lax.top_k(going_on, size + 1)
        vocabulary = proposed.shape[-1]
        parents, tokens = places // vocabulary, places % vocabulary
        rows = jnp.arange(batch)[:, None]
        of_parents = pick_all(live, parents)
        live = Prefixes(
            largest,
            of_parents.log_qs + proposed[rows, parents, tokens],
            of_parents.log_probs + scores.log_probs[rows, parents, tokens],
            jax.vmap(jax.vmap(jax.random.fold_in))(of_parents.keys, tokens),
        )
        at_limit = jnp.broadcast_to(time >= request.limits[:, None], largest.shape)
        at_its_limit = _cut(live, time, at_limit)
        leaves = best_of(size + 1, search.leaves, stuck, ended, at_its_limit)
        over = at_limit | (leaves.perturbed[:, -1:] >= largest[:, :1])
        return Search(
            time,
            pick_all(carry, parents),
            tokens,
            live._replace(perturbed=jnp.where(over, -jnp.inf, largest)),
            leaves,
            search.history.record(search.time, tokens, parents, scores.aux),
        )

    def unfinished(search: Search) -> Array:
        return jnp.any(search.live.perturbed != -jnp.inf) & (search.time < width)

    last = lax.while_loop(unfinished, extend, first)
    return sampled(last.leaves, last.history)


def _roots(keys: Array, slots: int) -> Prefixes:
    """One empty prefix for each row; its G is an unconditional Gumbel variable."""
    # No live prefix ends with EOS, so that no prefix has this key.
    noise = jax.vmap(lambda key: jax.random.gumbel(jax.random.fold_in(key, EOS)))(keys)
    is_first = (jnp.arange(slots) == 0)[None]
    zeros = jnp.zeros((len(keys), slots))
    perturbed = jnp.where(is_first, noise[:, None], -jnp.inf)
    return Prefixes(perturbed, zeros, zeros, spread(keys, slots))


def _perturb(live: Prefixes, proposed: Array) -> Array:
    """G of each continuation, [B, K, V]: of its prefix, by the prefix's key."""

    def of_one(key: Array, log_q: Array, largest: Array, proposed: Array) -> Array:
        own = jax.random.fold_in(key, len(proposed))  # no token has this id
        noise = jax.random.gumbel(own, proposed.shape)
        return conditioned(log_q + proposed, noise, largest)

    largest = jnp.where(live.perturbed == -jnp.inf, 0, live.perturbed)
    return jax.vmap(jax.vmap(of_one))(live.keys, live.log_qs, largest, proposed)


def _cut(live: Prefixes, time: Array, where: Array) -> Leaves:
    """Live prefixes that are leaves as they stand."""
    own = jnp.broadcast_to(jnp.arange(where.shape[1])[None], where.shape)
    return Leaves(
        jnp.where(where, live.perturbed, -jnp.inf),
        live.log_qs,
        live.log_probs,
        jnp.full(where.shape, time),
        own,
        jnp.zeros(where.shape, bool),
    )


def _ended(
    live: Prefixes, perturbed: Array, proposed: Array, log_probs: Array, time: Array
) -> Leaves:
    """Every live prefix with an EOS."""
    own = jnp.broadcast_to(jnp.arange(live.log_qs.shape[1])[None], live.log_qs.shape)
    return Leaves(
        perturbed[..., EOS],
        live.log_qs + proposed[..., EOS],
        live.log_probs + log_probs[..., EOS],
        jnp.full(own.shape, time),
        own,
        jnp.ones(own.shape, bool),
    )

"""Stochastic beam search: samples without replacement, with their probabilities."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding.base import (
    Driver,
    Request,
    pick_all,
    scorer,
    slotwise,
    spread,
    until_done,
)
from s2sjax.decoding.base import log_probs as normalised
from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.filters import Filters
from s2sjax.decoding.hypotheses import History, empty, record, walk
from s2sjax.types import BOS, EOS, Carry, Hypotheses, StepFn


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


def stochastic_beam(
    step: StepFn,
    carry: Carry,
    request: Request,
    size: int = 5,
    filters: Filters = Filters(),  # noqa: B008 (frozen)
    drive: Driver = until_done,
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
      step: the decoder.
      carry: its first carry.
      request: what is asked of each output.
      size: samples for each row, K.
      filters: what tokens are drawn from.
      drive: how the steps are driven.

    Returns:
      Distinct samples [B, K, T], the largest G first. Scores are G; the rest is in
      `aux`, [B, K] each: `logprob` is log p, `logq` is log q, `inclusion` is the
      inclusion probability, and `kappa` repeats the row's threshold.
    """
    score, carry = constrained(scorer(step), carry, request)
    slots = size + 1
    score, carry = slotwise(score), spread(carry, slots)
    batch, width = request.limits.shape[0], request.width
    start = jnp.full((batch, slots), BOS, jnp.int32)
    aux = jax.eval_shape(score, carry, start)[1].aux
    roots = _roots(request, slots)
    may_write = jnp.broadcast_to(request.limits[:, None] > 0, start.shape)
    first = Search(
        jnp.int32(0),
        carry,
        start,
        roots._replace(perturbed=jnp.where(may_write, roots.perturbed, -jnp.inf)),
        no_leaves(batch, slots).add(_cut(roots, jnp.int32(0), ~may_write)),
        empty(width, batch, slots, aux),
    )

    def extend(search: Search) -> Search:
        carry, scores = score(search.carry, search.last)
        proposed = normalised(filters(scores.log_probs))
        time, live = search.time + 1, search.live
        perturbed = jnp.where(
            live.perturbed[..., None] == -jnp.inf,
            -jnp.inf,
            _perturb(live, proposed),
        )
        dead_end = jnp.all(scores.log_probs == -jnp.inf, axis=-1)
        stuck = _cut(live, search.time, dead_end)
        ended = _ended(live, perturbed, proposed, scores.log_probs, time)

        going_on = perturbed.at[..., EOS].set(-jnp.inf).reshape(batch, -1)
        largest, places = lax.top_k(going_on, slots)
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
        leaves = search.leaves.add(stuck, ended, _cut(live, time, at_limit))
        over = at_limit | (leaves.perturbed[:, -1:] >= largest[:, :1])
        return Search(
            time,
            pick_all(carry, parents),
            tokens,
            live._replace(perturbed=jnp.where(over, -jnp.inf, largest)),
            leaves,
            record(search.history, search.time, tokens, parents, scores.aux),
        )

    def unfinished(search: Search) -> Array:
        return jnp.any(search.live.perturbed != -jnp.inf) & (search.time < width)

    last = drive(extend, unfinished, first, width)
    return sampled(last.leaves, last.history)


def _roots(request: Request, slots: int) -> Prefixes:
    """One empty prefix for each row; its G is an unconditional Gumbel variable."""
    batch = request.limits.shape[0]
    # No live prefix ends with EOS, so that no prefix has this key.
    noise = jax.vmap(lambda key: jax.random.gumbel(jax.random.fold_in(key, EOS)))(
        request.keys
    )
    is_first = (jnp.arange(slots) == 0)[None]
    zeros = jnp.zeros((batch, slots))
    return Prefixes(
        jnp.where(is_first, noise[:, None], -jnp.inf),
        zeros,
        zeros,
        spread(request.keys, slots),
    )


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

"""Exact search: the best hypotheses there are, or how far off they may be."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding.base import (
    Driver,
    Request,
    pick,
    pick_all,
    scorer,
    slotwise,
    spread,
    until_done,
)
from s2sjax.decoding.beam import beam
from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.hypotheses import Complete, n_best, none_complete
from s2sjax.decoding.sampling import follow
from s2sjax.decoding.scores import Normaliser
from s2sjax.types import BOS, EOS, PAD, Carry, Hypotheses, StepFn


class Nodes(NamedTuple):
    """Prefixes that have not been continued. Bound -inf: there is no such node."""

    bounds: Array  # [B, M] float32, the most that a hypothesis with the prefix scores
    log_probs: Array  # [B, M] float32
    parents: Array  # [B, M] int32, the place of the expanded node that it continues
    tokens: Array  # [B, M] int32, the token that goes in next
    lengths: Array  # [B, M] int32, tokens of the prefix


class Frontier(NamedTuple):
    """Room for C nodes. Those that find none leave their best bound behind."""

    nodes: Nodes  # [B, C], best bound first
    dropped: Array  # [B] float32, the best bound of a node that found no room

    def pop(self, count: int) -> tuple[Nodes, "Frontier"]:
        """The `count` best nodes, and the frontier without them."""
        best = Nodes(*(leaf[:, :count] for leaf in self.nodes))
        bounds = self.nodes.bounds.at[:, :count].set(-jnp.inf)
        return best, self._replace(nodes=self.nodes._replace(bounds=bounds))

    def push(self, nodes: Nodes) -> "Frontier":
        """The best C of these nodes and others."""
        room = self.nodes.bounds.shape[1]
        both = Nodes(
            *(
                jnp.concatenate(parts, axis=1)
                for parts in zip(self.nodes, nodes, strict=True)
            )
        )
        bounds, order = lax.top_k(both.bounds, room + 1)
        dropped = jnp.maximum(self.dropped, bounds[:, room])
        return Frontier(pick_all(both, order[:, :room]), dropped)

    def prune(self, scores: Array) -> "Frontier":
        """Without the nodes that lead to nothing better than `scores` [B]."""
        bounds = self.nodes.bounds
        bounds = jnp.where(bounds > scores[:, None], bounds, -jnp.inf)
        dropped = jnp.where(self.dropped > scores, self.dropped, -jnp.inf)
        return Frontier(self.nodes._replace(bounds=bounds), dropped)

    def has_nodes(self) -> Array:
        """Whether any row has a node left, []."""
        return jnp.any(self.nodes.bounds != -jnp.inf)

    def bound(self) -> Array:
        """The most that any hypothesis can score that was not looked at, [B]."""
        return jnp.maximum(jnp.max(self.nodes.bounds, axis=1), self.dropped)


def frontier(capacity: int, start: Nodes) -> Frontier:
    """A frontier of `capacity` places that holds the one node `start` [B, 1]."""
    shape = (start.bounds.shape[0], capacity)
    nothing = jnp.zeros(shape, jnp.int32)
    bounds, log_probs = jnp.full(shape, -jnp.inf), jnp.zeros(shape)
    empty = Nodes(bounds, log_probs, nothing, nothing, nothing)
    return Frontier(empty, jnp.full(shape[0], -jnp.inf)).push(start)


class Tree(NamedTuple):
    """The expanded nodes, in the order of their expansion. No history is copied."""

    carry: Carry  # [B, X, ...], after the node's token
    tokens: Array  # [B, X] int32, the last token of the node's prefix
    parents: Array  # [B, X] int32

    def add(self, carry: Carry, nodes: Nodes, place: Array) -> "Tree":
        """With nodes [B, E] in the places from `place` on."""

        def write(leaf: Array, new: Array) -> Array:
            return lax.dynamic_update_slice_in_dim(leaf, new, place, axis=1)

        return jax.tree.map(write, self, Tree(carry, nodes.tokens, nodes.parents))

    def spell(self, complete: Complete, width: int) -> Array:
        """The tokens of complete hypotheses, [B, N, T]; their slots are places."""

        def back(places: Array, time: Array) -> tuple[Array, Array]:
            is_end = time == complete.lengths - 1
            inside = time < complete.lengths - 1
            tokens = jnp.where(inside, pick(self.tokens, places), PAD)
            before = jnp.where(inside, pick(self.parents, places), places)
            return before, jnp.where(is_end, EOS, tokens)

        times = jnp.arange(width)
        _, tokens = lax.scan(back, complete.slots, times, reverse=True)
        return jnp.moveaxis(tokens, 0, 2)


class Search(NamedTuple):
    """A search after some expansions."""

    taken: Array  # [] int32, places taken in the tree
    tree: Tree
    frontier: Frontier
    complete: Complete  # slots are places in the tree


def best_first(
    step: StepFn,
    carry: Carry,
    request: Request,
    to_beat: Array,
    count: int,
    normaliser: Normaliser,
    budget: int,
    capacity: int,
    size: int,
    drive: Driver = until_done,
) -> Search:
    """Searches until no node is left, or the budget ends.

    Args as those of `exact.exact`, and `to_beat` [B]: scores at most this do not count.
    """
    score, carry = constrained(scorer(step), carry, request)
    score = slotwise(score)
    limits = request.limits[:, None]
    rounds = -(-budget // size)
    room = 1 + rounds * size  # the first place holds the carry before BOS
    none = jnp.zeros(limits.shape, jnp.int32)
    untaken = jnp.zeros((limits.shape[0], room), jnp.int32)
    bound = jnp.where(limits > 0, 0.0, -jnp.inf)
    start = Nodes(bound, jnp.zeros_like(bound), none, jnp.full_like(none, BOS), none)
    first = Search(
        jnp.int32(1),
        Tree(spread(carry, room), untaken, untaken),
        frontier(capacity, start).prune(to_beat),
        none_complete(limits.shape[0], count),
    )

    def extend(search: Search) -> Search:
        nodes, others = search.frontier.pop(size)
        carry = pick_all(search.tree.carry, nodes.parents)
        carry, scores = score(carry, nodes.tokens)
        totals = nodes.log_probs[..., None] + scores.log_probs
        is_node = (nodes.bounds != -jnp.inf)[..., None]
        totals = jnp.where(is_node, totals, -jnp.inf)  # -> [B, E, V]
        lengths = nodes.lengths + 1
        places = jnp.broadcast_to(search.taken + jnp.arange(size)[None], lengths.shape)
        ended = totals[..., EOS]
        ended_scores = normaliser.score(ended, lengths, request.width)
        complete = search.complete.add(Complete(ended_scores, ended, lengths, places))
        children = _children(totals, lengths, places, request, normaliser)
        return Search(
            search.taken + size,
            search.tree.add(carry, nodes, search.taken),
            others.push(children).prune(jnp.maximum(complete.scores[:, -1], to_beat)),
            complete,
        )

    def unfinished(search: Search) -> Array:
        return search.frontier.has_nodes() & (search.taken < room)

    return drive(extend, unfinished, first, rounds)


def _children(
    totals: Array,
    lengths: Array,
    places: Array,
    request: Request,
    normaliser: Normaliser,
) -> Nodes:
    """Prefixes of these lengths that do not end: totals [B, E, V] -> [B, E V]."""
    limits = request.limits[:, None]
    least = lengths + 1
    if request.minimums is not None:
        least = jnp.maximum(least, request.minimums[:, None])
    least = jnp.minimum(least, limits)[..., None]
    bounds = normaliser.bound(totals, least, limits[..., None], request.width)
    tokens = jnp.broadcast_to(jnp.arange(totals.shape[-1]), totals.shape)
    goes_on = (tokens != EOS) & (lengths < limits)[..., None]
    children = Nodes(
        jnp.where(goes_on, bounds, -jnp.inf),
        totals,
        jnp.broadcast_to(places[..., None], totals.shape),
        tokens,
        jnp.broadcast_to(lengths[..., None], totals.shape),
    )
    return Nodes(*(leaf.reshape(len(leaf), -1) for leaf in children))


def exact(
    step: StepFn,
    carry: Carry,
    request: Request,
    count: int = 1,
    normaliser: Normaliser = Normaliser(),  # noqa: B008 (frozen)
    budget: int = 1000,
    capacity: int = 1000,
    size: int = 8,
    drive: Driver = until_done,
) -> Hypotheses:
    """The `count` best hypotheses by best-first search (Stahlberg and Byrne 2019).

    A node is a prefix y of n tokens, and its bound is the most that a hypothesis that
    begins with it can score: log p(y) over the largest divisor of the lengths that it
    can still end with, n + 1 to the limit, for alpha of either sign
    (`Normaliser.bound`). The nodes of the best bounds are expanded first, `size` of
    them at once. A beam goes before and gives hypotheses to beat; a node that cannot
    beat the `count`-th best known is forgotten. Where no node is left, what is known
    is the truth, to the rounding of float32.

    The budget can end first, and the frontier can overflow. Then the best hypotheses
    known are returned, never worse than the beam's, with a bound on what they lack.

    Cost: a step of `size` hypotheses for every `size` expansions, of which it takes as
    many as there are prefixes whose bound is above the score of the last hypothesis
    returned; sorting the frontier is the rest of the time, and grows with `capacity`.
    Memory for each input: `budget` carries and 8 bytes each, and 20 bytes for each
    node of `capacity`. A capacity of `budget` is never a limit to the search.

    It is affordable where the model is sure and alpha is not positive. Inputs proved,
    of 16, by a random recurrent model of 27 symbols, limit 20, one hypothesis, by the
    mean probability of greedy decoding's tokens:

                 alpha 0                 alpha 1
        budget   250    1000   4000      250    1000   4000
        0.51       8      14     16        0       0      0
        0.88      11      15     16        6       8     13
        0.97      12      16     16        7      13     16

    Args:
      step: the decoder.
      carry: its first carry.
      request: what is asked of each output.
      count: hypotheses returned, N.
      normaliser: what scores are divided by.
      budget: expansions for each row, rounded up to a multiple of `size`.
      capacity: nodes that the frontier holds for each row, at least `size`.
      size: nodes expanded at once, and the size of the beam, unless N is larger.
      drive: how the steps are driven.

    Returns:
      An n-best list [B, N, T], unique and best first; a row without a complete
      hypothesis gives the beam's best live prefix, flagged `truncated`. In `aux`:
      `logprob`; `bound` [B, N], the most that the true k-th best complete hypothesis
      can score; `proved` [B, N] bool, whether the k-th is that one, or, where there is
      no complete one, whether there can be none.

    Raises:
      ValueError: the frontier cannot hold what is expanded at once.
    """
    if capacity < size:
        raise ValueError(f"capacity={capacity} is less than size={size}")
    known = beam(step, carry, request, max(size, count), count, normaliser, drive=drive)
    complete = known.valid & ~known.truncated
    to_beat = jnp.where(complete, known.scores, -jnp.inf)[:, -1]
    search = best_first(
        *(step, carry, request, to_beat, count, normaliser),
        *(budget, capacity, size, drive),
    )
    found = Hypotheses(
        search.tree.spell(search.complete, request.width),
        search.complete.scores,
        search.complete.lengths,
        search.complete.exist(),
        jnp.zeros_like(complete),
        {"logprob": search.complete.log_probs},
    )
    known = known._replace(aux={"logprob": known.aux["logprob"]})
    both = jax.tree.map(lambda *two: jnp.concatenate(two, axis=1), found, known)
    best = n_best(both, both.scores, count)
    scores = jnp.where(best.truncated, -jnp.inf, best.scores)
    bound = jnp.maximum(scores, search.frontier.bound()[:, None])
    certificate = {"bound": bound, "proved": bound <= scores}
    aux = _seen(step, carry, request, best.tokens, drive)
    return best._replace(aux=aux | best.aux | certificate)


def _seen(
    step: StepFn, carry: Carry, request: Request, tokens: Array, drive: Driver
) -> dict[str, Array]:
    """What the step says along known outputs [B, N, T]: each [B, N, T, ...].

    One more pass over what is returned costs less than keeping it of every node.
    """

    def given(log_probs: Array, time: Array) -> tuple[Array, Array]:
        return tokens[:, :, time], jnp.zeros(tokens.shape[:2])

    return follow(step, carry, request, tokens.shape[1], given, drive).aux

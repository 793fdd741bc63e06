"""Best-first search: the most promising prefixes are continued first."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding.complete import Complete, none_complete
from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.driver import Driver, until_done
from s2sjax.decoding.frontier import Frontier, Nodes, frontier
from s2sjax.decoding.normaliser import Normaliser
from s2sjax.decoding.request import Request
from s2sjax.decoding.scoring import scorer
from s2sjax.decoding.slots import pick, pick_all, slotwise, spread
from s2sjax.types import BOS, EOS, PAD, Carry, StepFn


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

"""Exact search: the best hypotheses there are, or a bound on those that were missed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax import spec
from s2sjax.decoding.base import (
    LARGEST_SIZE,
    Limit,
    Request,
    accept,
    pick,
    pick_all,
    slotwise,
    spread,
)
from s2sjax.decoding.beam import beam
from s2sjax.decoding.constraints import constrained
from s2sjax.decoding.hypotheses import Ended, best_of, n_best
from s2sjax.decoding.sampling import follow
from s2sjax.decoding.scores import Normaliser, reachable
from s2sjax.errors import UsageError
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
        best = best_of(room + 1, self.nodes, nodes)
        dropped = jnp.maximum(self.dropped, best.bounds[:, room])
        return Frontier(Nodes(*(leaf[:, :room] for leaf in best)), dropped)

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

    def spell(self, complete: Ended, width: int) -> Array:
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
    complete: Ended  # best first; slots are places in the tree


class Room(NamedTuple):
    """How much a search may take."""

    budget: int  # expansions for each row
    capacity: int  # nodes that the frontier holds for each row
    size: int  # nodes expanded at once


def best_first(
    step: StepFn,
    carry: Carry,
    request: Request,
    to_beat: Array,
    n: int,
    normaliser: Normaliser,
    room: Room,
) -> Search:
    """Searches until no node is left, or the budget ends.

    Scores that are at most those to beat, [B], do not count.
    """
    score, carry = constrained(step, carry, request)
    score, size = slotwise(score), room.size
    limits = request.limits[:, None]
    places = 1 + -(-room.budget // size) * size  # the first has the carry before BOS
    none = jnp.zeros(limits.shape, jnp.int32)
    untaken = jnp.zeros((limits.shape[0], places), jnp.int32)
    bound = jnp.where(limits > 0, 0.0, -jnp.inf)
    start = Nodes(bound, jnp.zeros_like(bound), none, jnp.full_like(none, BOS), none)
    first = Search(
        jnp.int32(1),
        Tree(spread(carry, places), untaken, untaken),
        frontier(room.capacity, start).prune(to_beat),
        Ended.none(limits.shape[0], n),
    )

    def extend(search: Search) -> Search:
        nodes, others = search.frontier.pop(size)
        carry = pick_all(search.tree.carry, nodes.parents)
        carry, scores = score(carry, nodes.tokens)
        totals = nodes.log_probs[..., None] + scores.log_probs
        is_node = (nodes.bounds != -jnp.inf)[..., None]
        totals = jnp.where(is_node, totals, -jnp.inf)  # -> [B, E, V]
        lengths = nodes.lengths + 1
        taken = jnp.broadcast_to(search.taken + jnp.arange(size)[None], lengths.shape)
        ended = totals[..., EOS]
        ended_scores = normaliser.score(ended, lengths, request.width)
        new = Ended(ended_scores, ended, lengths, taken)
        complete = best_of(n, search.complete, new)
        children = _children(totals, lengths, taken, request, normaliser)
        return Search(
            search.taken + size,
            search.tree.add(carry, nodes, search.taken),
            others.push(children).prune(jnp.maximum(complete.scores[:, -1], to_beat)),
            complete,
        )

    def unfinished(search: Search) -> Array:
        return search.frontier.has_nodes() & (search.taken < places)

    return lax.while_loop(unfinished, extend, first)


def _children(
    totals: Array,
    lengths: Array,
    places: Array,
    request: Request,
    normaliser: Normaliser,
) -> Nodes:
    """Prefixes of these lengths that do not end: totals [B, E, V] -> [B, E V]."""
    bounds = reachable(normaliser, request, totals, lengths[..., None])
    tokens = jnp.broadcast_to(jnp.arange(totals.shape[-1]), totals.shape)
    goes_on = (tokens != EOS) & (lengths < request.limits[:, None])[..., None]
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
    limit: Limit,
    *,
    n: int = 1,
    alpha: float | None = None,
    normaliser: str | None = None,
    budget: int = 1000,
    capacity: int = 1000,
    size: int = 8,
) -> Hypotheses:
    """The `n` best hypotheses by best-first search (Stahlberg and Byrne 2019).

    A node is a prefix y of t tokens, and its bound is the most that a hypothesis that
    begins with it can score: log p(y) over the largest divisor of the lengths that it
    can still end with, t + 1 to the limit, for alpha of either sign
    (`Normaliser.bound`). The nodes of the best bounds are expanded first, `size` of
    them at once. A beam goes before and gives hypotheses to beat; a node that cannot
    beat the `n`-th best known is forgotten. Where no node is left, what is known
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
      step, carry: the decoder, any `StepFn`, and its first carry.
      limit: most tokens of an output, an int or [B]; or a `Request`.
      n, alpha, normaliser: as for `beam`.
      budget: expansions for each row, rounded up to a multiple of `size`.
      capacity: nodes that the frontier holds for each row, at least `size`.
      size: nodes expanded at once, and the size of the beam, unless n is larger.

    Returns:
      An n-best list [B, N, T], unique and best first; a row without a complete
      hypothesis gives the beam's best live prefix, flagged `truncated`. In `aux`:
      `logprob`; `bound` [B, N], the most that the true k-th best complete hypothesis
      can score; `proved` [B, N] bool, whether the k-th is that one, or, where there is
      no complete one, whether there can be none.

    Raises:
      UsageError: as `beam`; or the frontier cannot hold what is expanded at once.
    """
    step, request = accept(step, carry, limit)
    room = Room(budget, capacity, size)
    for name, value in room._asdict().items():
        spec.between(name, value, 1, LARGEST_SIZE)
    if capacity < size:
        raise UsageError(f"capacity={capacity} is less than is expanded: size={size}")
    width = max(size, n)
    known = beam(
        *(step, carry, request), size=width, n=n, alpha=alpha, normaliser=normaliser
    )
    complete = known.valid & ~known.truncated
    to_beat = jnp.where(complete, known.scores, -jnp.inf)[:, -1]
    by = Normaliser.named(normaliser, alpha)
    search = best_first(step, carry, request, to_beat, n, by, room)
    expanded = Hypotheses(
        search.tree.spell(search.complete, request.width),
        search.complete.scores,
        search.complete.lengths,
        search.complete.exist(),
        jnp.zeros_like(complete),
        {"logprob": search.complete.log_probs},
    )
    known = known._replace(aux={"logprob": known.aux["logprob"]})
    both = jax.tree.map(lambda *two: jnp.concatenate(two, axis=1), expanded, known)
    best = n_best(both, both.scores, n)
    scores = jnp.where(best.truncated, -jnp.inf, best.scores)
    bound = jnp.maximum(scores, search.frontier.bound()[:, None])
    certificate = {"bound": bound, "proved": bound <= scores}
    aux = _step_outputs(step, carry, request, best.tokens)
    return best._replace(aux=aux | best.aux | certificate)


def _step_outputs(
    step: StepFn, carry: Carry, request: Request, tokens: Array
) -> dict[str, Array]:
    """The step's aux along known outputs [B, N, T]: each [B, N, T, ...].

    One more pass over what is returned costs less than keeping it of every node.
    """

    def given(log_probs: Array, time: Array) -> tuple[Array, Array]:
        return tokens[:, :, time], jnp.zeros(tokens.shape[:2])

    return follow(step, carry, request, tokens.shape[1], given).aux

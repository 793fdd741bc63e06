"""The frontier of a best-first search: what it may look at next, best bound first."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from s2sjax.decoding.slots import pick_all


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

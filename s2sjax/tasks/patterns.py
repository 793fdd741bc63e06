"""The synthetic integer tasks: each as a function of jax arrays and as plain Python.

The two are written independently, so that tests can hold one against the other. All
work on symbols counted from 0, and on one sequence at a time (`vmap` makes batches).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

Transform = Callable[[Array, Array, Array], tuple[Array, Array]]
"""`(source [S], length, prefix) -> (target [S], target_length)`, all int32.

What stands beyond a length means nothing, on either side.
"""


@dataclass(frozen=True)
class Pattern:
    """What the target is, given the source."""

    transform: Transform
    expected: Callable[[Sequence[int], int], list[int]]  # (source, prefix) -> target
    least_length: int = 0  # of a source


def _copy(source: Array, length: Array, prefix: Array) -> tuple[Array, Array]:
    return source, length


def _reversed(source: Array, length: Array, prefix: Array) -> tuple[Array, Array]:
    # A turn of the whole row and a shift cost less than a gather on the CPU.
    return jnp.roll(source[::-1], length - source.shape[0]), length


def _reversed_prefix(
    source: Array, length: Array, prefix: Array
) -> tuple[Array, Array]:
    return _reversed(source, prefix, prefix)


def _sorted(source: Array, length: Array, prefix: Array) -> tuple[Array, Array]:
    beyond = jnp.arange(source.shape[0]) >= length
    return jnp.sort(jnp.where(beyond, jnp.iinfo(source.dtype).max, source)), length


def _maxmin_dup(source: Array, length: Array, prefix: Array) -> tuple[Array, Array]:
    positions = jnp.arange(source.shape[0])
    within = positions < length
    largest = jnp.max(jnp.where(within, source, -1))
    smallest = jnp.min(jnp.where(within, source, jnp.iinfo(source.dtype).max))
    target = jnp.where(positions == 0, largest, source)
    return jnp.where(positions == 1, smallest, target), length


PATTERNS: dict[str, Pattern] = {
    "copy": Pattern(_copy, lambda source, prefix: list(source)),
    "reversed": Pattern(_reversed, lambda source, prefix: list(reversed(source))),
    "reversed_prefix": Pattern(
        _reversed_prefix,
        lambda source, prefix: [source[i] for i in range(prefix - 1, -1, -1)],
    ),
    "sorted": Pattern(_sorted, lambda source, prefix: sorted(source)),
    "maxmin_dup": Pattern(
        _maxmin_dup,
        lambda source, prefix: [max(source), min(source), *source[2:]],
        least_length=2,
    ),
}

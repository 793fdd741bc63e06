"""What the outputs that are numbers share: their contract, and how raw values are read.

A kind says of each number y of a step what it may be. It is a frozen record of pure
functions, of raw values [..., P] that the last layer gave, P / G of them for each of G
numbers side by side. All of them speak of scaled numbers y, where the number itself is
shift + scale * y; what a kind needs of the scale, [..., G], it is handed.
"""

from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array, lax

LEAST = 1e-3  # of what has to be positive, as a standard deviation
_HALVINGS = 48


class Output(Protocol):
    """A kind of numbers that a step writes; everything under `jit` and `vmap`.

    Attributes:
      objectives: what it is trained by, the usual one first; where `nll` is not among
        them it is no distribution, and `log_prob` and `sample` refuse.
      has_quantiles: whether it says how sure it is; where not, `quantile` refuses.
      counts: whether its numbers are 0, 1, 2, .., which a shift would take away.
    """

    @property
    def objectives(self) -> tuple[str, ...]: ...
    @property
    def has_quantiles(self) -> bool: ...
    @property
    def counts(self) -> bool: ...

    def size(self, numbers: int) -> int:
        """P, how many raw values there are for G numbers."""
        ...

    def log_prob(self, raw: Array, y: Array, scale: Array) -> Array:
        """The log-density of shift + scale * y in its own units, in nats, [..., G].

        It is that of y less log(scale) (the Jacobian), so that those of different
        scalings compare; of counts it is a probability, without it. y is finite.
        """
        ...

    def mean(self, raw: Array) -> Array:
        """Of y, [..., G]."""
        ...

    def median(self, raw: Array, scale: Array) -> Array:
        """Of y, [..., G]."""
        ...

    def sample(self, key: Array, raw: Array, scale: Array) -> Array:
        """A y drawn, [..., G]."""
        ...

    def quantile(self, raw: Array, q: float | Array, scale: Array) -> Array:
        """The y that a share q, in (0, 1), is below, [..., G]."""
        ...


def per_number(raw: Array, count: int) -> list[Array]:
    """`count` raw values of each number, [..., G] each, in float32 at least.

    >>> [part.tolist() for part in per_number(jnp.arange(6.0), 2)]
    [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]
    """
    raw = raw.astype(jnp.promote_types(raw.dtype, jnp.float32))
    raw = raw.reshape(*raw.shape[:-1], -1, count)
    return [raw[..., place] for place in range(count)]


def positive(raw: Array) -> Array:
    """log(1 + exp(raw)) + `LEAST`."""
    return jax.nn.softplus(raw) + LEAST


def bisected(
    cdf: Callable[[Array], Array], q: float | Array, low: Array, high: Array
) -> Array:
    """Where a distribution function reaches q, by halving [low, high].

    It has to be at most q at `low` and at least q at `high`; the end that is returned
    keeps the latter.
    """

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = low + (high - low) / 2
        reached = cdf(middle) >= q
        return jnp.where(reached, low, middle), jnp.where(reached, middle, high)

    return lax.fori_loop(0, _HALVINGS, halve, (low, high))[1]

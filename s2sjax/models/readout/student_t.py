"""A distribution of each number whose tails may be heavy."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import betainc, betaln
from jax.scipy.stats import norm

from s2sjax.models.readout.raw import bisected, per_number, positive


@dataclass(frozen=True)
class StudentT:
    """y = m + s t of Student's t with d degrees of freedom.

    Of raw values a, b, c: m = a, s = log(1 + exp(b)) + 0.001 and
    d = 2 + log(1 + exp(c)) + 0.001, so that there is a variance, s^2 d / (d - 2).
    """

    objectives = ("nll",)
    has_quantiles = True
    counts = False

    def size(self, numbers: int) -> int:
        """Three raw values each."""
        return 3 * numbers

    def log_prob(self, raw: Array, y: Array, scale: Array) -> Array:
        """-log B(1/2, d/2) - log(d) / 2 - (d + 1) / 2 log(1 + t^2 / d) - log(s scale).

        With t = (y - m) / s.
        """
        mean, spread, degrees = _of(raw)
        t = (y - mean) / spread
        return (
            -betaln(jnp.full_like(degrees, 0.5), degrees / 2)
            - jnp.log(degrees) / 2
            - (degrees + 1) / 2 * jnp.log1p(t**2 / degrees)
            - jnp.log(spread * scale)
        )

    def mean(self, raw: Array) -> Array:
        """m."""
        return _of(raw)[0]

    def median(self, raw: Array, scale: Array) -> Array:
        """m."""
        return self.mean(raw)

    def sample(self, key: Array, raw: Array, scale: Array) -> Array:
        """m + s t."""
        mean, spread, degrees = _of(raw)
        return mean + spread * jax.random.t(key, degrees, mean.shape, mean.dtype)

    def quantile(self, raw: Array, q: float | Array, scale: Array) -> Array:
        """m + s t, t by halving between that of infinitely many degrees and of two."""
        mean, spread, degrees = _of(raw)
        # Of the lower half, the other is its mirror.
        lower = jnp.minimum(q, 1 - jnp.asarray(q, degrees.dtype))
        most = jnp.broadcast_to(norm.ppf(lower), mean.shape)
        least = (2 * lower - 1) / jnp.sqrt(2 * lower * (1 - lower))
        least = jnp.broadcast_to(least, mean.shape)
        t = bisected(lambda t: _below(t, degrees), lower, least, most)
        return mean + spread * jnp.where(q > 0.5, -t, t)


def _below(t: Array, degrees: Array) -> Array:
    """P(T <= t) for t <= 0."""
    half = jnp.full_like(degrees, 0.5)
    return betainc(degrees / 2, half, degrees / (degrees + t**2)) / 2


def _of(raw: Array) -> tuple[Array, Array, Array]:
    """Middle, spread and degrees of freedom, [..., G]."""
    mean, spread, degrees = per_number(raw, 3)
    return mean, positive(spread), 2 + positive(degrees)

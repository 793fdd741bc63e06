"""A normal distribution of each number."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.stats import norm

from s2sjax.models.readout.raw import per_number, positive


@dataclass(frozen=True)
class Gaussian:
    """y ~ N(m, s^2) with m = a and s = log(1 + exp(b)) + 0.001 of raw values a, b."""

    objectives = ("nll",)
    has_quantiles = True
    counts = False

    def size(self, numbers: int) -> int:
        """Two raw values each."""
        return 2 * numbers

    def log_prob(self, raw: Array, y: Array, scale: Array) -> Array:
        """-((y - m) / s)^2 / 2 - log(s) - log(2 pi) / 2 - log(scale)."""
        return norm.logpdf(y, *_of(raw)) - jnp.log(scale)

    def mean(self, raw: Array) -> Array:
        """m."""
        return _of(raw)[0]

    def median(self, raw: Array, scale: Array) -> Array:
        """m."""
        return self.mean(raw)

    def sample(self, key: Array, raw: Array, scale: Array) -> Array:
        """m + s e with e ~ N(0, 1)."""
        mean, deviation = _of(raw)
        return mean + deviation * jax.random.normal(key, mean.shape, mean.dtype)

    def quantile(self, raw: Array, q: float | Array, scale: Array) -> Array:
        """m + s z with z that of N(0, 1)."""
        mean, deviation = _of(raw)
        return mean + deviation * norm.ppf(q)

    def crps(self, raw: Array, y: Array) -> Array:
        """s (z (2 F(z) - 1) + 2 f(z) - 1 / sqrt(pi)), of N(0, 1) at z = (y - m) / s.

        (Gneiting and Raftery 2007, equation 21, with its sign turned.)
        """
        mean, deviation = _of(raw)
        return distance(y - mean, deviation) - deviation / jnp.sqrt(jnp.pi)


def distance(mean: Array, deviation: Array) -> Array:
    """E |x| of x ~ N(mean, deviation^2): 2 s f(m / s) + m (2 F(m / s) - 1)."""
    z = mean / deviation
    return 2 * deviation * norm.pdf(z) + mean * (2 * norm.cdf(z) - 1)


def _of(raw: Array) -> tuple[Array, Array]:
    """Mean and standard deviation, [..., G]."""
    mean, deviation = per_number(raw, 2)
    return mean, positive(deviation)

"""A distribution of counts."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import betainc, betaln

from s2sjax.models.readout.raw import bisected, per_number, positive

_TINY = 1e-6  # the least mean of a scaled count: that of 0 has no logarithm


@dataclass(frozen=True)
class NegativeBinomial:
    """Counts k = scale y with mean m and variance m + m^2 / r.

        P(k) = G(k + r) / (k! G(r)) (r / (r + m))^r (m / (r + m))^k

    Of raw values a, b, with v the scale of the series: m = v log(1 + exp(a)) and
    1 / r = (log(1 + exp(b)) + 0.001) / sqrt(v) (Salinas et al. 2020, section 3.1 and
    3.3: their mu and 1 / alpha). The data are scaled without a shift.
    """

    objectives = ("nll",)
    has_quantiles = True
    counts = True

    def size(self, numbers: int) -> int:
        """Two raw values each."""
        return 2 * numbers

    def log_prob(self, raw: Array, y: Array, scale: Array) -> Array:
        """log P(scale y): of a count there is no density, and no Jacobian."""
        mean, r = _of(raw, scale)
        k = jnp.round(scale * y)
        # G(k + r) / (k! G(r)) = 1 / ((k + r) B(k + 1, r)), which does not take one
        # large number from another.
        ways = -betaln(k + 1, r) - jnp.log(k + r)
        return ways - r * jnp.log1p(mean / r) - k * jnp.log1p(r / mean)

    def mean(self, raw: Array) -> Array:
        """m / scale."""
        return jax.nn.softplus(per_number(raw, 2)[0]) + _TINY

    def median(self, raw: Array, scale: Array) -> Array:
        """The least count that is not exceeded half of the time."""
        return self.quantile(raw, 0.5, scale)

    def sample(self, key: Array, raw: Array, scale: Array) -> Array:
        """Poisson counts whose rate is drawn from a gamma distribution."""
        mean, r = _of(raw, scale)
        for_rate, for_count = jax.random.split(key)
        rate = jax.random.gamma(for_rate, r, mean.shape, mean.dtype) * mean / r
        return jax.random.poisson(for_count, rate).astype(mean.dtype) / scale

    def quantile(self, raw: Array, q: float | Array, scale: Array) -> Array:
        """The least count that a share q does not exceed, by halving."""
        mean, r = _of(raw, scale)
        share = jnp.asarray(q, mean.dtype)
        # Cantelli: no quantile is further above the mean.
        deviation = jnp.sqrt(mean + mean**2 / r)
        high = jnp.floor(mean + deviation * jnp.sqrt(share / (1 - share))) + 1

        def cdf(k: Array) -> Array:
            k = jnp.floor(k)
            return jnp.where(
                k < 0, 0.0, betainc(r, jnp.maximum(k, 0) + 1, r / (r + mean))
            )

        return jnp.floor(bisected(cdf, q, jnp.full_like(high, -1), high)) / scale


def _of(raw: Array, scale: Array) -> tuple[Array, Array]:
    """Mean and r of the counts, [..., G]."""
    mean, dispersion = per_number(raw, 2)
    mean = (jax.nn.softplus(mean) + _TINY) * scale
    return mean, jnp.sqrt(scale) / positive(dispersion)

"""A distribution of each number with several modes."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import logsumexp
from jax.scipy.stats import norm

from s2sjax import platforms, spec
from s2sjax.models.readout.gaussian import distance
from s2sjax.models.readout.raw import bisected, per_number, positive


@dataclass(frozen=True)
class Mixture:
    """y ~ sum_i w_i N(m_i, s_i^2) (Bishop 1994).

    Of raw values a_i, b_i, c_i for each of `components`: w = softmax(a), m_i = b_i and
    s_i = log(1 + exp(c_i)) + 0.001.
    """

    components: int = 5

    objectives = ("nll",)
    has_quantiles = True
    counts = False

    def __post_init__(self) -> None:
        spec.between("components", self.components, 1, 100)

    def size(self, numbers: int) -> int:
        """Three raw values each of every component."""
        return 3 * self.components * numbers

    def log_prob(self, raw: Array, y: Array, scale: Array) -> Array:
        """log sum_i w_i N(y; m_i, s_i^2) - log(scale)."""
        log_weights, means, deviations = self._of(raw)
        each = norm.logpdf(y[..., None], means, deviations)
        return logsumexp(log_weights + each, axis=-1) - jnp.log(scale)

    def mean(self, raw: Array) -> Array:
        """sum_i w_i m_i."""
        log_weights, means, _ = self._of(raw)
        return (jnp.exp(log_weights) * means).sum(axis=-1)

    def median(self, raw: Array, scale: Array) -> Array:
        """Half is below it; by halving."""
        return self.quantile(raw, 0.5, scale)

    def sample(self, key: Array, raw: Array, scale: Array) -> Array:
        """A component by its weight, then a number of it."""
        log_weights, means, deviations = self._of(raw)
        for_component, for_number = jax.random.split(key)
        chosen = jax.random.categorical(for_component, log_weights)
        mean = platforms.picked(means, chosen)
        deviation = platforms.picked(deviations, chosen)
        return mean + deviation * jax.random.normal(for_number, mean.shape, mean.dtype)

    def quantile(self, raw: Array, q: float | Array, scale: Array) -> Array:
        """By halving between the least and the greatest of the components'."""
        log_weights, means, deviations = self._of(raw)
        each = means + deviations * norm.ppf(q)

        def cdf(y: Array) -> Array:
            below = norm.cdf(y[..., None], means, deviations)
            return (jnp.exp(log_weights) * below).sum(axis=-1)

        return bisected(cdf, q, each.min(axis=-1), each.max(axis=-1))

    def crps(self, raw: Array, y: Array) -> Array:
        """E |x - y| - E |x - x'| / 2 of two draws, of which both are closed.

        (Grimit et al. 2006, equation 5.)
        """
        log_weights, means, deviations = self._of(raw)
        weights = jnp.exp(log_weights)
        far = (weights * distance(y[..., None] - means, deviations)).sum(axis=-1)
        apart = distance(
            means[..., :, None] - means[..., None, :],
            jnp.hypot(deviations[..., :, None], deviations[..., None, :]),
        )
        return far - jnp.einsum("...i,...j,...ij->...", weights, weights, apart) / 2

    def _of(self, raw: Array) -> tuple[Array, Array, Array]:
        """Log-weights, means and standard deviations, [..., G, components]."""
        parts = jnp.stack(per_number(raw, 3 * self.components), axis=-1)
        logits, means, deviations = jnp.split(parts, 3, axis=-1)
        return jax.nn.log_softmax(logits), means, positive(deviations)

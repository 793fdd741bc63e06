"""What a forecast says of each number: middle, quantiles, and how far off it is.

From trajectories that were drawn, or from the raw values of one step alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.forecasts import LEVELS
from s2sjax.models.readout import Output

DRAWS = 200  # of a step alone, where its score has no closed form


class Spread(NamedTuple):
    """Of scaled numbers; leading axes as those of the numbers."""

    mean: Array  # [..., G]
    median: Array  # [..., G]
    quantiles: Array | None  # [..., G, LEVELS]; None: of a point
    crps: Array | None  # [..., G], NaN where the target is; likewise

    def unscaled(self, shift: Array, scale: Array) -> "Spread":
        """In the units of the numbers, which are shift + scale * value."""
        quantiles = self.quantiles
        if quantiles is not None:
            quantiles = shift[..., None] + scale[..., None] * quantiles
        return Spread(
            shift + scale * self.mean,
            shift + scale * self.median,
            quantiles,
            None if self.crps is None else scale * self.crps,
        )


def of_draws(draws: Array, y: Array) -> Spread:
    """Of M trajectories, [M, ..., G].

    The CRPS is the fair one, whose expectation does not depend on M (Ferro 2014):

        mean_i |x_i - y| - sum_i<j |x_i - x_j| / (M (M - 1))

    and quantiles are on straight lines between the draws in order.
    """
    ordered = jnp.sort(draws, axis=0)
    count = len(ordered)
    apart = _between(ordered) / (count * max(count - 1, 1))
    crps = jnp.abs(ordered - y[None]).mean(axis=0) - apart
    quantiles = jnp.quantile(ordered, jnp.asarray(LEVELS, draws.dtype), axis=0)
    middle = quantiles[LEVELS.index(0.5)]
    return Spread(draws.mean(axis=0), middle, jnp.moveaxis(quantiles, 0, -1), crps)


def of_raw(output: Output, raw: Array, y: Array, scale: Array, key: Array) -> Spread:
    """Of raw values, [..., P]; y and scale are [..., G].

    The CRPS is closed where the output has it so; of quantiles it is the integral of
    their losses, 2 (q - [y < y_q]) (y - y_q), by the middles of `DRAWS` parts; else
    that of as many draws with `key`.
    """
    mean, median = output.mean(raw), output.median(raw, scale)
    if not output.has_quantiles:
        return Spread(mean, median, None, None)

    def quantiles(levels: Array) -> Array:  # -> [levels, ..., G]
        return jax.vmap(lambda q: output.quantile(raw, q, scale))(levels)

    if hasattr(output, "crps"):
        crps = output.crps(raw, y)
    elif "nll" in output.objectives:
        keys = jax.random.split(key, DRAWS)
        crps = of_draws(jax.vmap(lambda k: output.sample(k, raw, scale))(keys), y).crps
    else:
        levels = (jnp.arange(DRAWS, dtype=mean.dtype) + 0.5) / DRAWS
        ordered = quantiles(levels)
        crps = jnp.abs(ordered - y[None]).mean(axis=0) - _between(ordered) / DRAWS**2
    found = quantiles(jnp.asarray(LEVELS, mean.dtype))
    return Spread(mean, median, jnp.moveaxis(found, 0, -1), crps)


def _between(ordered: Array) -> Array:
    """The sum over i < j of x_j - x_i, of x [M, ...] that rises."""
    count = len(ordered)
    times = 2.0 * jnp.arange(count, dtype=ordered.dtype) - (count - 1)
    return jnp.tensordot(times, ordered, axes=1)

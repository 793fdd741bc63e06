"""Quantiles of each number, of a distribution that has no name."""

import itertools
import math
from dataclasses import dataclass
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.stats import norm

from s2sjax.errors import UsageError
from s2sjax.models.readout.raw import per_number


@dataclass(frozen=True)
class Quantile:
    """The numbers y_1 < y_2 < .. that shares q_1 < q_2 < .. are below.

    Of raw values a_1, a_2, ..: that of the middle level is a_1, and each is
    log(1 + exp(a_i)) from its neighbour, so that none cross. Between the levels, and
    beyond them, y is a straight line of the quantile z of N(0, 1): a single level is a
    point, and of N(m, s^2) any two levels give all others.

    Attributes:
      levels: q_1, q_2, .., as they are written in a spec.
    """

    levels: str = "0.1,0.5,0.9"

    objectives = ("pinball",)
    has_quantiles = True
    counts = False

    def __post_init__(self) -> None:
        try:
            found = self.shares
        except ValueError:
            found = np.zeros(0)
        inside = bool(len(found)) and bool((found > 0).all() and (found < 1).all())
        if not inside or (np.diff(found) <= 0).any():
            raise UsageError(
                f"levels={self.levels} are not shares between 0 and 1 that rise, e.g. "
                "levels=0.1,0.5,0.9"
            )

    @property
    def shares(self) -> np.ndarray:
        """The levels as numbers."""
        return np.array([float(level) for level in self.levels.split(",")])

    def size(self, numbers: int) -> int:
        """A raw value for each level of each number."""
        return len(self.shares) * numbers

    def quantiles(self, raw: Array) -> list[Array]:
        """Those of the levels, [..., G] each; they rise."""
        base, *rises = per_number(raw, len(self.shares))
        above = [jnp.zeros_like(base)]
        for rise in rises:
            above.append(above[-1] + jax.nn.softplus(rise))
        middle = above[len(above) // 2]
        return [base + (each - middle) for each in above]

    def mean(self, raw: Array) -> Array:
        """Of the distribution whose quantiles are these and what lies between."""
        first, lines = self._lines(raw)
        parts = (slope * (_mean(low, high) - at) for slope, at, low, high in lines)
        return sum(parts, start=first)

    def median(self, raw: Array, scale: Array) -> Array:
        """The middle one."""
        return self.quantile(raw, 0.5, scale)

    def log_prob(self, raw: Array, y: Array, scale: Array) -> Array:
        """Refused: quantiles have no density."""
        raise UsageError("model.output=quantile has no likelihood")

    def sample(self, key: Array, raw: Array, scale: Array) -> Array:
        """Refused: it is trained on its levels alone."""
        raise UsageError(
            "model.output=quantile is no distribution: nothing can be drawn"
        )

    def quantile(self, raw: Array, q: float | Array, scale: Array) -> Array:
        """That of a level, or on a line between two levels or beyond the last."""
        first, lines = self._lines(raw)
        z = norm.ppf(jnp.asarray(q, first.dtype))
        parts = (
            slope * (jnp.clip(z, low, high) - at) for slope, at, low, high in lines
        )
        return sum(parts, start=first)

    def _lines(
        self, raw: Array
    ) -> tuple[Array, list[tuple[Array, float, float, float]]]:
        """The first quantile, and of each two neighbours the slope of their line over
        z, where it begins, and from where to where it is taken."""
        values, z = self.quantiles(raw), [*map(NormalDist().inv_cdf, self.shares)]
        ends = [-math.inf, *z[1:-1], math.inf]
        slopes = [
            (high - low) / (z_high - z_low)
            for (low, high), (z_low, z_high) in zip(
                itertools.pairwise(values), itertools.pairwise(z), strict=True
            )
        ]
        return values[0], list(zip(slopes, z, ends, ends[1:], strict=False))


def _mean(low: float, high: float) -> float:
    """Of z ~ N(0, 1) that is brought into [low, high]."""
    normal, ends = NormalDist(), (low, high)
    density = [normal.pdf(end) if math.isfinite(end) else 0.0 for end in ends]
    outside = (
        low * normal.cdf(low) if math.isfinite(low) else 0.0,
        high * (1 - normal.cdf(high)) if math.isfinite(high) else 0.0,
    )
    return density[0] - density[1] + sum(outside)

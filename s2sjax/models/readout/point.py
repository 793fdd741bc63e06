"""A number, and nothing about how sure it is."""

from dataclasses import dataclass

from jax import Array

from s2sjax.errors import UsageError
from s2sjax.models.readout.raw import per_number


@dataclass(frozen=True)
class Point:
    """y itself: what mse makes the mean, mae the median."""

    objectives = ("mse", "mae", "huber")
    has_quantiles = False
    counts = False

    def size(self, numbers: int) -> int:
        """A raw value each."""
        return numbers

    def mean(self, raw: Array) -> Array:
        """The number."""
        return per_number(raw, 1)[0]

    def median(self, raw: Array, scale: Array) -> Array:
        """The number."""
        return self.mean(raw)

    def log_prob(self, raw: Array, y: Array, scale: Array) -> Array:
        """Refused: a point has no density."""
        raise UsageError("model.output=point has no likelihood")

    def sample(self, key: Array, raw: Array, scale: Array) -> Array:
        """Refused: there is nothing to draw."""
        raise UsageError("model.output=point is no distribution: nothing can be drawn")

    def quantile(self, raw: Array, q: float | Array, scale: Array) -> Array:
        """Refused: a point does not say how sure it is."""
        raise UsageError("model.output=point has no quantiles")

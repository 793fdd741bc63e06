"""Numbers without a distribution: one value each."""

from dataclasses import dataclass

from jax import Array


@dataclass(frozen=True)
class Point:
    """The raw value is the number: mean, median and every sample of it."""

    def size(self, numbers: int) -> int:
        return numbers

    def mean(self, raw: Array) -> Array:
        return raw

    def median(self, raw: Array) -> Array:
        return raw

    def sample(self, key: Array, raw: Array) -> Array:
        return raw

    def quantile(self, raw: Array, q: Array | float) -> Array:
        return raw

"""What enters the lowest layer: symbols, or numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers

from s2sjax import platforms
from s2sjax.models.base import Dot, Weights
from s2sjax.models.dropout import Noise, drop
from s2sjax.models.layer import Layer, affine
from s2sjax.types import BOS, Numbers, Side

Enter = Callable[[Dot, Array, Noise], Array]
"""`enter(dot, x, noise)`: what the lowest layer reads, of one step or of all. It closes
over no array, and is equal to another that does the same."""


class Inputs(Protocol):
    """What a model reads at a step, a Linen module. Only `project` and `enter` may read
    its parameters."""

    @property
    def width(self) -> int:
        """Size of what the lowest layer reads."""

    @property
    def one_hot(self) -> bool:
        """Whether that layer gathers rows of its kernel."""

    @property
    def noise(self) -> int:
        """How many values of a step dropout can drop."""

    def project(self, layer: Layer, x: Array, scale: Array | None) -> Array:
        """What all steps give the lowest layer at once, [..., G].

        Args:
          layer: the lowest.
          x: what is read, [..., ...].
          scale: the factors of dropout, [..., noise]; None: nothing is dropped.
        """

    def enter(self, layer: Layer, rows: int, noise: Noise) -> tuple[Enter, Weights]:
        """How the steps of a recurrence take it in, and what they multiply with:
        `input_0`, which is the lowest layer's, and whatever else `enter` does.

        Args:
          layer: the lowest.
          rows: how many are known ahead; 0: each waits for the one before.
          noise: which places dropout is in.
        """

    def like(self, x: Array, fed: Any) -> Array:
        """What is read, in the form of what is fed in its place."""


class Embedding(nn.Module):
    """Token ids, or a distribution over them, to what the lowest layer reads.

    Attributes:
      vocabulary: its size V.
      size: of the vectors, E; 0 leaves ids as they are, for a one-hot layer.
      whole: embeddings of which these are the first V; None: its own.
    """

    vocabulary: int
    size: int
    whole: nn.Module | None = None

    def setup(self) -> None:
        if self.whole is not None:
            self.table = self.whole.table[: self.vocabulary]
        elif self.size:
            normal = initializers.normal(self.size**-0.5)
            self.table = self.param("table", normal, (self.vocabulary, self.size))

    @property
    def width(self) -> int:
        return self.size or self.vocabulary

    @property
    def one_hot(self) -> bool:
        return not self.size

    @property
    def noise(self) -> int:
        return self.size or 1

    def project(self, layer: Layer, x: Array, scale: Array | None) -> Array:
        if self._tabled(x.size, scale is not None):
            return platforms.rows(layer.project(self.table), x)
        read = platforms.rows(self.table, x) if self.size else x
        return layer.project(read, scale)

    def enter(self, layer: Layer, rows: int, noise: Noise) -> tuple[Enter, Weights]:
        if self._tabled(rows, "embedding" in noise):
            return as_it_is, {"input_0": (layer.project(self.table),)}
        weights = {"input_0": layer.projection()}
        if self.size:
            return embedded, {"embed": (self.table,), **weights}
        return OneHot(self.vocabulary), weights

    def _tabled(self, rows: int, dropped: bool) -> bool:
        """Whether to project the table, which is smaller than what is read, and to
        gather rows of the result. Dropout would come between."""
        return bool(self.size) and not dropped and self.vocabulary <= rows

    def like(self, x: Array, fed: Any) -> Array:
        if jnp.issubdtype(fed.dtype, jnp.inexact):
            return jax.nn.one_hot(x, self.vocabulary, dtype=fed.dtype)
        return x


class Rows(nn.Module):
    """Rows of numbers [..., F], as they are or through a layer: x W + b.

    Attributes:
      numbers: how many there are at a step, F.
      size: of the vectors, E; 0 lets them enter as they are.
    """

    numbers: int
    size: int

    def setup(self) -> None:
        if self.size:
            draw, shape = initializers.glorot_uniform(), (self.numbers, self.size)
            self.kernel = self.param("kernel", draw, shape)
            self.bias = self.param("bias", initializers.zeros, (self.size,))

    @property
    def width(self) -> int:
        return self.size or self.numbers

    @property
    def one_hot(self) -> bool:
        return False

    @property
    def noise(self) -> int:
        return self.width

    def project(self, layer: Layer, x: Array, scale: Array | None) -> Array:
        return layer.project(
            affine(x, self.kernel, self.bias) if self.size else x, scale
        )

    def enter(self, layer: Layer, rows: int, noise: Noise) -> tuple[Enter, Weights]:
        weights = {"input_0": layer.projection()}
        if self.size:
            return embedded, {"embed": (self.kernel, self.bias), **weights}
        return as_it_is, weights

    def like(self, x: Array, fed: Any) -> Array:
        return x


def embedded(dot: Dot, x: Array, noise: Noise) -> Array:
    """Through the matrix `embed`."""
    return drop(noise, "embedding", dot("embed", x))


def as_it_is(dot: Dot, x: Array, noise: Noise) -> Array:
    """Nothing comes between."""
    return drop(noise, "embedding", x)


@dataclass(frozen=True)
class OneHot:
    """Ids stay what they are, for a layer that gathers, but where they are dropped."""

    vocabulary: int

    def __call__(self, dot: Dot, x: Array, noise: Noise) -> Array:
        if "embedding" in noise and jnp.issubdtype(x.dtype, jnp.integer):
            x = jax.nn.one_hot(x, self.vocabulary, dtype=noise["embedding"].dtype)
        return drop(noise, "embedding", x)


def build_inputs(read: Side, size: int) -> Inputs:
    """The inputs of a vocabulary of this size or of rows of numbers, as vectors of
    `size`. They belong to the module that they are handed to."""
    if isinstance(read, Numbers):
        return Rows(read.size + read.known, size, parent=None)
    return Embedding(read, size, parent=None)


def blank(read: Side) -> Array:
    """One step of one example, to draw parameters for."""
    if isinstance(read, Numbers):
        return jnp.zeros((1, 1, read.size + read.known))
    return jnp.full((1, 1), BOS, jnp.int32)

"""Buckets whose examples are drawn on the device, inside the compiled step.

An example is a pure function of (key, id): nothing is stored, and neither the batch
nor the padding changes what it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax import rng
from s2sjax.tasks.task import SPLITS, Bucket
from s2sjax.types import EOS, PAD, SYMBOLS, Batch

SMALL_SPACE = 1e7  # with at most so many sources, a hash keeps the splits apart
CLASSES = 16  # hash classes of sources: 0 is test, 1 is valid, the others train
MOST_TRIES = 256  # for a source of the split; (15/16)**256 is below 1e-7


class Limits(NamedTuple):
    """What a generator draws from. Every field may be traced; all are scalars."""

    key: Array  # of the split
    split: Array  # int32, position in SPLITS
    min_length: Array  # int32
    length: Array  # int32
    cardinality: Array  # int32
    prefix: Array  # int32


Draw = Callable[[Array, Array, Limits, int], tuple[Array, Array]]
"""`(key, attempt, limits, width) -> (source [S] int32, length)`.

The length depends on `key` only, the content on `attempt` (from 1 on) too. No draw
depends on `width`.
"""


@dataclass(frozen=True)
class Generator:
    """`fetch` of a generated bucket: equal generators share one compilation."""

    draw: Draw
    transform: Callable[[Array, Array, Array], tuple[Array, Array]]
    width: int  # S
    target_width: int  # T, EOS counted
    reverse_source: bool = False
    always_split: bool = False  # whatever the limits say, the space is small

    def __call__(self, store: Limits, rows: Array) -> Batch:
        """Examples `rows` [B]; -1 asks for filler."""
        ids = jnp.maximum(rows, 0)
        keys = rng.per_example(store.key, ids)
        source, length = jax.vmap(self._source, in_axes=(0, None))(keys, store)
        source, length, target, target_length = jax.vmap(
            self._finish, in_axes=(0, 0, 0, None)
        )(rows >= 0, source, length, store)
        weights = (rows >= 0).astype(jnp.float32)
        return Batch(source, length, target, target_length, ids, weights)

    def _source(self, key: Array, limits: Limits) -> tuple[Array, Array]:
        split_small = is_small(limits.min_length, limits.cardinality)
        anything = jnp.logical_not(self.always_split | split_small)

        def wanted(source: Array, length: Array) -> Array:
            return anything | (split_of(source, length) == limits.split)

        def again(carry: tuple[Array, Array, Array, Array]) -> Array:
            attempt, _, _, found = carry
            return ~found & (attempt < MOST_TRIES)

        def draw(
            carry: tuple[Array, Array, Array, Array],
        ) -> tuple[Array, Array, Array, Array]:
            attempt = carry[0] + 1
            source, length = self.draw(key, attempt, limits, self.width)
            return attempt, source, length, wanted(source, length)

        start = draw((jnp.int32(0), jnp.zeros(self.width, jnp.int32), key, key))
        _, source, length, _ = lax.while_loop(again, draw, start)
        return source, length

    def _finish(
        self, real: Array, source: Array, length: Array, limits: Limits
    ) -> tuple[Array, Array, Array, Array]:
        target, target_length = self.transform(source, length, limits.prefix)
        width = self.target_width
        target = jnp.pad(target, (0, max(0, width - target.shape[0])))[:width]
        if self.reverse_source:
            source = jnp.roll(source[::-1], length - self.width)
        positions = jnp.arange(width)
        target = jnp.where(positions < target_length, target + SYMBOLS, PAD)
        target = jnp.where(positions == target_length, EOS, target)
        within = jnp.arange(self.width) < length
        return (
            jnp.where(within & real, source + SYMBOLS, PAD),
            jnp.where(real, length, 0),
            jnp.where(real, target, PAD),
            jnp.where(real, target_length + 1, 0),
        )


def draw_integers(
    key: Array, attempt: Array, limits: Limits, width: int
) -> tuple[Array, Array]:
    """A length, uniform in [min_length, length], and uniform symbols from 0 on.

    Shapes: -> source [width] int32, length []. Of 32 random bits the remainder is
    taken: no symbol is favoured by more than cardinality / 2**32.
    """
    bits = jax.random.bits(jax.random.fold_in(key, 0))
    length = length_of(bits, limits.min_length, limits.length)
    bits = jax.random.bits(jax.random.fold_in(key, attempt), (width,))
    source = (bits % limits.cardinality.astype(jnp.uint32)).astype(jnp.int32)
    return source, length


def length_of(bits: Array, shortest: Array, longest: Array) -> Array:
    """A length of 32 random bits [], uniform in [shortest, longest]."""
    span = (longest - shortest + 1).astype(jnp.uint32)
    return shortest + (bits % span).astype(jnp.int32)


def is_small(min_length: Array, cardinality: Array) -> Array:
    """Whether training could exhaust the sources of the shortest length."""
    size = min_length * jnp.log(cardinality.astype(jnp.float32))
    return size <= jnp.log(SMALL_SPACE) + 1e-3


def split_of(source: Array, length: Array) -> Array:
    """Which split a source belongs to in a small space, by a hash of it.

    Shapes: source [S] int32 symbols from 0 on, length [] -> [] position in SPLITS.
    """
    positions = jnp.arange(source.shape[0])
    terms = mixed(mixed(source.astype(jnp.uint32)) + positions.astype(jnp.uint32) + 1)
    total = jnp.sum(jnp.where(positions < length, terms, 0), dtype=jnp.uint32)
    group = mixed(total + length.astype(jnp.uint32)) % CLASSES
    train, valid, test = range(len(SPLITS))
    return jnp.where(group == 0, test, jnp.where(group == 1, valid, train))


def mixed(x: Array) -> Array:
    """A 32-bit permutation whose output bits all depend on all input bits.

    The finaliser of MurmurHash3 (Appleby, 2011), on an odd multiple of the input.
    """
    x = x * jnp.uint32(0x9E3779B1) + jnp.uint32(0x7F4A7C15)
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def bucket(
    generator: Generator,
    *,
    split: str,
    size: int | None,
    seed: int,
    min_length: int,
    length: int,
    cardinality: int,
    prefix: int,
) -> Bucket:
    """The bucket of one split; its draws come from the stream of that name."""
    numbers = (SPLITS.index(split), min_length, length, cardinality, prefix)
    limits = Limits(rng.stream(rng.root(seed), split), *map(jnp.int32, numbers))
    widths = generator.width, generator.target_width
    return Bucket(size, *widths, limits, generator, drawn=True)

"""Addition of two numbers written in characters: `535+61` gives `596`."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.tasks.generated import Limits
from s2sjax.tasks.vocabulary import Symbol, Vocabulary

PLUS = 10  # the symbol after the ten digits
VOCABULARY = Vocabulary("char", tuple("0123456789+"))


def source_width(digits: int) -> int:
    """Characters in the longest source."""
    return 2 * digits + 1


def draw(key: Array, attempt: Array, limits: Limits, width: int) -> tuple[Array, Array]:
    """Two numbers of 1 to `limits.length` digits, without leading zeros.

    The numbers of digits are uniform, then the digits; zero is a number of one digit.
    Shapes: -> source [width] int32, length [].
    """
    digits = (width - 1) // 2
    span = limits.length.astype(jnp.uint32)
    counts = jax.random.bits(jax.random.fold_in(key, 0), (2,)) % span
    first, second = counts.astype(jnp.int32) + 1
    bits = jax.random.bits(jax.random.fold_in(key, attempt), (digits, 2))
    positions = jnp.arange(digits)

    def number(column: Array, count: Array) -> Array:
        leading = (positions == 0) & (count > 1)
        return jnp.where(leading, 1 + column % 9, column % 10).astype(jnp.int32)

    a, b = number(bits[:, 0], first), number(bits[:, 1], second)
    source = jnp.full(width, PLUS, jnp.int32)
    positions = jnp.arange(width)
    source = jnp.where(positions < first, jnp.pad(a, (0, width - digits)), source)
    shifted = jnp.roll(jnp.pad(b, (0, width - digits)), first + 1)
    return jnp.where(positions > first, shifted, source), first + 1 + second


def transform(source: Array, length: Array, prefix: Array) -> tuple[Array, Array]:
    """The sum's digits; of any size, since the carry goes from digit to digit.

    Shapes: source [2 * digits + 1] int32 -> target [digits + 1] int32, length [].
    """
    digits = (source.shape[0] - 1) // 2
    first = jnp.argmax(source == PLUS).astype(jnp.int32)
    places = jnp.arange(digits)

    def units_first(end: Array, count: Array) -> Array:
        turned = jnp.roll(source[::-1], end)[:digits]
        return jnp.where(places < count, turned, 0)

    a = units_first(first, first)
    b = units_first(length, length - first - 1)
    carry = jnp.int32(0)
    total = []
    for place in range(digits):
        value = a[place] + b[place] + carry
        total.append(value % 10)
        carry = value // 10
    summed = jnp.stack([*total, carry])
    places = jnp.arange(digits + 1)
    count = 1 + jnp.max(jnp.where(summed > 0, places, 0)).astype(jnp.int32)
    return jnp.roll(summed[::-1], count - digits - 1), count


def expected(source: Sequence[Symbol]) -> list[Symbol] | None:
    """The sum, or None where the source is not `number+number`.

    >>> expected("535+61")
    ['5', '9', '6']
    """
    parts = "".join(map(str, source)).split("+")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        return None
    return list(str(int(parts[0]) + int(parts[1])))

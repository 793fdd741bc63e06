"""Builds the tasks whose examples are generated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.tasks import generated, unseen
from s2sjax.tasks.baselines import Baselines, of_buckets
from s2sjax.tasks.generated import Limits
from s2sjax.tasks.task import SPLITS, Bucket, Task
from s2sjax.tasks.vocabulary import Symbol, Vocabulary

Transform = Callable[[Array, Array, Array], tuple[Array, Array]]
"""`(source [S], length, prefix) -> (target [S], target_length)`, all int32.

What stands beyond a length means nothing, on either side.
"""


@dataclass(frozen=True)
class Pattern:
    """What the target is, given the source."""

    transform: Transform
    expected: Callable[[Sequence[int], int], list[int]]  # (source, prefix) -> target
    least_length: int = 0  # of a source


def _copy(source: Array, length: Array, prefix: Array) -> tuple[Array, Array]:
    return source, length


def _reversed(source: Array, length: Array, prefix: Array) -> tuple[Array, Array]:
    # A turn of the whole row and a shift cost less than a gather on the CPU.
    return jnp.roll(source[::-1], length - source.shape[0]), length


def _reversed_prefix(
    source: Array, length: Array, prefix: Array
) -> tuple[Array, Array]:
    return _reversed(source, prefix, prefix)


def _sorted(source: Array, length: Array, prefix: Array) -> tuple[Array, Array]:
    beyond = jnp.arange(source.shape[0]) >= length
    return jnp.sort(jnp.where(beyond, jnp.iinfo(source.dtype).max, source)), length


def _maxmin_dup(source: Array, length: Array, prefix: Array) -> tuple[Array, Array]:
    positions = jnp.arange(source.shape[0])
    within = positions < length
    largest = jnp.max(jnp.where(within, source, -1))
    smallest = jnp.min(jnp.where(within, source, jnp.iinfo(source.dtype).max))
    target = jnp.where(positions == 0, largest, source)
    return jnp.where(positions == 1, smallest, target), length


PATTERNS: dict[str, Pattern] = {
    "copy": Pattern(_copy, lambda source, prefix: list(source)),
    "reversed": Pattern(_reversed, lambda source, prefix: list(reversed(source))),
    "reversed_prefix": Pattern(
        _reversed_prefix,
        lambda source, prefix: [source[i] for i in range(prefix - 1, -1, -1)],
    ),
    "sorted": Pattern(_sorted, lambda source, prefix: sorted(source)),
    "maxmin_dup": Pattern(
        _maxmin_dup,
        lambda source, prefix: [max(source), min(source), *source[2:]],
        least_length=2,
    ),
}


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


LARGEST_CARDINALITY = 1_000_000


def integers(config: Config) -> Task:
    """One of `PATTERNS` on integers from `task.first_symbol` on."""
    task = config.task
    pattern = PATTERNS[task.name]
    shortest = checked_least_length(config, pattern.least_length)
    by_prefix = task.name == "reversed_prefix"
    if by_prefix and task.prefix > shortest:
        raise UsageError(
            f"task.prefix={task.prefix} is longer than the shortest source, {shortest}"
        )
    vocabulary = integer_vocabulary(config)

    def generator(length: int) -> generated.Generator:
        return generated.Generator(
            draw=generated.draw_integers,
            transform=pattern.transform,
            width=length,
            target_width=(task.prefix if by_prefix else length) + 1,
            reverse_source=task.reverse_source,
        )

    def expected(source: Sequence[Symbol]) -> list[Symbol] | None:
        values = [symbol for symbol in source if isinstance(symbol, int)]
        least = max(pattern.least_length, task.prefix if by_prefix else 0)
        if len(values) != len(source) or len(values) < least:
            return None
        return list(pattern.expected(values, task.prefix))

    return _task(config, vocabulary, generator, expected)


def sums(config: Config) -> Task:
    """The addition of numbers of up to `task.length` digits."""

    def generator(digits: int) -> generated.Generator:
        return generated.Generator(
            draw=draw,
            transform=transform,
            width=source_width(digits),
            target_width=digits + 2,
            reverse_source=config.task.reverse_source,
            always_split=True,
        )

    return _task(config, VOCABULARY, generator, expected)


def integer_vocabulary(config: Config) -> Vocabulary:
    """The `task.cardinality` integers from `task.first_symbol` on."""
    task = config.task
    if task.cardinality > LARGEST_CARDINALITY:
        raise UsageError(
            f"task.cardinality={task.cardinality} is above {LARGEST_CARDINALITY}"
        )
    return Vocabulary.integers(task.first_symbol, task.cardinality)


def least_length(config: Config) -> int:
    """The length of the shortest source."""
    shortest = config.task.min_length
    return config.task.length if shortest is None else shortest


def checked_least_length(config: Config, least: int) -> int:
    """The length of the shortest source, of a task that takes sources from `least` on.

    Raises:
      UsageError: it is shorter, or longer than those of the test split.
    """
    task, shortest = config.task, least_length(config)
    if shortest < least:
        raise UsageError(
            f"the shortest source of {task.name} is {shortest} (task.min_length, or "
            f"task.length where that is unset); it takes at least {least}"
        )
    if longest_tested(config) < shortest:
        raise UsageError(
            f"task.test_length={task.test_length} is below the shortest source of "
            f"{task.name}, {shortest} (task.min_length, or task.length where that is "
            f"unset)"
        )
    return shortest


def split_sizes(config: Config) -> dict[str, int | None]:
    """How many examples each split has; None: as many as one asks for."""
    task = config.task
    return {
        "train": task.num_train or None,
        "valid": task.num_valid,
        "test": task.num_test,
    }


def split_lengths(config: Config) -> dict[str, int]:
    """The longest source of each split.

    Each has the width of its own, so that a long test makes no step of training longer.
    """
    return dict.fromkeys(SPLITS, config.task.length) | {"test": longest_tested(config)}


def longest_tested(config: Config) -> int:
    """The length of the longest source of the test split."""
    longest = config.task.test_length
    return config.task.length if longest is None else longest


def _task(
    config: Config,
    vocabulary: Vocabulary,
    generator: Callable[[int], generated.Generator],
    expected: Callable[[Sequence[Symbol]], list[Symbol] | None],
) -> Task:
    task, sizes, lengths = config.task, split_sizes(config), split_lengths(config)
    buckets: dict[str, tuple[Bucket, ...]] = {
        split: (
            generated.bucket(
                generator(lengths[split]),
                split=split,
                size=sizes[split],
                seed=config.seed,
                min_length=least_length(config),
                length=lengths[split],
                cardinality=task.cardinality,
                prefix=task.prefix,
            ),
        )
        for split in SPLITS
    }

    def baselines(split: str) -> Baselines:
        return of_buckets(
            buckets["train"][0],
            buckets[split][0],
            (vocabulary, vocabulary),
            reverse_source=task.reverse_source,
        )

    return Task(
        name=task.name,
        source_vocabulary=vocabulary,
        target_vocabulary=vocabulary,
        buckets=buckets,
        expected=expected,
        unseen=unseen.by_generating(buckets["train"][0]),
        baselines=baselines,
        reverse_source=task.reverse_source,
    )

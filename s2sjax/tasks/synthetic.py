"""Builds the tasks whose examples are generated."""

from collections.abc import Callable, Sequence

from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.tasks import addition, generated, unseen
from s2sjax.tasks.patterns import PATTERNS
from s2sjax.tasks.task import SPLITS, Bucket, Task
from s2sjax.tasks.vocabulary import Symbol, Vocabulary

LARGEST_CARDINALITY = 1_000_000


def integers(config: Config) -> Task:
    """One of `PATTERNS` on integers from `task.first_symbol` on."""
    task = config.task
    pattern = PATTERNS[task.name]
    shortest = least_length(config)
    if shortest < pattern.least_length:
        raise UsageError(
            f"the shortest source of {task.name} is {shortest} (task.min_length, or "
            f"task.length where that is unset); it takes at least "
            f"{pattern.least_length}"
        )
    if longest_tested(config) < shortest:
        raise UsageError(
            f"task.test_length={task.test_length} is below the shortest source of "
            f"{task.name}, {shortest} (task.min_length, or task.length where that is "
            f"unset)"
        )
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
            draw=addition.draw,
            transform=addition.transform,
            width=addition.source_width(digits),
            target_width=digits + 2,
            reverse_source=config.task.reverse_source,
            always_split=True,
        )

    return _task(config, addition.VOCABULARY, generator, addition.expected)


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
    task = config.task
    sizes = {
        "train": task.num_train or None,
        "valid": task.num_valid,
        "test": task.num_test,
    }
    # Each split has the width of its own longest source, so that a long test makes
    # no step of training longer.
    lengths = dict.fromkeys(SPLITS, task.length) | {"test": longest_tested(config)}
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
    return Task(
        name=task.name,
        source_vocabulary=vocabulary,
        target_vocabulary=vocabulary,
        buckets=buckets,
        expected=expected,
        unseen=unseen.by_generating(buckets["train"][0]),
        reverse_source=task.reverse_source,
    )

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
    by_prefix = task.name == "reversed_prefix"
    if by_prefix and task.prefix > shortest:
        raise UsageError(
            f"task.prefix={task.prefix} is longer than the shortest source, {shortest}"
        )
    vocabulary = integer_vocabulary(config)
    generator = generated.Generator(
        draw=generated.draw_integers,
        transform=pattern.transform,
        width=task.length,
        target_width=(task.prefix if by_prefix else task.length) + 1,
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
    generator = generated.Generator(
        draw=addition.draw,
        transform=addition.transform,
        width=addition.source_width(config.task.length),
        target_width=config.task.length + 2,
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


def _task(
    config: Config,
    vocabulary: Vocabulary,
    generator: generated.Generator,
    expected: Callable[[Sequence[Symbol]], list[Symbol] | None],
) -> Task:
    task = config.task
    sizes = {
        "train": task.num_train or None,
        "valid": task.num_valid,
        "test": task.num_test,
    }
    buckets: dict[str, tuple[Bucket, ...]] = {
        split: (
            generated.bucket(
                generator,
                split=split,
                size=sizes[split],
                seed=config.seed,
                min_length=least_length(config),
                length=task.length,
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

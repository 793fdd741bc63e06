"""What a benchmark measures, and whether the runs can take it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from s2sjax.benchmark.examples import Chunk, chunks, further
from s2sjax.benchmark.peers.model import check_supported
from s2sjax.decoding.goals import goal
from s2sjax.errors import UsageError
from s2sjax.inference.evaluate import enough, size
from s2sjax.inference.load import Trained, with_decode
from s2sjax.inference.system import System, batch_rows, output_lengths
from s2sjax.outcomes import References
from s2sjax.tasks.task import Bucket


class Plan(NamedTuple):
    """What is measured."""

    strategies: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    examples: int | None = None  # None: the whole split
    split: str = "test"
    repeats: int = 5
    reference: str | None = None  # a strategy that search errors are told by
    peers: bool = False


def system_of(trained: Trained, strategy: str) -> System:
    """The run's system with another strategy.

    Raises:
      UsageError: unknown strategy or argument, or one that leaves no possible output.
    """
    config = with_decode(trained.config, strategy=strategy)
    widest = max(
        bucket.source_width
        for buckets in trained.task.buckets.values()
        for bucket in buckets
    )
    output_lengths(config.decode, widest)
    return System(trained.system.models, config, trained.system.params)


def check(runs: Mapping[str, Trained], plan: Plan) -> None:
    """Makes sure that every run can take the whole plan; compiles nothing.

    Raises:
      UsageError: a strategy, a reference or a peer that cannot be; an endless split.
    """
    for path, trained in runs.items():
        if not trained.config.model.has_decoder:
            raise UsageError(
                f"{path}: model.architecture={trained.config.model.architecture} has "
                f"no decoder, whose strategies are what is measured"
            )
        enough(trained.task.buckets[plan.split], plan.split, plan.examples)
        if plan.peers:
            check_supported(trained.config.model)
            if trained.config.train.feeding == "none":
                raise UsageError(
                    "peers: in PyTorch here every decoder reads its output"
                )
        for strategy in plan.strategies:
            system_of(trained, strategy)
            own = goal(strategy)
            if plan.reference is not None and own is not None:
                system_of(trained, own.of(plan.reference))


def chunks_of(trained: Trained, plan: Plan, batch_size: int) -> list[Chunk]:
    """The plan's examples of a run, in batches; without those that are too long."""
    buckets = enough(_ordinary(trained, plan), plan.split, plan.examples)
    return chunks(buckets, plan.examples, batch_size)


def further_of(trained: Trained, plan: Plan) -> References | None:
    """What is right besides the targets of `chunks_of`, by example; None: nothing."""
    buckets = enough(_ordinary(trained, plan), plan.split, plan.examples)
    return further(buckets, plan.examples)


def long_examples(trained: Trained, plan: Plan) -> int:
    """How many of the split are too long for batches of the largest size."""
    every = trained.task.buckets[plan.split]
    return size(every) - size(_ordinary(trained, plan))


def _ordinary(trained: Trained, plan: Plan) -> Sequence[Bucket]:
    largest = max(plan.batch_sizes)
    config = with_decode(trained.config, batch_size=largest).decode

    def fits(bucket: Bucket) -> bool:
        widths = bucket.source_width, bucket.target_width
        return batch_rows(config, *widths, largest) == largest

    every = trained.task.buckets[plan.split]
    return tuple(filter(fits, every)) or every

"""Which trials one compiled program can train: those that differ in numbers alone."""

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from s2sjax import config as configs
from s2sjax.config import Config, TaskConfig
from s2sjax.sweeps.trials import Trial

# Measured on two cores: what a program costs before its first step with all of its
# evaluations, and how fast a core multiplies small matrices. Their ratio matters.
COMPILE_SECONDS = 15.0
FLOPS_PER_SECOND = 3e10


def split(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Splits trials that differ in numbers alone, so that all of them end soonest.

    The sizes (length, cardinality) are put in the order of their cost, and cut into
    the runs of neighbours that cost least: the sum over programs of the compilation
    and of the steps at the largest sizes. Each part keeps the order of the sweep.

    Trials so short that compiling is all they cost stay together:

    >>> from s2sjax.config import resolve
    >>> from s2sjax.sweeps.trials import make
    >>> def sized(length, steps):
    ...     return resolve({"task": {"length": length}, "train": {"steps": steps}})
    >>> def lengths(steps):
    ...     trials = [make(n, {}, sized(n, steps)) for n in (10, 40)] * 3
    ...     return [len(part) for part in split(trials)]
    >>> lengths(steps=10), lengths(steps=100_000)
    ([6], [3, 3])
    """
    by_size: dict[Sizes, list[Trial]] = {}
    for trial in trials:
        task = trial.config.task
        by_size.setdefault((task.length, task.cardinality), []).append(trial)
    if len(by_size) == 1:
        return [list(trials)]
    config = trials[0].config
    flops_at, steps = step_flops(config, by_size), _steps(config)
    sizes = sorted(by_size, key=flops_at)

    def cost(part: Sequence[Sizes]) -> float:
        count = sum(len(by_size[size]) for size in part)
        length, cardinality = map(max, zip(*part, strict=True))
        flops = count * steps * flops_at((length, cardinality))
        return COMPILE_SECONDS + flops / FLOPS_PER_SECOND

    # best[n]: the least cost of the first n sizes, and where its last part begins.
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(sizes) + 1):
        best.append(
            min(
                (best[begin][0] + cost(sizes[begin:end]), begin) for begin in range(end)
            )
        )
    parts, end = [], len(sizes)
    while end:
        begin = best[end][1]
        names = {trial.name for size in sizes[begin:end] for trial in by_size[size]}
        parts.append([trial for trial in trials if trial.name in names])
        end = begin
    return parts[::-1]


Sizes = tuple[int, int]  # length and cardinality


def step_flops(config: Config, sizes: Collection[Sizes]) -> Callable[[Sizes], float]:
    """The FLOPs of a training step at sizes between those that a sweep asks for.

    They are of the second degree in the length, since attention looks at each source
    position from each target position, and of the first in the cardinality. So they
    are counted at three lengths and two cardinalities, and interpolated between.
    """
    lengths, cardinalities = (sorted(set(axis)) for axis in zip(*sizes, strict=True))
    lengths = sorted({lengths[0], lengths[len(lengths) // 2], lengths[-1]})
    cardinalities = sorted({cardinalities[0], cardinalities[-1]})
    program = dataclasses.replace(config, seed=0, task=TaskConfig())
    counts = [[_counted(program, n, v) for v in cardinalities] for n in lengths]

    def at(size: Sizes) -> float:
        along = _lagrange(lengths, size[0]), _lagrange(cardinalities, size[1])
        return sum(
            weight * other * count
            for weight, row in zip(along[0], counts, strict=True)
            for other, count in zip(along[1], row, strict=True)
        )

    return at


@functools.lru_cache(maxsize=10_000)
def _counted(config: Config, length: int, cardinality: int) -> int:
    from s2sjax.sweeps import preflight  # jax, whose flags follow from the backend

    return preflight.step_flops(config, length, cardinality)


def _lagrange(nodes: Sequence[int], x: int) -> list[float]:
    """What the values at the nodes weigh in that of their polynomial at x.

    >>> _lagrange((0, 1), 3)
    [-2.0, 3.0]
    """
    return [
        math.prod((x - other) / (node - other) for other in nodes if other != node)
        for node in nodes
    ]


def _steps(config: Config) -> int:
    train = config.train
    if train.steps is not None:
        return train.steps
    assert train.epochs is not None
    return train.epochs * math.ceil(config.task.num_train / train.batch_size)


# The fields that are numbers inside compiled code; everything else changes shapes or
# code. Whether feeding is all gold is `feeding`, a choice, so that gold and stepped
# trials never share a group.
BATCHABLE = tuple(
    path for path, field in configs.fields().items() if field.metadata["traced"]
)

# Optimisers whose updates depend on the shape of a matrix, so that padding it with
# rows of zeros changes the others.
BY_SHAPE = ("adafactor", "muon")


@dataclass(frozen=True)
class Group:
    """Trials of one program, in the order of the sweep."""

    trials: tuple[Trial, ...]

    @property
    def widest(self) -> Config:
        """The config whose arrays hold those of every trial: the largest sizes."""
        tasks = [trial.config.task for trial in self.trials]
        largest = {
            field: max(getattr(task, field) for task in tasks)
            for field in ("length", "cardinality", "num_train")
        }
        first = self.trials[0].config
        task = dataclasses.replace(first.task, **largest)
        return dataclasses.replace(first, task=task)

    def varying(self) -> list[str]:
        """The fields in which its trials differ."""
        flat = [configs.flatten(trial.config) for trial in self.trials]
        return [f for f in BATCHABLE if len({values[f] for values in flat}) > 1]


def group(trials: Sequence[Trial]) -> list[Group]:
    """Splits trials into groups that are equal in all but `BATCHABLE`.

    Not together are: a training set without end and a finite one, and trials with
    dropout and without, which are different code; where a run is counted in epochs,
    sets of different sizes, which are different numbers of steps; and sizes that
    would cost more as padding than as another program.

    >>> from s2sjax.sweeps.trials import resolve
    >>> base = configs.resolve({"train": {"steps": 5}})
    >>> sweep = [{"seed": 1}, {"model.units": 8}, {"task.length": 5}]
    >>> [[trial.index for trial in each.trials] for each in group(resolve(base, sweep))]
    [[0, 2], [1]]
    """
    groups: dict[Any, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(_key(trial.config), []).append(trial)
    return [Group(tuple(part)) for alike in groups.values() for part in split(alike)]


def _key(config: Config) -> Any:
    flat = configs.flatten(config)
    size = config.task.num_train
    apart = size if config.train.epochs is not None else bool(size)
    optimizer = config.train.optimizer.partition(":")[0]
    shape = config.task.cardinality if optimizer in BY_SHAPE else 0
    rest = tuple(v for field, v in flat.items() if field not in BATCHABLE)
    return apart, config.model.drops, shape, rest

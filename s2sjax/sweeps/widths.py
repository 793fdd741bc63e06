"""Which sizes of sequence and vocabulary share a program, and which have their own.

A program pads all its trials to its largest sizes, so that many sizes in one cost
steps, and each program costs a compilation. Imports no jax.
"""

import math
from collections.abc import Sequence

from s2sjax.config import Config
from s2sjax.sweeps.trial import Trial

# Measured on two cores: what a program costs before its first step with all of its
# evaluations, and how fast a core multiplies small matrices. Their ratio matters.
COMPILE_SECONDS = 15.0
FLOPS_PER_SECOND = 3e10
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def split(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Splits trials that differ in numbers alone, so that all of them end soonest.

    The sizes (length, cardinality) are put in the order of their cost, and cut into
    the runs of neighbours that cost least: the sum over programs of the compilation
    and of the steps at the largest sizes. Each part keeps the order of the sweep.

    Trials so short that compiling is all they cost stay together:

    >>> from s2sjax.config import resolve
    >>> from s2sjax.sweeps.trial import make
    >>> def sized(length, steps):
    ...     return resolve({"task": {"length": length}, "train": {"steps": steps}})
    >>> def lengths(steps):
    ...     trials = [make(n, {}, sized(n, steps)) for n in (10, 40)] * 3
    ...     return [len(part) for part in split(trials)]
    >>> lengths(steps=10), lengths(steps=100_000)
    ([6], [3, 3])
    """
    by_size: dict[tuple[int, int], list[Trial]] = {}
    for trial in trials:
        task = trial.config.task
        by_size.setdefault((task.length, task.cardinality), []).append(trial)
    config = trials[0].config
    sizes = sorted(by_size, key=lambda size: step_flops(config, *size))
    steps = _steps(config)

    def cost(part: Sequence[tuple[int, int]]) -> float:
        count = sum(len(by_size[size]) for size in part)
        largest = map(max, zip(*part, strict=True))
        flops = count * steps * step_flops(config, *largest)
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
        chosen = set(sizes[begin:end])
        parts.append(
            [
                trial
                for trial in trials
                if (trial.config.task.length, trial.config.task.cardinality) in chosen
            ]
        )
        end = begin
    return parts[::-1]


def step_flops(config: Config, length: int, cardinality: int) -> float:
    """FLOPs of a training step at these sizes, of the matrix products about."""
    model = config.model
    units, gates = model.units, GATES[model.cell]
    memory = units * (2 if model.bidirectional else 1)
    layer = gates * units * (model.embedding + units) * model.layers
    reader = layer * memory // units
    writer = layer + units * cardinality
    if model.attention != "none":
        attention = model.attention_units or units
        writer += gates * units * memory + attention * units + (units + memory) * units
        writer += length * (attention + memory)
        reader += attention * memory
    return 6.0 * config.train.batch_size * length * (reader + writer)


def _steps(config: Config) -> int:
    train = config.train
    if train.steps is not None:
        return train.steps
    assert train.epochs is not None
    return train.epochs * math.ceil(config.task.num_train / train.batch_size)

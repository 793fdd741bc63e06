"""Which trials one compiled program can train: those that differ in numbers alone."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from s2sjax import config as configs
from s2sjax.config import Config
from s2sjax.sweeps import widths
from s2sjax.sweeps.trial import Trial

# The fields that are numbers inside compiled code, with padding where they are sizes.
# Everything else changes shapes or code. Whether feeding is all gold is `feeding`, a
# choice, so that gold and stepped trials never share a group.
BATCHABLE = (
    "seed",
    "train.learning_rate",
    "train.feeding_probability",
    "model.dropout_embedding",
    "model.dropout_state",
    "model.dropout_output",
    "task.length",
    "task.min_length",
    "task.cardinality",
    "task.num_train",
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

    >>> from s2sjax.sweeps.definition import resolve
    >>> base = configs.resolve({"train": {"steps": 5}})
    >>> sweep = [{"seed": 1}, {"model.units": 8}, {"task.length": 5}]
    >>> [[trial.index for trial in each.trials] for each in group(resolve(base, sweep))]
    [[0, 2], [1]]
    """
    groups: dict[Any, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(_key(trial.config), []).append(trial)
    return [
        Group(tuple(part))
        for members in groups.values()
        for part in widths.split(members)
    ]


def _key(config: Config) -> Any:
    flat = configs.flatten(config)
    size = config.task.num_train
    apart = size if config.train.epochs is not None else bool(size)
    model = config.model
    drops = (model.dropout_embedding, model.dropout_state, model.dropout_output)
    optimizer = config.train.optimizer.partition(":")[0]
    shape = config.task.cardinality if optimizer in BY_SHAPE else 0
    rest = tuple(v for field, v in flat.items() if field not in BATCHABLE)
    return apart, any(drops), shape, rest

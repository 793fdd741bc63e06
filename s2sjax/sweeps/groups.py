"""Which trials one compiled program can train: those that differ in numbers alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from s2sjax import config as configs
from s2sjax.config import Config
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


@dataclass(frozen=True)
class Group:
    """Trials of one program, in the order of the sweep."""

    trials: tuple[Trial, ...]

    @property
    def widest(self) -> Config:
        """The config whose arrays hold those of every trial: the largest sizes."""
        sizes = [trial.config.task for trial in self.trials]
        found = max(sizes, key=lambda task: (task.length, task.cardinality))
        return next(t.config for t in self.trials if t.config.task is found)

    def varying(self) -> list[str]:
        """The fields in which its trials differ."""
        flat = [configs.flatten(trial.config) for trial in self.trials]
        return [f for f in BATCHABLE if len({values[f] for values in flat}) > 1]


def group(trials: Sequence[Trial]) -> list[Group]:
    """Splits trials into groups that are equal in all but `BATCHABLE`.

    A training set without end and a finite one are different code, and where a run is
    counted in epochs, the size of its training set is its number of steps.

    >>> from s2sjax.sweeps.definition import resolve
    >>> base = configs.resolve({"train": {"steps": 5}})
    >>> sweep = [{"seed": 1}, {"model.units": 8}, {"task.length": 5}]
    >>> [[trial.index for trial in each.trials] for each in group(resolve(base, sweep))]
    [[0, 2], [1]]
    """
    groups: dict[Any, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(_key(trial.config), []).append(trial)
    return [Group(tuple(members)) for members in groups.values()]


def _key(config: Config) -> Any:
    flat = configs.flatten(config)
    size = config.task.num_train
    apart = size if config.train.epochs is not None else bool(size)
    return apart, tuple(v for field, v in flat.items() if field not in BATCHABLE)

"""A recipe: the objective, optimiser, schedule and feeding of a training step."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import optax
from jax import Array

from s2sjax.config import TrainConfig
from s2sjax.models.readout import SYMBOLIC, Readout
from s2sjax.training.feeding import GOLD, Feeding, feeding
from s2sjax.training.objectives import Objective, objective
from s2sjax.training.objectives.likelihood import nll
from s2sjax.training.optimizer import Schedule, full, optimizer, schedule


@dataclass(frozen=True)
class Recipe:
    """How parameters are found; static in compiled code, equal where its parts are.

    >>> recipe = Recipe(optimizer=lambda rate: optax.adamw(rate, weight_decay=0.1))

    Attributes:
      objective: what is made small; see `objectives`.
      optimizer: the optax transformation at a learning rate, [], which is traced.
      schedule: step -> factor of the learning rate.
      feeding: what the decoder reads.
      tbptt: inputs of a window, over which states are carried; 0: there are none.
    """

    objective: Objective = nll
    optimizer: Callable[[Array], optax.GradientTransformation] = optax.adam
    schedule: Schedule = full
    feeding: Feeding = GOLD
    tbptt: int = 0


# What a recipe is made of. The other fields are numbers, or change no step.
_PARTS = (
    *("objective", "optimizer", "clip_norm", "schedule"),
    *("feeding", "feeding_schedule", "feeding_unit"),
    "tbptt",
)


def recipe(config: TrainConfig, steps: int, readout: Readout = SYMBOLIC) -> Recipe:
    """The recipe of a run of `steps` steps; the same one where it is made of the same,
    so that it is compiled once.

    Args:
      config: of training.
      steps: of the run.
      readout: what is written; of symbols their number changes nothing.

    Raises:
      UsageError: an unknown objective, optimiser, schedule, feeding or argument.
    """
    parts = {name: getattr(config, name) for name in _PARTS}
    return _recipe(TrainConfig(**parts), steps, readout.kind)


@functools.cache
def _recipe(config: TrainConfig, steps: int, readout: Readout) -> Recipe:
    return Recipe(
        objective(config.objective, readout),
        functools.partial(optimizer, config),
        schedule(config, steps),
        feeding(config, readout),
        config.tbptt,
    )

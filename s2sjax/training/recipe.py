"""What a training step does, apart from its numbers: chosen once, at the edge."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import optax
from jax import Array

from s2sjax.config import TrainConfig
from s2sjax.training.feeding import GOLD, Feeding, feeding
from s2sjax.training.objectives import Objective, nll, objective
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
    """

    objective: Objective = nll
    optimizer: Callable[[Array], optax.GradientTransformation] = optax.adam
    schedule: Schedule = full
    feeding: Feeding = GOLD


@functools.cache
def recipe(config: TrainConfig, steps: int) -> Recipe:
    """The recipe of a run of `steps` steps; the same one for the same config.

    Raises:
      UsageError: an unknown objective, optimiser, schedule, feeding or argument.
    """
    return Recipe(
        objective(config.objective),
        functools.partial(optimizer, config),
        schedule(config, steps),
        feeding(config),
    )

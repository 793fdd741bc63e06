"""Where the decoder's inputs come from: gold, its own outputs, or both.

All gold is teacher forcing, none is free running, a random mask of the two is scheduled
sampling (Bengio et al. 2015). A feedback says how an output becomes an input; a unit,
what one draw decides; a schedule, how the probability of one's own output grows.
"""

from typing import Any

import jax
import jax.numpy as jnp

from s2sjax import rng, spec
from s2sjax.config import TrainConfig
from s2sjax.models.readout import SYMBOLIC, Numeric, Readout
from s2sjax.training.feeding.base import (
    FEEDING_SCHEDULES,
    GOLD,
    UNITS,
    Feeding,
    Unit,
    step_keys,
)
from s2sjax.training.feeding.numbers import (
    NUMBER_FEEDINGS,
    NumberFeeding,
    mean,
    never,
)
from s2sjax.training.feeding.symbols import FEEDINGS, SymbolFeeding
from s2sjax.training.optimizer import Schedule

__all__ = [
    "FEEDINGS",
    "FEEDING_SCHEDULES",
    "GOLD",
    "NUMBER_FEEDINGS",
    "Feeding",
    "SymbolFeeding",
    "feeding",
    "step_keys",
]


def feeding(config: TrainConfig, readout: Readout = SYMBOLIC) -> Feeding:
    """The feeding of a config, tried on a few outputs.

    Args:
      config: of training.
      readout: what is written; of symbols their number changes nothing.

    Raises:
      UsageError: an unknown feeding, schedule or argument, a feedback that returns
        neither tokens nor distributions, or one that what is written has not.
    """
    kind = "train.feeding_schedule"
    factor = spec.call(kind, config.feeding_schedule, FEEDING_SCHEDULES)
    unit = UNITS[config.feeding_unit]
    if isinstance(readout, Numeric):
        return _of_numbers(config, readout, factor, unit)
    feedback = spec.call("train.feeding", config.feeding, FEEDINGS)
    chosen = SymbolFeeding(feedback, factor, unit)
    if feedback is not None:
        _try(config, chosen, jnp.zeros((2, 7)), jnp.ones(2, int), None)
    return chosen


def _of_numbers(
    config: TrainConfig, readout: Numeric, factor: Schedule, unit: Unit
) -> Feeding:
    own = spec.call("train.feeding", config.feeding, NUMBER_FEEDINGS)
    if own is None:
        if not readout.gaps:
            return Feeding(None, factor, unit)
        # What is missing is the model's own mean; no other input is.
        own, factor = mean(), never
    chosen = NumberFeeding(own, factor, unit, readout)
    raw, numbers = jnp.zeros((2, readout.size)), jnp.ones((2, readout.numbers))
    _try(config, chosen, raw, numbers, numbers)
    return chosen


def _try(config: TrainConfig, chosen: Feeding, *some: Any) -> None:
    raw, gold, beside = some
    own, keys = jnp.ones(2, bool), rng.per_example(rng.root(0), jnp.arange(2))
    spec.tried(
        "train.feeding",
        config.feeding,
        lambda: jax.eval_shape(chosen.feed, raw, gold, own, keys, beside),
    )

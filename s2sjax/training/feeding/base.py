"""When the decoder's own output goes in: how often, in what units, from which keys.

A schedule says how the probability grows; a unit, what one draw decides.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import rng, spec
from s2sjax.training.optimizer import Schedule, full
from s2sjax.types import Batch

# The probability of one's own output is `train.feeding_probability` times a factor of
# the step i = 0, 1, ...: one minus that of the true token, epsilon_i, of Bengio et al.
# 2015, section 2.4.


def constant() -> Schedule:
    """1 from the first step on."""
    return full


def linear(*, steps: int) -> Schedule:
    """min(1, i / steps): 0 at the first step, 1 from step `steps` on."""
    spec.between("steps", steps, 1, spec.LARGEST)
    return lambda step: jnp.minimum(1.0, step / steps)


def exponential(*, k: float) -> Schedule:
    """1 - k^i with 0 < k < 1: 0 at the first step, half where k^i = 1/2."""
    spec.between("k", k, 1e-6, 1 - 1e-9)
    return lambda step: -jnp.expm1(step * math.log(k))


def inverse_sigmoid(*, k: float) -> Schedule:
    """1 - k / (k + exp(i / k)) with k >= 1: 1 / (k + 1) at the first step, half at step
    k ln k."""
    spec.between("k", k, 1, 1e9)
    return lambda step: jax.nn.sigmoid(step / k - math.log(k))


FEEDING_SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "linear": linear,
    "exponential": exponential,
    "inverse_sigmoid": inverse_sigmoid,
}

Unit = Callable[[Array, Array, int], Array]
"""`unit(key, keys, time) -> uniform`: numbers in [0, 1) that are [B, T] or stand for
them, from the step's key, a key for each example [B], and T."""


def _token(key: Array, keys: Array, time: int) -> Array:
    return jax.vmap(lambda each: jax.random.uniform(each, (time,)))(keys)  # -> [B, T]


def _sequence(key: Array, keys: Array, time: int) -> Array:
    return jax.vmap(jax.random.uniform)(keys)[:, None]  # -> [B, 1]


def _batch(key: Array, keys: Array, time: int) -> Array:
    return jax.random.uniform(key, (1, 1))


UNITS: dict[str, Unit] = {"token": _token, "sequence": _sequence, "batch": _batch}


@dataclass(frozen=True)
class Feeding:
    """How a step feeds the decoder; this one with gold alone.

    Attributes:
      feedback: how an output becomes an input; None: all inputs are gold, which takes
        the path that hoists the products out of the recurrence.
      factor: of the probability that an input is the model's own, by step.
      unit: what one draw decides.
    """

    feedback: Callable[..., Array] | None = None
    factor: Schedule = full
    unit: Unit = UNITS["token"]

    def own(self, key: Array, keys: Array, time: int, probability: Array) -> Array:
        """Where the model's own output goes in, [B, T] bool.

        Args:
          key: of the step.
          keys: of its examples, [B].
          time: T.
          probability: of each input, [].
        """
        name = "feeding"
        each = jax.vmap(lambda one: rng.stream(one, name))(keys)
        uniform = self.unit(rng.stream(key, name), each, time)
        return jnp.broadcast_to(uniform < probability, (len(keys), time))

    def beside(self, batch: Batch, vocabulary: Array | None, time: int) -> Any:
        """What `feed` is given of each step besides, leading axis T.

        Args:
          batch: the examples.
          vocabulary: the size of a run's own, where the model's is padded.
          time: T.
        """

    def feed(
        self, raw: Array, gold: Array, own: Array, keys: Array, beside: Any
    ) -> Array:
        """The next inputs.

        Args:
          raw: what the decoder said last, [B, P].
          gold: the gold inputs, [B, ...].
          own: where its output goes in instead, [B] bool.
          keys: of the examples at this step, [B].
          beside: see there.
        """
        raise NotImplementedError


GOLD = Feeding()  # teacher forcing


def step_keys(keys: Array, time: int) -> Array:
    """A key for each step of each example, [B, T], from one for each, [B]."""
    steps = jnp.arange(time)
    return jax.vmap(
        lambda key: jax.vmap(lambda t: rng.stream(key, "feedback", t))(steps)
    )(keys)

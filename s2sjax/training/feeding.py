"""Where the decoder's inputs come from: gold tokens, its own outputs, or both.

All gold is teacher forcing, none is free running, a random mask of the two is scheduled
sampling (Bengio et al. 2015). A feedback says how an output becomes an input; a unit,
what one draw decides; a schedule, how the probability of one's own output grows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax import rng, spec
from s2sjax.config import TrainConfig
from s2sjax.errors import UsageError
from s2sjax.training.optimizer import Schedule, full
from s2sjax.types import described

Feedback = Callable[[Array, Array], Array]
"""`feedback(logits, key) -> x`: what an example's decoder said, [V], as its next input:
a token id, [] int32, or a distribution, [V], of which the embedding is the mean. `key`
is that of the example and the step."""


def argmax() -> Feedback:
    """The most probable token; no gradient passes through the choice."""
    return lambda logits, key: jnp.argmax(logits).astype(jnp.int32)


def probabilities(*, temperature: float = 1.0) -> Feedback:
    """softmax(logits / temperature), the whole of it; gradients pass through."""
    _check_temperature(temperature)
    return lambda logits, key: jax.nn.softmax(logits / temperature)


def sample(*, temperature: float = 1.0) -> Feedback:
    """A token drawn from softmax(logits / temperature); without a gradient."""
    _check_temperature(temperature)

    def feedback(logits: Array, key: Array) -> Array:
        drawn = jax.random.categorical(key, logits / temperature)
        return drawn.astype(jnp.int32)

    return feedback


def straight_through(*, temperature: float = 1.0) -> Feedback:
    """The most probable token as a one-hot vector, with the gradient of
    softmax(logits / temperature) (the straight-through estimator of Bengio et al. 2013,
    section 4)."""
    _check_temperature(temperature)

    def feedback(logits: Array, key: Array) -> Array:
        soft = jax.nn.softmax(logits / temperature)
        hard = jax.nn.one_hot(jnp.argmax(logits), len(logits), dtype=soft.dtype)
        return hard + (soft - lax.stop_gradient(soft))

    return feedback


def _check_temperature(temperature: float) -> None:
    spec.between("temperature", temperature, 1e-3, 1e3)


FEEDINGS: dict[str, Callable[..., Feedback | None]] = {
    "gold": lambda: None,
    "none": lambda: None,  # the model reads nothing, whatever it is fed
    "argmax": argmax,
    "probabilities": probabilities,
    "sample": sample,
    "straight_through": straight_through,
}

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
    """How a step feeds the decoder.

    Attributes:
      feedback: how an output becomes an input; None: all inputs are gold, which takes
        the path that hoists the products out of the recurrence.
      factor: of the probability that an input is the model's own, by step.
      unit: what one draw decides.
    """

    feedback: Feedback | None = None
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

    def feed(self, logits: Array, gold: Array, own: Array, keys: Array) -> Array:
        """The next inputs: tokens [B] or distributions [B, V].

        Args:
          logits: that the decoder said last, [B, V].
          gold: tokens, [B].
          own: where its output goes in instead, [B] bool.
          keys: of the examples at this step, [B].
        """
        assert self.feedback is not None
        fed = jax.vmap(self.feedback)(logits, keys)
        _check_fed(self.feedback, fed, logits.shape)
        if fed.ndim == 1:
            return jnp.where(own, fed, gold)
        gold = jax.nn.one_hot(gold, logits.shape[-1], dtype=fed.dtype)
        return jnp.where(own[:, None], fed, gold)


def _check_fed(feedback: Feedback, fed: Any, shape: tuple[int, ...]) -> None:
    if isinstance(fed, Array):
        is_whole = jnp.issubdtype(fed.dtype, jnp.integer)
        if fed.shape == (shape[:1] if is_whole else shape):
            return
    name = getattr(feedback, "__name__", feedback)
    raise UsageError(
        f"train.feeding: {name} returned {described(fed)} for {shape[0]} examples; "
        f"wanted token ids, int[{shape[0]}], or distributions, float{list(shape)}"
    )


GOLD = Feeding()  # teacher forcing


def step_keys(keys: Array, time: int) -> Array:
    """A key for each step of each example, [B, T], from one for each, [B]."""
    steps = jnp.arange(time)
    return jax.vmap(
        lambda key: jax.vmap(lambda t: rng.stream(key, "feedback", t))(steps)
    )(keys)


def feeding(config: TrainConfig) -> Feeding:
    """The feeding of a config, tried on a few logits.

    Raises:
      UsageError: an unknown feeding, schedule or argument, or a feedback that returns
        neither tokens nor distributions.
    """
    kind = "train.feeding_schedule"
    chosen = Feeding(
        spec.call("train.feeding", config.feeding, FEEDINGS),
        spec.call(kind, config.feeding_schedule, FEEDING_SCHEDULES),
        UNITS[config.feeding_unit],
    )
    if chosen.feedback is not None:
        own, keys = jnp.ones(2, bool), rng.per_example(rng.root(0), jnp.arange(2))
        some = jnp.zeros((2, 7)), jnp.ones(2, int), own, keys
        spec.tried(
            "train.feeding",
            config.feeding,
            lambda: jax.eval_shape(chosen.feed, *some),
        )
    return chosen

"""Optimisers of optax by name, and schedules as factors of the learning rate."""

import inspect
from collections.abc import Callable

import jax.numpy as jnp
import optax
from jax import Array

from s2sjax import spec
from s2sjax.config import TrainConfig

Schedule = Callable[[Array], Array]  # step -> factor of the peak learning rate


def full(step: Array) -> Array:
    """1 at every step."""
    return jnp.ones_like(step, jnp.float32)


def _constant(steps: int, *, warmup: int = 0) -> Schedule:
    """1 after a linear warm-up."""
    spec.between("warmup", warmup, 0, spec.LARGEST)
    return lambda step: _warm(step, warmup)


def _cosine(steps: int, *, warmup: int = 0, final: float = 0.0) -> Schedule:
    """Linear warm-up, then half a cosine to `final` at the last step."""
    spec.between("warmup", warmup, 0, spec.LARGEST)
    spec.between("final", final, 0, 1)

    def factor(step: Array) -> Array:
        done = jnp.clip((step - warmup) / max(steps - warmup, 1), 0, 1)
        cosine = final + (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * done))
        return jnp.where(step < warmup, _warm(step, warmup), cosine)

    return factor


def _rsqrt(steps: int, *, warmup: int = 100) -> Schedule:
    """Linear warm-up, then sqrt(warmup / step) (Vaswani et al. 2017, section 5.3)."""
    spec.between("warmup", warmup, 0, spec.LARGEST)

    def factor(step: Array) -> Array:
        later = jnp.sqrt(max(warmup, 1) / jnp.maximum(step + 1, max(warmup, 1)))
        return jnp.minimum(_warm(step, warmup), later)

    return factor


def _warm(step: Array, warmup: int) -> Array:
    return jnp.minimum(1.0, (step + 1) / max(warmup, 1))


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": _constant,
    "cosine": _cosine,
    "rsqrt": _rsqrt,
}

# They need the loss function, gradients of single examples or a key, or are deprecated.
_LEFT_OUT = ("lbfgs", "dpsgd", "noisy_sgd", "optimistic_adam")

OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    name: function
    for name, function in vars(optax).items()
    if inspect.isfunction(function)
    and next(iter(inspect.signature(function).parameters), "") == "learning_rate"
    and not name.startswith(("_", "scale_by_"))  # parts of optimisers
    and name not in _LEFT_OUT
}


def schedule(config: TrainConfig, steps: int) -> Schedule:
    """The schedule of a run of `steps` steps: step -> factor.

    Raises:
      UsageError: an unknown schedule or argument.
    """
    return spec.call("train.schedule", config.schedule, SCHEDULES, steps)


def optimizer(
    config: TrainConfig, learning_rate: Array | float
) -> optax.GradientTransformation:
    """The optax transformation at this learning rate, which may be traced.

    Raises:
      UsageError: an unknown optimiser or argument.
    """
    chosen = spec.call("train.optimizer", config.optimizer, OPTIMIZERS, learning_rate)
    if not config.clip_norm:
        return chosen
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), chosen)

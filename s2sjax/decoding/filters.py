"""Filters of a distribution before a token is drawn from it.

They apply in this order, each to what the one before it left:

    temperature   log p / temperature, normalised again
    top_k         the k most probable tokens
    top_p         the fewest most probable tokens that together reach p
                  (nucleus; Holtzman et al. 2020)
    min_p         tokens at least min_p times as probable as the best
                  (Nguyen et al. 2024)
    typical       the fewest tokens that together reach the mass, those first whose
                  surprise is nearest to the entropy (Meister et al. 2023)
    epsilon       tokens of at least this probability (Hewitt et al. 2022)

A token at the boundary stays; of equal ones the smaller id counts first. The most
probable token (for `typical`, the most typical one) always stays. After each filter
what is left is normalised again.
"""

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.base import log_probs as normalised
from s2sjax.decoding.base import only
from s2sjax.errors import UsageError
from s2sjax.spec import LARGEST

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# float32 rounds sums and quotients of probabilities: what is reached up to this counts
# as reached, so that a boundary token stays.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Filters:
    """Which filters apply; the defaults change nothing.

    Raises:
      UsageError: a value outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical: float = 1.0
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        possible = {
            "temperature": (
                self.temperature == 0 or 1e-6 <= self.temperature <= 1e6,
                "from 1e-06 to 1e+06, or 0",
            ),
            "top_k": (0 <= self.top_k <= LARGEST, f"from 0 to {LARGEST}"),
            "top_p": (0 < self.top_p <= 1, "above 0, at most 1"),
            "min_p": (0 <= self.min_p <= 1, "from 0 to 1"),
            "typical": (0 < self.typical <= 1, "above 0, at most 1"),
            "epsilon": (0 <= self.epsilon < 1, "from 0, below 1"),
        }
        for field in fields(self):
            fits, range_ = possible[field.name]
            if not fits:
                value = getattr(self, field.name)
                raise UsageError(f"{field.name}={value} is not a number {range_}")

    def __call__(self, log_probs: Array) -> Array:
        """What tokens are drawn from: log-probabilities [..., V], -inf where left out.

        >>> import jax.numpy as jnp
        >>> left = Filters(top_k=2)(jnp.log(jnp.array([0.5, 0.3, 0.2])))
        >>> [round(float(p), 3) for p in jnp.exp(left)]
        [0.625, 0.375, 0.0]
        """
        if self.temperature == 0:
            log_probs = keep_best(log_probs, 1)
        elif self.temperature != 1:
            log_probs = normalised(log_probs / self.temperature)
        if self.top_k:
            log_probs = keep_best(log_probs, self.top_k)
        if self.top_p < 1:
            log_probs = keep_mass(log_probs, -log_probs, self.top_p)
        if self.min_p:
            best = jnp.max(log_probs, axis=-1, keepdims=True)
            log_probs = _keep(log_probs, log_probs >= best + _log(self.min_p))
        if self.typical < 1:
            log_probs = keep_mass(log_probs, atypicality(log_probs), self.typical)
        if self.epsilon:
            best = jnp.argmax(log_probs, axis=-1)
            is_best = jax.nn.one_hot(best, log_probs.shape[-1], dtype=bool)
            likely = log_probs >= _log(self.epsilon)
            log_probs = _keep(log_probs, likely | is_best)
        return log_probs


def with_filters(strategy: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A strategy whose `**filters` are the fields of `Filters`.

    Its signature lists them, and no other name is taken: all that draw take the same.

    >>> @with_filters
    ... def left(p, **filters):
    ...     return Filters(**filters)(jnp.log(p))
    >>> list(inspect.signature(left).parameters)[:4]
    ['p', 'temperature', 'top_k', 'top_p']
    """
    parameters = list(inspect.signature(strategy).parameters.values())
    listed = inspect.signature(Filters).parameters.values()
    keywords = [each.replace(kind=each.KEYWORD_ONLY) for each in listed]
    signature = inspect.Signature([*parameters[:-1], *keywords])

    @functools.wraps(strategy)
    def filtering(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        signature.bind(*args, **kwargs)  # a TypeError, as of any function
        return strategy(*args, **kwargs)

    filtering.__signature__ = signature  # type: ignore[attr-defined]
    # What reads source text for defaults would find those of fewer arguments there.
    del filtering.__wrapped__
    return filtering


def _log(probability: float) -> float:
    return math.log(probability) - _ROUNDING


def keep_best(log_probs: Array, count: int) -> Array:
    """The `count` most probable tokens."""
    return _keep(log_probs, _ranks(-log_probs) < count)


def keep_mass(log_probs: Array, order: Array, mass: float) -> Array:
    """The fewest tokens, smallest `order` first, whose probabilities reach `mass`."""
    by_order = jnp.argsort(order, axis=-1, stable=True)
    sorted_probs = jnp.take_along_axis(jnp.exp(log_probs), by_order, axis=-1)
    before = jnp.cumsum(sorted_probs, axis=-1) - sorted_probs
    needed = before < mass - _ROUNDING
    needed = needed.at[..., 0].set(True)
    return _keep(log_probs, jnp.take_along_axis(needed, _ranks(order), axis=-1))


def atypicality(log_probs: Array) -> Array:
    """|-log p - H|, how far a token's surprise is from the entropy."""
    impossible = log_probs == -jnp.inf
    surprise = jnp.where(impossible, 0, -log_probs)
    entropy = jnp.sum(jnp.exp(log_probs) * surprise, axis=-1, keepdims=True)
    return jnp.where(impossible, jnp.inf, jnp.abs(surprise - entropy))


def _ranks(order: Array) -> Array:
    """How many tokens come before each one, smallest first and stable."""
    by_order = jnp.argsort(order, axis=-1, stable=True)
    return jnp.argsort(by_order, axis=-1, stable=True)


def _keep(log_probs: Array, staying: Array) -> Array:
    return normalised(only(staying, log_probs))

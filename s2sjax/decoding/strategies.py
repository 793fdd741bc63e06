"""The table of decoding strategies, and a strategy from its spec."""

from collections.abc import Callable

from jax import Array

from s2sjax import spec
from s2sjax.decoding.greedy import greedy
from s2sjax.types import Carry, Hypotheses, StepFn

Strategy = Callable[[StepFn, Carry, Array, Array, int], Hypotheses]
"""`strategy(step, carry, limits, keys, width)`: limits [B] int32, the most tokens of
each row; keys [B], each row's own; width, the largest limit there can be."""


def _greedy() -> Strategy:
    return greedy


STRATEGIES: dict[str, Callable[..., Strategy]] = {"greedy": _greedy}


def strategy(text: str) -> Strategy:
    """The strategy that a spec names, e.g. `greedy`.

    Raises:
      UsageError: unknown name or argument, or an impossible value.
    """
    return spec.call("decoding strategy", text, STRATEGIES)

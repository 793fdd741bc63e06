"""What a decoding strategy is, and what all of them take."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

import jax

from s2sjax.decoding.request import Request
from s2sjax.errors import UsageError
from s2sjax.types import Carry, Hypotheses, StepFn

Strategy = Callable[[StepFn, Carry, Request], Hypotheses]
"""`strategy(step, carry, request)`: the hypotheses of every row of the carry."""


@dataclass(frozen=True)
class Rules:
    """What every strategy takes besides its own arguments.

    An output has at least `min_ratio * source length + min_extra` tokens and at most
    `max_ratio * source length + max_extra`, EOS counted, both rounded up; what is not
    given of the maximum is the config's `decode.length_ratio` and
    `decode.length_extra`. No n-gram of the order `no_repeat` stands in it twice.
    """

    min_ratio: float = 0.0
    min_extra: int = 0
    max_ratio: float | None = None
    max_extra: int | None = None
    no_repeat: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                at_least(field.name, value, 1 if field.name == "max_extra" else 0)


class Decoding(NamedTuple):
    """What a spec names."""

    strategy: Strategy
    rules: Rules


def at_least(name: str, value: float | str, least: int) -> None:
    """Checks an argument of a spec.

    Raises:
      UsageError: it is smaller, or no number.
    """
    if isinstance(value, str | bool) or value < least:
        raise UsageError(f"{name}={value} is not a number of at least {least}")


def seeded(strategy: Strategy, seed: int | None) -> Strategy:
    """The strategy with keys of its own, where a seed is given."""
    if seed is None:
        return strategy
    at_least("seed", seed, 0)

    def with_seed(step: StepFn, carry: Carry, request: Request) -> Hypotheses:
        keys = jax.vmap(jax.random.fold_in, (0, None))(request.keys, seed)
        return strategy(step, carry, request._replace(keys=keys))

    return with_seed

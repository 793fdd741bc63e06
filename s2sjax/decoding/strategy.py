"""What a decoding strategy is, and what all of them take."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

import jax

from s2sjax import spec
from s2sjax.decoding.request import Request
from s2sjax.types import Carry, Hypotheses, StepFn

LARGEST_SIZE = 10**6  # of what is held or returned, and tokens of an output
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
                spec.between(field.name, value, *_POSSIBLE[field.name])


_POSSIBLE = {
    "min_ratio": (0, 1000),
    "min_extra": (0, LARGEST_SIZE),
    "max_ratio": (0, 1000),
    "max_extra": (1, LARGEST_SIZE),
    "no_repeat": (0, LARGEST_SIZE),
}


class Decoding(NamedTuple):
    """What a spec names."""

    strategy: Strategy
    rules: Rules


def seeded(strategy: Strategy, seed: int | None) -> Strategy:
    """The strategy with keys of its own, where a seed is given."""
    if seed is None:
        return strategy
    spec.between("seed", seed, 0, spec.LARGEST)

    def with_seed(step: StepFn, carry: Carry, request: Request) -> Hypotheses:
        keys = jax.vmap(jax.random.fold_in, (0, None))(request.keys, seed)
        return strategy(step, carry, request._replace(keys=keys))

    return with_seed

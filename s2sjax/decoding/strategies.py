"""The table of decoding strategies, and a strategy from its spec."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import NamedTuple

import jax

from s2sjax import spec
from s2sjax.decoding.beam import beam
from s2sjax.decoding.filters import Filters
from s2sjax.decoding.greedy import greedy
from s2sjax.decoding.normaliser import normaliser as a_normaliser
from s2sjax.decoding.request import Request
from s2sjax.decoding.sample import sample
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


def check_beam(size: int, n: int) -> None:
    """Checks the sizes that all beams have.

    Raises:
      UsageError: a size below 1, or more hypotheses than the beam holds.
    """
    at_least("size", size, 1)
    at_least("n", n, 1)
    if n > size:
        raise UsageError(f"n={n} is more than the beam holds: size={size}")


def _greedy() -> Strategy:
    return greedy


def _sample(
    *,
    n: int = 1,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    typical: float = 1.0,
    epsilon: float = 0.0,
    seed: int | None = None,
) -> Strategy:
    at_least("n", n, 1)
    filters = Filters(temperature, top_k, top_p, min_p, typical, epsilon)
    return seeded(partial(sample, count=n, filters=filters), seed)


def _beam(
    *,
    size: int = 5,
    n: int = 1,
    alpha: float | None = None,
    normaliser: str | None = None,
    coverage: float = 0.0,
    early: bool = True,
) -> Strategy:
    check_beam(size, n)
    at_least("coverage", coverage, 0)
    return partial(
        beam,
        size=size,
        count=n,
        normaliser=a_normaliser(normaliser, alpha),
        coverage_penalty=coverage,
        early=early,
    )


STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "greedy": _greedy,
    "sample": _sample,
    "beam": _beam,
}


def decoding(text: str) -> Decoding:
    """What a spec names, e.g. `greedy` or `beam:size=10,alpha=1.0,no_repeat=3`.

    Raises:
      UsageError: unknown name or argument, or an impossible value.
    """
    parsed = spec.parse(text)
    shared = {field.name for field in fields(Rules)}
    own, rules = parsed.split(shared)
    strategy = spec.call("decoding strategy", own, STRATEGIES, also=shared)
    return Decoding(strategy, spec.call("rules of", rules, {parsed.name: Rules}))

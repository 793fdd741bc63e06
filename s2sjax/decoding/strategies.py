"""The table of decoding strategies, and a strategy from its spec.

A function of the table takes the arguments of a spec, checks them, and gives the
strategy. `n` is always how many hypotheses are returned, `size` how many are held.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any

from jax import Array

from s2sjax import spec
from s2sjax.decoding.base import (
    LARGEST_SIZE,
    Decoding,
    Request,
    Rules,
    Strategy,
    seeded,
)
from s2sjax.decoding.beam import beam
from s2sjax.decoding.constrained_beam import constrained_beam
from s2sjax.decoding.diverse_beam import diverse_beam
from s2sjax.decoding.exact import exact
from s2sjax.decoding.filters import Filters
from s2sjax.decoding.rerank import WEIGHTS, expected_utility, rerank, scorer_named
from s2sjax.decoding.sampling import greedy, sample
from s2sjax.decoding.scores import normaliser as a_normaliser
from s2sjax.decoding.similarity import UTILITIES
from s2sjax.decoding.stochastic_beam import stochastic_beam
from s2sjax.errors import UsageError, unknown
from s2sjax.types import Hypotheses


def _check_size(name: str, value: int) -> None:
    spec.between(name, value, 1, LARGEST_SIZE)


def _check_sizes(size: int, n: int) -> None:
    _check_size("size", size)
    _check_size("n", n)
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
    _check_size("n", n)
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
    _check_sizes(size, n)
    spec.between("coverage", coverage, 0, 1e6)
    return partial(
        beam,
        size=size,
        count=n,
        normaliser=a_normaliser(normaliser, alpha),
        coverage_penalty=coverage,
        early=early,
    )


def _diverse_beam(
    *,
    size: int = 6,
    groups: int = 3,
    diversity: float = 0.5,
    n: int = 1,
    alpha: float | None = None,
    normaliser: str | None = None,
    early: bool = True,
) -> Strategy:
    _check_sizes(size, n)
    _check_size("groups", groups)
    spec.between("diversity", diversity, 0, 1e6)
    if size % groups:
        raise UsageError(f"size={size} cannot be shared out to groups={groups} equally")
    return partial(
        diverse_beam,
        size=size,
        groups=groups,
        diversity=diversity,
        count=n,
        normaliser=a_normaliser(normaliser, alpha),
        early=early,
    )


def _stochastic_beam(
    *,
    size: int = 5,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    typical: float = 1.0,
    epsilon: float = 0.0,
    seed: int | None = None,
) -> Strategy:
    _check_size("size", size)
    filters = Filters(temperature, top_k, top_p, min_p, typical, epsilon)
    return seeded(partial(stochastic_beam, size=size, filters=filters), seed)


def _constrained(
    *,
    size: int = 10,
    n: int = 1,
    alpha: float | None = None,
    normaliser: str | None = None,
    early: bool = True,
) -> Strategy:
    _check_sizes(size, n)
    return partial(
        constrained_beam,
        size=size,
        count=n,
        normaliser=a_normaliser(normaliser, alpha),
        early=early,
    )


def _exact(
    *,
    n: int = 1,
    alpha: float | None = None,
    normaliser: str | None = None,
    budget: int = 1000,
    capacity: int = 1000,
    size: int = 8,
) -> Strategy:
    given = {"n": n, "budget": budget, "capacity": capacity, "size": size}
    for name, value in given.items():
        _check_size(name, value)
    if capacity < size:
        raise UsageError(f"capacity={capacity} is less than is expanded: size={size}")
    return partial(
        exact,
        count=n,
        normaliser=a_normaliser(normaliser, alpha),
        budget=budget,
        capacity=capacity,
        size=size,
    )


def _candidates(kind: str, size: int, n: int, drawn: dict[str, Any]) -> Strategy:
    """`size` candidates; `drawn` holds what only samples take."""
    _check_size("size", size)
    _check_size("n", n)
    if n > size:
        raise UsageError(f"n={n} is more than there are candidates: size={size}")
    given = {name: value for name, value in drawn.items() if value is not None}
    if kind == "sample":
        return _sample(n=size, **given)
    if kind != "beam":
        raise unknown("candidates", str(kind), ("beam", "sample"))
    for name, value in given.items():
        raise UsageError(f"{name}={value} has no effect with candidates=beam")
    return _beam(size=size, n=size)


def _mbr(
    *,
    n: int = 1,
    candidates: str = "sample",
    size: int = 32,
    utility: str = "edit_distance",
    weights: str | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    epsilon: float | None = None,
    seed: int | None = None,
) -> Strategy:
    drawn = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    drawn |= {"epsilon": epsilon, "seed": seed}
    if weights is None:  # a sample comes as often as it is probable, an entry once
        weights = "uniform" if candidates == "sample" else "probability"
    if weights not in WEIGHTS:
        raise unknown("weights", str(weights), WEIGHTS)
    if utility not in UTILITIES:
        raise unknown("utility", str(utility), UTILITIES)

    def expected(hypotheses: Hypotheses, request: Request) -> Array:
        return expected_utility(hypotheses, UTILITIES[utility], weights)

    found = _candidates(candidates, size, n, drawn)
    return partial(rerank, candidates=found, scorer=expected, count=n)


def _rerank(
    *,
    n: int = 1,
    candidates: str = "beam",
    size: int = 10,
    by: str = "average",
    alpha: float | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> Strategy:
    drawn = {"temperature": temperature, "top_p": top_p, "seed": seed}
    found = _candidates(candidates, size, n, drawn)
    return partial(rerank, candidates=found, scorer=scorer_named(by, alpha), count=n)


STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "greedy": _greedy,
    "sample": _sample,
    "beam": _beam,
    "diverse_beam": _diverse_beam,
    "stochastic_beam": _stochastic_beam,
    "constrained": _constrained,
    "exact": _exact,
    "mbr": _mbr,
    "rerank": _rerank,
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
    rules = replace(rules, file="")
    return Decoding(strategy, spec.call("rules of", rules, {parsed.name: Rules}))

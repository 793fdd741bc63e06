"""The table of decoding strategies, and a strategy from its spec."""

import contextlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import spec
from s2sjax.decoding.base import Request, Rules, Strategy, checked, described
from s2sjax.decoding.beam import beam
from s2sjax.decoding.constrained_beam import constrained_beam
from s2sjax.decoding.diverse_beam import diverse_beam
from s2sjax.decoding.exact import exact
from s2sjax.decoding.rerank import mbr, rerank
from s2sjax.decoding.sampling import greedy, sample
from s2sjax.decoding.stochastic_beam import stochastic_beam
from s2sjax.errors import UsageError
from s2sjax.types import Carry, Hypotheses, StepOutput

STRATEGIES: dict[str, Callable[..., Hypotheses]] = {
    "greedy": greedy,
    "sample": sample,
    "beam": beam,
    "diverse_beam": diverse_beam,
    "stochastic_beam": stochastic_beam,
    "constrained_beam": constrained_beam,
    "exact": exact,
    "mbr": mbr,
    "rerank": rerank,
}
"""name -> `strategy(step, carry, request, *, arguments of the spec) -> Hypotheses`.
Each refuses its arguments before it calls the step."""


class Decoding(NamedTuple):
    """What a spec names."""

    name: str
    arguments: Mapping[str, Any]  # of the strategy, also those that have their default
    strategy: Strategy
    rules: Rules


@cache
def decoding(text: str) -> Decoding:
    """What a spec names, e.g. `greedy` or `beam:size=10,alpha=1.0,no_repeat=3`.

    Raises:
      UsageError: unknown name or argument, or an impossible value.

    >>> decoding("beam:size=3,no_repeat=2").arguments["size"]
    3
    >>> decoding("beam:sise=3")
    Traceback (most recent call last):
    s2sjax.errors.UsageError: unknown argument of decoding strategy 'beam' 'sise'; \
did you mean 'size'? (one of: alpha, coverage, early, max_extra, max_ratio, min_extra, \
min_ratio, n, no_repeat, normaliser, size)
    """
    parsed = spec.parse(text)
    shared = {field.name for field in fields(Rules)}
    own, rules = parsed.split(shared)
    table = {name: entry(strategy) for name, strategy in STRATEGIES.items()}
    bound = spec.call("decoding strategy", own, table, also=shared)
    defaults = inspect.signature(table[own.name]).parameters
    arguments = {name: each.default for name, each in defaults.items()} | bound.keywords
    obeyed = spec.call("rules of", rules, {parsed.name: Rules})
    return Decoding(own.name, arguments, bound, obeyed)


def arguments_of(strategy: Callable[..., Hypotheses]) -> list[inspect.Parameter]:
    """What a spec may give a strategy: its keyword arguments."""
    parameters = inspect.signature(strategy).parameters.values()
    return [each for each in parameters if each.kind is each.KEYWORD_ONLY]


class _Called(Exception):
    """The step of a try was called."""


def entry(
    strategy: Callable[..., Hypotheses], *, whole: bool = False
) -> Callable[..., Strategy]:
    """Binds a spec's arguments to a strategy, after a try with a toy decoder.

    The try traces, and compiles nothing. It ends where the step is called, by when a
    strategy of the table has refused its arguments; a `whole` one, for a function from
    elsewhere, goes on to what is returned.

    Raises:
      UsageError: when arguments are bound: one of them is refused, or what comes back
        are no `Hypotheses`.
    """

    def bind(**given: Any) -> Strategy:
        bound = partial(strategy, **given)
        with contextlib.suppress(_Called):
            jax.eval_shape(partial(_try, bound, whole))
        return bound

    signature = inspect.Signature(arguments_of(strategy))
    bind.__signature__ = signature  # type: ignore[attr-defined]
    return bind


def _try(strategy: Strategy, whole: bool) -> None:
    batch, width, vocabulary = 2, 4, 8

    def step(carry: Carry, x: Array) -> tuple[Carry, StepOutput]:
        if not whole:
            raise _Called
        attention = jnp.zeros((batch, 3))
        return carry, StepOutput(
            jnp.zeros((batch, vocabulary)), {"attention": attention}
        )

    keys = jax.vmap(jax.random.key)(jnp.arange(batch))
    limits, lengths = jnp.full(batch, width), jnp.full(batch, 3)
    request = Request(width, limits, keys, lengths)
    returned = strategy(checked(step), jnp.zeros((batch, 1)), request)
    if not isinstance(returned, Hypotheses):
        raise UsageError(f"Hypotheses wanted, {described(returned)} came")
    n = jnp.shape(returned.scores)[-1:]
    shapes = {name: (batch, *n) for name in Hypotheses._fields[:-1]}
    for name, shape in (shapes | {"tokens": (batch, *n, width)}).items():
        leaf = getattr(returned, name)
        if jnp.shape(leaf) != shape:
            raise UsageError(
                f"Hypotheses.{name}: shape {list(shape)} wanted, {described(leaf)} came"
            )

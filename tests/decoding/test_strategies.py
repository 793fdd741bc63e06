"""Specs of strategies: what they build, and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding import strategies
from s2sjax.decoding.base import Rules
from s2sjax.decoding.beam import beam
from s2sjax.decoding.filters import Filters
from s2sjax.decoding.sampling import greedy, sample
from s2sjax.decoding.scores import KINDS, Normaliser
from s2sjax.decoding.strategies import STRATEGIES, decoding
from s2sjax.errors import UsageError
from tests.decoding.table_model import Models, assert_is_nbest

MODELS = Models(20, 6, 4, seed=0)


@pytest.mark.parametrize(
    ("spec", "function", "arguments"),
    [
        ("greedy", greedy, {}),
        ("beam:size=4,n=2,alpha=1", beam, {"size": 4, "n": 2, "alpha": 1.0}),
        ("sample:n=3.0,top_k=2", sample, {"n": 3, "top_k": 2}),
    ],
)
def test_a_spec_is_the_function_with_its_arguments(spec, function, arguments):
    found = decoding(spec)
    assert found.strategy.func is function and found.strategy.keywords == arguments
    assert all(found.arguments[name] == value for name, value in arguments.items())


def test_rules_are_those_of_every_strategy():
    for name in STRATEGIES:
        found = decoding(f"{name}:min_ratio=0.5,max_extra=4,no_repeat=2")
        assert found.rules == Rules(min_ratio=0.5, max_extra=4, no_repeat=2)
    assert decoding("greedy").rules == Rules()


def test_all_that_draw_take_the_same_filters_and_no_other_argument():
    names = {field.name for field in dataclasses.fields(Filters)}
    for spec in ("sample", "stochastic_beam", "mbr", "rerank:candidates=sample"):
        given = spec + (":" if ":" not in spec else ",")
        assert names <= decoding(spec).arguments.keys()
        decoding(f"{given}min_p=0.1,typical=0.9")
        with pytest.raises(UsageError, match="did you mean 'top_k'"):
            decoding(f"{given}topk=2")
        with pytest.raises(TypeError, match="topk"):
            STRATEGIES[spec.split(":")[0]](None, None, 4, topk=2)


def test_strategies_give_nbest_lists():
    for name in ("mbr", "rerank"):  # the others have tests of their own
        spec = f"{name}:candidates=beam,size=8,n=3"
        assert_is_nbest(MODELS.decode(decoding(spec).strategy), MODELS)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("!", "spec"),
        ("beem:size=2", "did you mean 'beam'"),
        ("greedy:size=2", "size"),
        ("beam:sise=2", "did you mean 'size'"),
        ("beam:no_repaet=2", "did you mean 'no_repeat'"),
        ("beam:size=0", "size=0 is not a number from 1 to 1000000"),
        ("beam:size=2.5", "size=2.5 is not a whole number"),
        ("beam:size=2,n=3", "n=3 is more than the beam holds: size=2"),
        ("beam:n=0", "n=0 is not"),
        ("beam:alpha=high", "alpha=high is not a number"),
        ("beam:normaliser=avrage", "did you mean 'average'"),
        ("beam:normaliser=none,alpha=1", "no effect"),
        ("beam:coverage=-1", "coverage=-1.0 is not a number from 0"),
        ("diverse_beam:size=5,groups=2", "size=5 cannot be shared out to groups=2"),
        ("diverse_beam:diversity=-1", "diversity=-1.0 is not"),
        ("constrained_beam:size=0", "size=0"),
        ("exact:capacity=4,size=8", "capacity=4 is less than is expanded: size=8"),
        ("exact:budget=0", "budget=0"),
        ("sample:top_p=2", "top_p=2.0 is not a number above 0, at most 1"),
        ("sample:top_p=0", "top_p=0.0 is not"),
        ("sample:temperature=-1", "temperature=-1.0 is not"),
        ("sample:min_p=-0.1", "min_p=-0.1 is not"),
        ("sample:epsilon=1", "epsilon=1.0 is not"),
        ("sample:n=0", "n=0"),
        ("sample:seed=-1", "seed=-1"),
        ("sample:key=1", "unknown argument"),
        ("stochastic_beam:size=0", "size=0"),
        ("mbr:weights=unifrom", "did you mean 'uniform'"),
        ("mbr:utility=blue", "did you mean 'bleu'"),
        ("mbr:candidates=beem", "did you mean 'beam'"),
        ("mbr:size=2,n=3", "n=3 is more than there are candidates: size=2"),
        ("mbr:candidates=beam,top_p=0.5", "top_p=0.5 has no effect"),
        ("rerank:by=averag", "did you mean 'average'"),
        ("rerank:by=length,alpha=0.5", "alpha=0.5 has no effect"),
        ("rerank:by=logprob,alpha=0.5", "alpha=0.5 has no effect"),
        ("greedy:min_extra=-1", "min_extra=-1"),
        ("greedy:max_extra=0", "max_extra=0"),
        ("greedy:no_repeat=two", "no_repeat=two is not a number"),
        ("greedy:max_ratio=wide", "max_ratio=wide"),
    ],
)
def test_bad_specs_get_one_line(spec, said):
    with pytest.raises(UsageError) as caught:
        decoding(spec)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_function_from_elsewhere_is_tried_to_its_end(monkeypatch):
    def lacking(step, carry, request, *, size=1):
        step(carry, jnp.ones(len(request.limits), int))
        return jnp.zeros(size)

    def narrow(step, carry, request, *, size=1):
        found = greedy(step, carry, request)
        return found._replace(tokens=found.tokens[..., :size])

    def own(step, carry, request, *, size=2):
        return beam(step, carry, request, size=size, n=size)

    def bound(function, **given):
        return strategies.entry(function, whole=True)(**given)

    with pytest.raises(UsageError, match=r"Hypotheses wanted, float32\[3\] came"):
        bound(lacking, size=3)
    with pytest.raises(UsageError, match=r"Hypotheses.tokens: shape \[2, 1, 4\] wan"):
        bound(narrow)
    with pytest.raises(UsageError, match="size=0"):
        bound(own, size=0)
    # In the table it is a strategy like any other.
    monkeypatch.setitem(STRATEGIES, "own", own)
    found = MODELS.decode(decoding("own:size=3").strategy)
    expected = MODELS.decode(decoding("beam:size=3,n=3").strategy)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    with pytest.raises(UsageError, match="did you mean 'size'"):
        decoding("own:sise=3")


def test_a_normaliser_from_its_arguments():
    assert Normaliser.named(None, None) == Normaliser("none", 0.0)
    assert Normaliser.named(None, -0.5) == Normaliser("average", -0.5)
    assert Normaliser.named("gnmt", None) == Normaliser("gnmt", 0.6)
    assert Normaliser.named("average", None) == Normaliser("average", 1.0)
    assert Normaliser.named("none", 0) == Normaliser("none", 0.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [-2.0, 0.0, 0.6])
def test_a_bound_holds_to_the_last_bit(kind, alpha):
    width = 200
    chosen = Normaliser(kind, 0.0 if kind == "none" else alpha)
    random = np.random.default_rng(0)
    live = -random.exponential(20, 500).astype(np.float32)
    least = random.integers(1, width, 500)
    most = random.integers(least, width + 1)
    bound = np.asarray(chosen.bound(live, least, most, width))
    for _ in range(20):
        lengths = random.integers(least, most + 1)
        later = live - random.exponential(random.choice([1e-6, 1.0]), 500).astype(
            np.float32
        )
        assert (np.asarray(chosen.score(later, lengths, width)) <= bound).all()
        assert (np.asarray(chosen.score(live, lengths, width)) <= bound).all()


@pytest.mark.parametrize(
    "text",
    [
        "sample:seed=2147483647,top_k=2147483647,temperature=0.000001",
        "stochastic_beam:size=2,seed=2147483647,temperature=1e6",
        "greedy:no_repeat=1000000",
        "beam:size=2,coverage=1e6,alpha=10",
        "diverse_beam:size=2,groups=2,diversity=1e6",
    ],
)
def test_numbers_at_their_ends_decode(text):
    chosen = decoding(text)
    found = MODELS.decode(chosen.strategy, no_repeat=chosen.rules.no_repeat)
    assert found.tokens.shape[0] == 20 and not np.isnan(found.scores).any()

"""Specs of strategies: what they build, and what is refused."""

from functools import partial

import jax
import numpy as np
import pytest

from s2sjax.decoding.base import Rules
from s2sjax.decoding.beam import beam
from s2sjax.decoding.filters import Filters
from s2sjax.decoding.sampling import sample
from s2sjax.decoding.scores import KINDS, Normaliser, normaliser
from s2sjax.decoding.strategies import STRATEGIES, decoding
from s2sjax.errors import UsageError
from tests.decoding.tables import Tables, assert_is_nbest


def test_a_spec_is_the_function_with_its_arguments():
    models = Tables(20, 6, 5, seed=0)
    for text, strategy in (
        (
            "beam:size=4,n=2,alpha=1.0",
            partial(beam, size=4, count=2, normaliser=Normaliser("average", 1.0)),
        ),
        (
            "sample:n=3,top_k=2,temperature=0.5",
            partial(sample, count=3, filters=Filters(temperature=0.5, top_k=2)),
        ),
    ):
        found = models.decode(decoding(text).strategy)
        jax.tree.map(np.testing.assert_array_equal, found, models.decode(strategy))


def test_a_seed_gives_other_samples_and_the_same_ones_again():
    models = Tables(20, 6, 5, seed=0)
    one, other, again = (
        models.decode(decoding(f"sample:seed={seed}").strategy).tokens
        for seed in (1, 2, 1)
    )
    assert (one != other).any() and (one == again).all()


def test_rules_are_those_of_every_strategy():
    for name in STRATEGIES:
        found = decoding(f"{name}:min_ratio=0.5,max_extra=4,no_repeat=2")
        assert found.rules == Rules(min_ratio=0.5, max_extra=4, no_repeat=2)
    assert decoding("greedy").rules == Rules()


@pytest.mark.parametrize(
    "name", sorted(set(STRATEGIES) - {"sample", "stochastic_beam"})
)
def test_every_strategy_gives_an_nbest_list(name):
    models = Tables(12, 6, 4, seed=1)
    assert_is_nbest(models.decode(decoding(name).strategy))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("beem:size=2", "did you mean 'beam'"),
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
        ("sample:top_p=2", "top_p=2.0 is not a number above 0, at most 1"),
        ("sample:n=0", "n=0"),
        ("sample:seed=-1", "seed=-1"),
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


def test_a_normaliser_from_its_arguments():
    assert normaliser(None, None) == Normaliser("none", 0.0)
    assert normaliser(None, -0.5) == Normaliser("average", -0.5)
    assert normaliser("gnmt", None) == Normaliser("gnmt", 0.6)
    assert normaliser("average", None) == Normaliser("average", 1.0)
    assert normaliser("none", 0) == Normaliser("none", 0.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [-2.0, -0.5, 0.0, 0.6, 2.0])
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
    models = Tables(4, 5, 4, seed=0)
    found = models.decode(chosen.strategy, no_repeat=chosen.rules.no_repeat)
    assert found.tokens.shape[0] == 4 and not np.isnan(found.scores).any()

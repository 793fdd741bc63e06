"""Constraints: every strategy writes what is allowed, and finds the best of that."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax.decoding.base import Request
from s2sjax.decoding.beam import beam
from s2sjax.decoding.constraints import constrained, progress
from s2sjax.decoding.sampling import greedy
from s2sjax.decoding.strategies import decoding
from s2sjax.types import EOS, PAD
from tests.decoding.table_model import (
    Models,
    assert_is_nbest,
    assert_list,
    listed,
    nbest,
    scripted,
)

V, WIDTH, COUNT = 6, 5, 200  # symbols 3, 4, 5


def obeys(tokens, prefix, banned, required, minimum, no_repeat):
    """Whether a complete sequence may be returned, in plain Python."""
    body = tokens[:-1]
    if tokens[: len(prefix)] != prefix or len(tokens) < minimum:
        return False
    if any(token in banned for token in body[len(prefix) :]):
        return False
    for phrase in required:
        starts = range(len(body) - len(phrase) + 1)
        if not any(body[i : i + len(phrase)] == phrase for i in starts):
            return False
    if no_repeat:
        grams = [tokens[i : i + no_repeat] for i in range(len(tokens) - no_repeat + 1)]
        late = max(len(prefix) - no_repeat + 1, 0)  # a prefix may repeat itself
        for index in range(late, len(grams)):
            if grams[index] in grams[:index]:
                return False
    return True


@pytest.fixture(scope="module")
def constraints():
    """200 models, each with constraints of its own, and those in plain Python."""
    random = np.random.default_rng(0)
    symbols = [3, 4, 5]
    prefixes = np.full((COUNT, 2), PAD, np.int32)
    banned = np.zeros((COUNT, V), bool)
    required = np.full((COUNT, 2, 2), PAD, np.int32)
    minimums = random.integers(0, 5, COUNT).astype(np.int32)
    plain = []
    for row in range(COUNT):
        prefix = tuple(random.choice(symbols, random.integers(0, 3)).tolist())
        phrases = [
            tuple(random.choice(symbols, random.integers(1, 3)).tolist())
            for _ in range(random.integers(0, 3))
        ]
        free = [s for s in symbols if s not in {*prefix, *sum(phrases, ())}]
        no = [s for s in free if random.random() < 0.3]
        prefixes[row, : len(prefix)] = prefix
        banned[row, no] = True
        for place, phrase in enumerate(phrases):
            required[row, place, : len(phrase)] = phrase
        plain.append((prefix, no, phrases, minimums[row]))
    arrays = {"prefixes": prefixes, "banned": banned}
    arrays |= {"required": required, "minimums": minimums}
    return Models(COUNT, V, WIDTH, seed=1), arrays, plain


@pytest.mark.parametrize("no_repeat", [0, 1, 2])
def test_an_exhaustive_beam_is_enumeration_of_what_is_allowed(constraints, no_repeat):
    models, arrays, plain = constraints
    run = partial(beam, size=81 * V, n=60)
    found = models.decode(run, no_repeat=no_repeat, **arrays)
    none = 0
    for row, oracle in enumerate(models.oracles()):
        expected = [
            (score, tokens)
            for score, tokens in oracle.ranked(WIDTH)
            if obeys(tokens, *plain[row], no_repeat)
        ]
        if expected:
            assert_list(nbest(found, row), expected[:60])
        else:
            none += 1
            assert found.truncated[row, 0]
    assert_is_nbest(found, models)
    assert none < COUNT / 2


@pytest.mark.parametrize(
    "spec",
    [
        *("greedy", "sample:n=3", "beam:size=3,n=3", "stochastic_beam:size=3"),
        *("diverse_beam:size=6,groups=3,n=3", "constrained_beam:size=3,n=3"),
        "mbr:size=8,n=3",
    ],
)
def test_every_strategy_obeys(constraints, spec):
    models, arrays, plain = constraints
    found = models.decode(decoding(spec).strategy, no_repeat=2, **arrays)
    complete = 0
    for row, oracle in enumerate(models.oracles()):
        prefix = plain[row][0]
        for place, tokens in enumerate(listed(found, row)):
            assert tokens[: len(prefix)] == prefix[: len(tokens)]
            # A constraint masks; it does not make what is left more probable.
            log_prob = oracle.score(tokens)
            assert found.aux["logprob"][row, place] == pytest.approx(log_prob, abs=1e-5)
            if found.truncated[row, place]:
                assert EOS not in tokens
                continue
            assert obeys(tokens, *plain[row], 2)
            complete += 1
    assert complete > COUNT / 3


def test_a_prefix_may_contain_the_end():
    models = Models(3, V, WIDTH, seed=2)
    prefixes = np.array([[4, EOS], [EOS, PAD], [5, 5]])
    found = models.decode(partial(beam, size=4, n=4), prefixes=prefixes)
    assert listed(found, 0) == [(4, EOS)]
    assert listed(found, 1) == [(EOS,)]
    assert all(tokens[:2] == (5, 5) for tokens in listed(found, 2))
    assert_is_nbest(found, models)


def test_a_minimum_of_the_limit():
    models = Models(50, V, WIDTH, seed=3)
    found = models.decode(partial(beam, size=5, n=5), minimums=np.full(50, WIDTH))
    assert (found.lengths[found.valid] == WIDTH).all()


def test_all_tokens_but_one_banned():
    models = Models(4, V, WIDTH, seed=4)
    only = np.ones((4, V), bool)
    only[:, 4] = False
    found = models.decode(partial(beam, size=3, n=3), banned=only)
    assert found.truncated[:, 0].all() and (found.tokens[:, 0] == 4).all()
    for strategy in (greedy, partial(beam, size=3)):
        nothing = models.decode(strategy, banned=np.ones((4, V), bool))
        assert nothing.truncated.all() and (nothing.lengths == 0).all()
        assert np.isfinite(nothing.scores[:, 0]).all()


def test_no_constraint_costs_nothing():
    _, carry = constrained(None, "carry", Request(3, jnp.array([3])))
    assert carry == "carry"


@given(
    st.lists(st.integers(3, 4), min_size=1, max_size=8),
    st.lists(st.integers(3, 4), min_size=1, max_size=3),
)
@settings(max_examples=40, deadline=None)
def test_progress_is_the_longest_prefix_that_the_end_spells(written, phrase):
    required = np.full((1, 1, 3), PAD)
    required[0, 0, : len(phrase)] = phrase
    recent = np.full((1, 3), 1)
    recent[0, 3 - len(written[-3:]) :] = written[-3:]
    expected = max(
        size
        for size in range(len(phrase) + 1)
        if written[len(written) - size :] == phrase[:size] and size <= len(written)
    )
    found = progress(jnp.asarray(recent), jnp.asarray(required))
    assert found.tolist() == [[expected]]


def test_blocked_ngrams_are_those_of_each_hypothesis():
    # A model that would repeat itself for ever: 3 4 3 4 ...
    script = np.full((2, 8, V), -5, np.float32)
    script[..., :EOS], script[..., EOS] = -np.inf, -9
    script[:, ::2, 3] = script[:, 1::2, 4] = 5
    step, carry = scripted(script)
    free = jax.jit(lambda: greedy(step, carry, 8))()
    assert free.tokens[0, 0].tolist() == [3, 4, 3, 4, 3, 4, 3, 4]
    for order in (1, 3):
        request = Request(8, jnp.full(2, 8), no_repeat=order)
        held = jax.jit(lambda its=request: beam(step, carry, its, size=4, n=4))()
        held = jax.tree.map(np.asarray, held)
        for row in range(2):
            assert listed(held, row)
            for tokens in listed(held, row):
                grams = [tokens[i : i + order] for i in range(len(tokens) - order + 1)]
                assert len(set(grams)) == len(grams)

"""Constraints: every strategy writes what is allowed, and finds the best of that."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax.decoding.base import Request, Scores
from s2sjax.decoding.beam import beam
from s2sjax.decoding.constraints import constrained, progress
from s2sjax.decoding.sampling import greedy, sample
from s2sjax.types import EOS, PAD
from tests.decoding.tables import Tables, assert_is_nbest, assert_same, nbest

V, WIDTH, MODELS = 6, 5, 200  # symbols 3, 4, 5


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
def asked():
    """200 models, each with wishes of its own, and the wishes in plain Python."""
    random = np.random.default_rng(0)
    symbols = [3, 4, 5]
    prefixes = np.full((MODELS, 2), PAD, np.int32)
    banned = np.zeros((MODELS, V), bool)
    required = np.full((MODELS, 2, 2), PAD, np.int32)
    minimums = random.integers(0, 5, MODELS).astype(np.int32)
    plain = []
    for row in range(MODELS):
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
    wishes = {
        "prefixes": jnp.asarray(prefixes),
        "banned": jnp.asarray(banned),
        "required": jnp.asarray(required),
        "minimums": jnp.asarray(minimums),
    }
    return Tables(MODELS, V, WIDTH, seed=1), wishes, plain


@pytest.mark.parametrize("no_repeat", [0, 1, 2])
def test_an_exhaustive_beam_is_enumeration_of_what_is_allowed(asked, no_repeat):
    models, wishes, plain = asked
    run = partial(beam, size=81 * V, count=60)
    found = models.decode(run, **wishes, no_repeat=no_repeat)
    none = 0
    for row in range(MODELS):
        expected = [
            (score, tokens)
            for score, tokens in models.complete(row)
            if obeys(tokens, *plain[row], no_repeat)
        ]
        if expected:
            assert_same(nbest(found, row), expected[:60])
        else:
            none += 1
            assert found.truncated[row, 0]
    assert_is_nbest(found)
    assert none < MODELS / 2


@pytest.mark.parametrize(
    "strategy",
    [greedy, partial(sample, count=3), partial(beam, size=3, count=3)],
    ids=["greedy", "sample", "beam"],
)
def test_every_strategy_obeys(asked, strategy):
    models, wishes, plain = asked
    found = models.decode(strategy, **wishes, no_repeat=2)
    complete = 0
    for row in range(MODELS):
        prefix = plain[row][0]
        for place, (_, tokens) in enumerate(nbest(found, row)):
            assert tokens[: len(prefix)] == prefix[: len(tokens)]
            # A constraint masks; it does not make what is left more probable.
            log_prob = models.log_prob(row, tokens)
            assert found.aux["logprob"][row, place] == pytest.approx(log_prob, abs=1e-5)
            if found.truncated[row, place]:
                assert EOS not in tokens
                continue
            assert obeys(tokens, *plain[row], 2)
            complete += 1
    assert complete > MODELS / 3


def test_a_prefix_may_hold_the_end():
    models = Tables(3, V, WIDTH, seed=2)
    prefixes = jnp.array([[4, EOS], [EOS, PAD], [5, 5]])
    found = models.decode(partial(beam, size=4, count=4), prefixes=prefixes)
    assert nbest(found, 0)[0][1] == (4, EOS) and found.valid[0].sum() == 1
    assert nbest(found, 1)[0][1] == (EOS,) and found.valid[1].sum() == 1
    assert all(tokens[:2] == (5, 5) for _, tokens in nbest(found, 2))
    assert_is_nbest(found)


def test_a_minimum_of_the_limit():
    models = Tables(50, V, WIDTH, seed=3)
    found = models.decode(partial(beam, size=5, count=5), minimums=jnp.full(50, WIDTH))
    assert (found.lengths[found.valid] == WIDTH).all()


def test_all_tokens_but_one_banned():
    models = Tables(4, V, WIDTH, seed=4)
    only = jnp.ones((4, V), bool).at[:, 4].set(False)
    found = models.decode(partial(beam, size=3, count=3), banned=only)
    assert found.truncated[:, 0].all() and (found.tokens[:, 0] == 4).all()
    everything = jnp.ones((4, V), bool)
    for strategy in (greedy, partial(beam, size=3)):
        nothing = models.decode(strategy, banned=everything)
        assert nothing.truncated.all() and (nothing.lengths == 0).all()
        assert np.isfinite(nothing.scores[:, 0]).all()


def test_nothing_asked_for_costs_nothing():
    def score(carry, token):
        return carry, Scores(token, {})

    request = Request(3, jnp.array([3]), None)
    assert constrained(score, "carry", request) == (score, "carry")


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
    models = Tables(2, V, 8, seed=5)
    models.logits[..., EOS] = -9
    models.logits[:, :, :, 3:] = -5
    models.logits[:, :, 1, 3] = models.logits[:, :, 4, 3] = 5
    models.logits[:, :, 3, 4] = 5
    free = models.decode(greedy)
    assert free.tokens[0, 0].tolist() == [3, 4, 3, 4, 3, 4, 3, 4]
    for order in (1, 3):
        held = models.decode(partial(beam, size=4, count=4), no_repeat=order)
        assert jax.tree.leaves(held)
        for row in range(2):
            for _, tokens in nbest(held, row):
                grams = [tokens[i : i + order] for i in range(len(tokens) - order + 1)]
                assert len(set(grams)) == len(grams)

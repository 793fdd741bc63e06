"""Reranking against sorting in Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding.base import Request
from s2sjax.decoding.beam import beam
from s2sjax.decoding.hypotheses import n_best
from s2sjax.decoding.rerank import ORDERS, rerank, scorer_named
from s2sjax.decoding.sampling import sample
from s2sjax.decoding.scores import Normaliser
from s2sjax.errors import UsageError
from s2sjax.types import EOS, PAD, Hypotheses, StepOutput

V, WIDTH, ROWS, M = 6, 5, 40, 8
random = np.random.default_rng(23)
LOGITS = random.normal(0, 2, (ROWS, WIDTH + 1, V, V)).astype(np.float32)
LOGITS[..., :EOS] = -np.inf
LOGITS[-5:, ..., EOS] = -np.inf


def step(carry, x):
    row, time = carry
    return (row, time + 1), StepOutput(
        jnp.asarray(LOGITS)[row, time, x], {"time": time}
    )


def run(*strategies):
    """What each strategy returns, all in one compiled function."""
    rows = jnp.arange(ROWS)
    request = Request(WIDTH, jnp.full(ROWS, WIDTH), jax.vmap(jax.random.key)(rows))
    start = (rows, jnp.zeros_like(rows))
    found = jax.jit(lambda: [each(step, start, request) for each in strategies])()
    return jax.tree.map(np.asarray, found)


def candidates(step, carry, request):
    return sample(step, carry, request, count=M)


def competing_in_python(found, row, score):
    """tokens -> score of those of a row that may be returned, and how many may."""
    kinds = {False: {}, True: {}}
    for m in range(found.tokens.shape[1]):
        if found.valid[row, m]:
            kind = kinds[bool(found.truncated[row, m])]
            kind.setdefault(tuple(found.tokens[row, m]), float(score[row, m]))
    return (kinds[False], len(kinds[False])) if kinds[False] else (kinds[True], 1)


def assert_same(got, found, score, count):
    for row in range(len(got.tokens)):
        table, most = competing_in_python(found, row, score)
        expected = sorted(table.values(), reverse=True)[: min(count, most)]
        valid = got.valid[row]
        assert valid.sum() == len(expected) and valid[: len(expected)].all()
        np.testing.assert_allclose(got.scores[row, valid], expected, rtol=1e-6)
        listed = [tuple(got.tokens[row, n]) for n in np.nonzero(valid)[0]]
        assert len(set(listed)) == len(listed)
        scores = [table[tokens] for tokens in listed]
        np.testing.assert_allclose(got.scores[row, valid], scores, rtol=1e-6)
        assert (got.tokens[row, ~valid] == PAD).all()
        assert (got.scores[row, ~valid] == -np.inf).all()
        assert not got.truncated[row, ~valid].any()
        assert not got.lengths[row, ~valid].any()


ALPHAS = {"average": 0.7, "gnmt": 1.5}


def prefers_threes(hypotheses, request):
    return jnp.sum(hypotheses.tokens == 3, axis=-1).astype(jnp.float32)


@pytest.fixture(scope="module")
def by_every_order():
    """The samples, and by each scorer the three best of them."""
    scorers = {name: scorer_named(name, ALPHAS.get(name)) for name in ORDERS}
    scorers["threes"] = prefers_threes

    def reranked(scorer):
        return lambda *problem: rerank(*problem, candidates, scorer, count=3)

    found, *got = run(candidates, *map(reranked, scorers.values()))
    return found, dict(zip(scorers, got, strict=True))


@pytest.mark.parametrize("by", [*ORDERS, "threes"])
def test_candidates_come_in_the_order_of_the_scorer(by, by_every_order):
    found, every = by_every_order
    got, log_probs, lengths = every[by], found.aux["logprob"], found.lengths
    score = {
        "logprob": log_probs,
        "average": log_probs / lengths**0.7,
        "gnmt": log_probs / ((5 + lengths) / 6) ** 1.5,
        "length": lengths,
        "threes": (found.tokens == 3).sum(axis=-1),
    }[by]
    assert_same(got, found, score, 3)
    assert got.truncated[-5:, 0].all() and not got.valid[-5:, 1:].any()
    # What comes with a hypothesis moves with it.
    for row, n in np.argwhere(got.valid):
        same = np.nonzero((found.tokens[row] == got.tokens[row, n]).all(axis=-1))[0][0]
        assert got.lengths[row, n] == lengths[row, same]
        np.testing.assert_array_equal(
            got.aux["time"][row, n], found.aux["time"][row, same]
        )
        np.testing.assert_allclose(got.aux["logprob"][row, n], log_probs[row, same])


def test_a_beam_in_its_own_order_stays_as_it_is():
    normaliser = Normaliser("average", 1.0)

    def beams(*problem):
        return beam(*problem, size=M, count=M, normaliser=normaliser)

    def reranked(*problem):
        return rerank(*problem, beams, scorer_named("average", 1.0), count=M)

    found, got = run(beams, reranked)
    np.testing.assert_array_equal(found.valid, got.valid)
    np.testing.assert_array_equal(found.scores[found.valid], got.scores[got.valid])
    np.testing.assert_array_equal(found.tokens, got.tokens)


def test_equal_scores_stand_by_probability():
    tokens = np.array([[[4, 2], [5, 2], [3, 2], [4, 2]]], np.int32)
    log_probs = np.array([[-3.0, -1.0, -2.0, -3.0]], np.float32)
    yes = np.ones((1, 4), bool)
    every = Hypotheses(
        *(tokens, log_probs, np.full((1, 4), 2), yes, ~yes, {"logprob": log_probs})
    )
    got = n_best(jax.tree.map(jnp.asarray, every), jnp.zeros((1, 4)), 4)
    assert got.tokens[0, :, 0].tolist() == [5, 3, 4, PAD]
    assert got.aux["logprob"][0].tolist() == [-1, -2, -3, -np.inf]


def test_unknown_orders_are_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'average'"):
        scorer_named("averag")
    for name in ("length", "logprob"):
        with pytest.raises(UsageError, match=r"alpha=0\.5 has no effect"):
            scorer_named(name, 0.5)

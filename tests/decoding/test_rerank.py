"""Reranking against sorting in Python."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding.beam import beam
from s2sjax.decoding.hypotheses import n_best
from s2sjax.decoding.rerank import ORDERS, rerank
from s2sjax.decoding.sampling import sample
from s2sjax.types import EOS, PAD, Hypotheses
from tests.decoding.table_model import Models, first_carry, request

V, WIDTH, ROWS, M = 6, 5, 40, 8
MODELS = Models(ROWS, V, WIDTH, seed=23, scale=2.0)
MODELS.logits[-5:, :, EOS] = -np.inf


def run(*strategies):
    """What each strategy returns, all in one compiled function."""
    asked = request(MODELS.rows, jnp.full(ROWS, WIDTH), WIDTH)
    given = (MODELS.step, first_carry(MODELS.rows), asked)
    found = jax.jit(lambda: [strategy(*given) for strategy in strategies])()
    return jax.tree.map(np.asarray, found)


candidates = partial(sample, n=M)


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
    orders = {name: {"by": name, "alpha": ALPHAS.get(name)} for name in ORDERS}
    orders["threes"] = {"by": prefers_threes}
    strategies = [
        partial(rerank, candidates=candidates, n=3, **its) for its in orders.values()
    ]
    found, named, *got = run(
        candidates, partial(rerank, candidates="sample", size=M, n=3), *strategies
    )
    every = dict(zip(orders, got, strict=True))
    every["unset"] = named
    return found, every


@pytest.mark.parametrize("by", [*ORDERS, "threes", "unset"])
def test_candidates_come_in_the_order_of_the_scorer(by, by_every_order):
    found, every = by_every_order
    got, log_probs, lengths = every[by], found.aux["logprob"], found.lengths
    score = {
        "logprob": log_probs,
        "average": log_probs / lengths**0.7,
        "gnmt": log_probs / ((5 + lengths) / 6) ** 1.5,
        "length": lengths,
        "unset": log_probs / lengths,  # `average` with its usual alpha
        "threes": (found.tokens == 3).sum(axis=-1),
    }[by]
    assert_same(got, found, score, 3)
    assert got.truncated[-5:, 0].all() and not got.valid[-5:, 1:].any()
    # What comes with a hypothesis moves with it.
    for row, n in np.argwhere(got.valid):
        same = np.nonzero((found.tokens[row] == got.tokens[row, n]).all(axis=-1))[0][0]
        assert got.lengths[row, n] == lengths[row, same]
        np.testing.assert_array_equal(
            got.aux["state"][row, n], found.aux["state"][row, same]
        )
        np.testing.assert_allclose(got.aux["logprob"][row, n], log_probs[row, same])


def test_a_beam_in_its_own_order_stays_as_it_is():
    beams = partial(beam, size=M, n=M, alpha=1.0)
    found, got = run(beams, partial(rerank, candidates=beams, alpha=1.0, n=M))
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

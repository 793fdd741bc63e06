"""Minimum Bayes risk against sums in Python, and against the risk under the model."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding.rerank import WEIGHTS, mbr
from s2sjax.types import EOS, Hypotheses
from tests import oracles
from tests.decoding.table_model import Models

B, M, WIDTH = 60, 9, 4
random = np.random.default_rng(31)


def some_lists():
    """Lists with duplicates, invalid places, and cut hypotheses among complete ones."""
    symbols = random.integers(0, WIDTH + 1, (B, M))
    truncated = random.random((B, M)) < 0.3
    truncated[:5] = True
    symbols = np.where(truncated, WIDTH, np.minimum(symbols, WIDTH - 1))
    valid = random.random((B, M)) < 0.8
    valid[:, 0] = True
    places = np.arange(WIDTH)
    tokens = random.integers(3, 5, (B, M, WIDTH))
    tokens = np.where(places < symbols[..., None], tokens, 0)
    ends = (places == symbols[..., None]) & ~truncated[..., None]
    tokens = np.where(ends, EOS, tokens).astype(np.int32)
    # The same sequence has the same probability.
    weights = random.normal(0, 1, WIDTH)
    log_probs = -np.abs(tokens @ weights).astype(np.float32)
    lengths = (symbols + ~truncated).astype(np.int32)
    aux = {"logprob": log_probs}
    return Hypotheses(tokens, log_probs, lengths, valid, truncated, aux)


LISTS = some_lists()


def utility(one, other):
    return -oracles.edit_distance(one, other)


def risk_in_python(row, weights):
    """{tokens: expected utility} of the candidates that may win."""
    kept = [m for m in range(M) if LISTS.valid[row, m] and not LISTS.truncated[row, m]]
    kept = kept or [m for m in range(M) if LISTS.valid[row, m]]
    bodies = [
        tuple(int(token) for token in LISTS.tokens[row, m] if token > EOS) for m in kept
    ]
    if weights == "uniform":
        shares = [(body, 1.0) for body in bodies]
    else:
        log_probs = LISTS.aux["logprob"][row, kept].astype(np.float64)
        distinct = dict(zip(bodies, np.exp(log_probs), strict=True))
        shares = list(distinct.items())
    total = sum(share for _, share in shares)
    return {
        body: sum(share * utility(body, other) for other, share in shares) / total
        for body in bodies
    }


def choose(**arguments):
    """The best of the lists above."""

    def lists(step, carry, request):
        return jax.tree.map(jnp.asarray, LISTS)

    carry = jnp.zeros(B)
    found = jax.jit(lambda: mbr(None, carry, WIDTH, candidates=lists, **arguments))()
    return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_best_by_expected_utility_come_first(weights):
    count = 4
    got = choose(weights=weights, n=count)
    for row in range(B):
        expected = risk_in_python(row, weights)
        cut = LISTS.truncated[row][LISTS.valid[row]].all()
        best = sorted(expected.values(), reverse=True)[: 1 if cut else count]
        valid = got.valid[row]
        np.testing.assert_allclose(got.scores[row, valid], best, rtol=1e-5, atol=1e-6)
        bodies = [
            tuple(int(token) for token in got.tokens[row, n] if token > EOS)
            for n in np.nonzero(valid)[0]
        ]
        assert len(set(bodies)) == len(bodies)
        scores = [expected[body] for body in bodies]
        np.testing.assert_allclose(got.scores[row, valid], scores, rtol=1e-5, atol=1e-6)
        assert (got.truncated[row, valid] == cut).all()
    assert {True, False} <= set(got.truncated[:, 0].tolist())
    assert {1, count} <= set(got.valid.sum(axis=1).tolist())


def test_many_samples_find_what_serves_best_under_the_model():
    """The chosen output is nearly as good as the best of all, by enumeration."""
    models = Models(20, 5, 3, seed=31, eos=2.0)
    found = models.decode(partial(mbr, size=300))
    worse_mode = 0
    for row, oracle in enumerate(models.oracles()):
        outputs = {tokens[:-1]: np.exp(p) for p, tokens in oracle.complete(3)}
        total = sum(outputs.values())  # what is cut does not count
        expected = {
            body: sum(p * utility(body, other) for other, p in outputs.items()) / total
            for body in outputs
        }
        chosen = tuple(int(token) for token in found.tokens[row, 0] if token > EOS)
        # 300 draws of at most 2 edits: five standard errors are below 0.45.
        assert expected[chosen] > max(expected.values()) - 0.3
        assert abs(found.scores[row, 0] - expected[chosen]) < 0.45
        mode = max(outputs, key=outputs.get)
        worse_mode += expected[mode] < expected[chosen] - 1e-9
    assert worse_mode > 0  # it is not the mode that is looked for


def test_exact_match_by_probability_is_the_mode_of_the_list():
    got = choose(utility="exact", weights="probability")
    for row in range(B):
        ended = LISTS.valid[row] & ~LISTS.truncated[row]
        best = LISTS.aux["logprob"][row][ended if ended.any() else LISTS.valid[row]]
        assert got.aux["logprob"][row, 0] == best.max()

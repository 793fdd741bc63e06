"""Minimum Bayes risk against sums in Python, and against the risk under the model."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding.base import Request
from s2sjax.decoding.rerank import WEIGHTS, expected_utility, minimum_bayes_risk
from s2sjax.decoding.sampling import sample
from s2sjax.decoding.similarity import UTILITIES
from s2sjax.errors import UsageError
from s2sjax.types import BOS, EOS, Hypotheses, StepOutput
from tests import oracles

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


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_best_by_expected_utility_come_first(weights):
    count = 4
    choose = jax.jit(
        lambda lists: minimum_bayes_risk(
            lists, UTILITIES["edit_distance"], weights, count
        )
    )
    got = jax.tree.map(np.asarray, choose(LISTS))
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
    models, width, vocabulary = 20, 4, 5
    logits = random.normal(0, 1.5, (models, width, vocabulary, vocabulary))
    logits = logits.astype(np.float32)
    logits[..., :EOS] = -np.inf
    logits[:, -1, :, EOS] = 20.0  # everything ends in time

    def step(carry, x):
        row, time = carry
        here = jnp.minimum(time, width - 1)
        return (row, time + 1), StepOutput(jnp.asarray(logits)[row, here, x], {})

    rows = jnp.arange(models)
    wanted = Request(width, jnp.full(models, width), jax.vmap(jax.random.key)(rows))

    @jax.jit
    def decode():
        drawn = sample(step, (rows, jnp.zeros_like(rows)), wanted, count=300)
        return minimum_bayes_risk(drawn, UTILITIES["edit_distance"])

    found = jax.tree.map(np.asarray, decode())
    log_probs = oracles.log_softmax(logits.astype(np.float64))
    worse_mode = 0
    for row in range(models):
        probabilities = {}
        for length in range(width):
            for body in itertools.product((3, 4), repeat=length):
                pairs = zip((BOS, *body), (*body, EOS), strict=True)
                total = sum(log_probs[row, t, *pair] for t, pair in enumerate(pairs))
                probabilities[body] = np.exp(total)
        np.testing.assert_allclose(sum(probabilities.values()), 1, atol=1e-4)
        expected = {
            body: sum(p * utility(body, other) for other, p in probabilities.items())
            for body in probabilities
        }
        chosen = tuple(int(token) for token in found.tokens[row, 0] if token > EOS)
        best = max(expected.values())
        # 300 draws of at most 3 edits: five standard errors are below 0.45.
        assert expected[chosen] > best - 0.3
        assert abs(found.scores[row, 0] - expected[chosen]) < 0.45
        mode = max(probabilities, key=probabilities.get)
        worse_mode += expected[mode] < expected[chosen] - 1e-9
    assert worse_mode > 0  # it is not the mode that is looked for


def test_exact_match_by_probability_is_the_mode_of_the_list():
    got = minimum_bayes_risk(
        jax.tree.map(jnp.asarray, LISTS), UTILITIES["exact"], "probability"
    )
    for row in range(B):
        ended = LISTS.valid[row] & ~LISTS.truncated[row]
        best = LISTS.aux["logprob"][row][ended if ended.any() else LISTS.valid[row]]
        assert got.aux["logprob"][row, 0] == best.max()


def test_unknown_weights_are_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'uniform'"):
        expected_utility(LISTS, UTILITIES["exact"], "unifrom")

"""Stochastic beam search against the enumeration of a small model's outputs."""

import itertools
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding.stochastic_beam import conditioned, stochastic_beam
from s2sjax.types import EOS
from tests import oracles
from tests.decoding.table_model import (
    ROUNDING,
    Models,
    assert_a_batch_is_its_rows,
    assert_is_nbest,
    assert_same,
    first_carry,
    listed,
)

V, WIDTH = 6, 5
MODELS = Models(200, V, WIDTH, seed=11)
ROWS = MODELS.rows
LIMITS = np.random.default_rng(12).integers(1, WIDTH + 1, MODELS.count)
assert_sample = partial(assert_is_nbest, apart=False)  # cut leaves are samples too

# Wide enough that prefixes are pruned: 9 of two symbols, 40 outputs.
DRAWS, SHORT = 20_000, 3
ONE = Models(1, V, SHORT, seed=13, scale=1.0)
(ORACLE,) = ONE.oracles()


@cache
def strategy(size, **arguments):
    return partial(stochastic_beam, size=size, **arguments)


@cache
def draws(size, **arguments):
    """One small model under many keys."""
    carry = first_carry(np.zeros(DRAWS, int))
    run = jax.jit(lambda key: strategy(size, **arguments)(ONE.step, carry, SHORT, key))
    return jax.tree.map(np.asarray, run(jax.random.key(0)))


def leaves(oracle, limit, temperature=1.0, prefix=()):
    """Every output with its probability: it ends with EOS or is cut at the limit."""
    if len(prefix) == limit or (prefix and prefix[-1] == EOS):
        return {prefix: 1.0}
    tempered = oracles.softmax(np.array(oracle.next(prefix)) / temperature)
    return {
        tokens: probability * below
        for token, probability in enumerate(tempered)
        if probability > 0
        for tokens, below in leaves(
            oracle, limit, temperature, (*prefix, token)
        ).items()
    }


def without_replacement(probabilities, size):
    """How probable it is that each is among `size` drawn one after the other."""
    inclusion = dict.fromkeys(probabilities, 0.0)
    for drawn in itertools.permutations(probabilities, size):
        probability, left = 1.0, 1.0
        for each in drawn:
            probability *= probabilities[each] / left
            left -= probabilities[each]
        for each in drawn:
            inclusion[each] += probability
    return inclusion


def test_samples_are_included_as_often_as_they_should_be():
    found = draws(3)
    exact = without_replacement(leaves(ORACLE, SHORT), 3)
    counts = dict.fromkeys(exact, 0)
    for row in range(DRAWS):
        for tokens in listed(found, row):
            counts[tokens] += 1
    for tokens, probability in exact.items():
        assert oracles.is_binomial(counts[tokens], DRAWS, probability), tokens


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_first_is_a_sample(temperature):
    found = draws(3) if temperature == 1 else draws(1, temperature=temperature)
    exact = leaves(ORACLE, SHORT, temperature)
    counts = dict.fromkeys(exact, 0)
    for row in range(DRAWS):
        counts[listed(found, row)[0]] += 1
    expected = np.array([DRAWS * probability for probability in exact.values()])
    observed = np.array(list(counts.values()))
    freedom = len(exact) - 1
    distance = np.sum((observed - expected) ** 2 / expected)
    assert distance < freedom + 5 * np.sqrt(2 * freedom)  # mean and deviation


def test_weighted_by_inclusion_the_estimate_is_unbiased():
    found = draws(3)
    exact = leaves(ORACLE, SHORT)
    worth = {tokens: len(tokens) ** 2 + 3.0 * tokens.count(4) for tokens in exact}
    expected = sum(exact[tokens] * worth[tokens] for tokens in exact)
    values = np.array(
        [[worth[tokens] for tokens in listed(found, row)] for row in range(DRAWS)]
    )
    weights = np.exp(found.aux["logq"]) / found.aux["inclusion"]
    for estimates, truth in (
        (np.sum(weights * values, axis=1), expected),
        (np.sum(weights, axis=1), 1.0),
    ):
        error = np.std(estimates) / np.sqrt(DRAWS)
        assert abs(np.mean(estimates) - truth) < 5 * error
    # Unweighted, and with the weights of a sample with replacement, they are biased.
    wrong = np.mean(values, axis=1)
    assert abs(np.mean(wrong) - expected) > 10 * np.std(wrong) / np.sqrt(DRAWS)


def test_a_smaller_sample_begins_a_larger_one():
    small, large = (MODELS.decode(strategy(size), LIMITS) for size in (3, 24))
    three = (slice(None), slice(3))
    assert_same(small._replace(aux={}), large, three)
    # The threshold of the smaller is the score that comes next in the larger.
    kappa = small.aux["kappa"][:, 0]
    np.testing.assert_allclose(kappa, large.scores[:, 3], **ROUNDING)
    for found in (small, large):
        assert_sample(found, MODELS, LIMITS)
        aux, valid = found.aux, found.valid
        above = aux["logq"][valid].astype(np.float64) - aux["kappa"][valid]
        with np.errstate(over="ignore"):
            inclusion = 1 - np.exp(-np.exp(above))
        np.testing.assert_allclose(aux["inclusion"][valid], inclusion, rtol=1e-4)


def test_when_there_are_few_outputs_all_are_found():
    limits = np.full(MODELS.count, 2)
    found = MODELS.decode(strategy(24), limits)
    assert_sample(found, MODELS, limits)
    for row, oracle in enumerate(MODELS.oracles()):
        exact = leaves(oracle, 2)
        assert set(listed(found, row)) == set(exact)
        valid = found.valid[row]
        assert (found.aux["inclusion"][row, valid] == 1).all()
        assert np.exp(found.aux["logq"][row, valid]).sum() == pytest.approx(1, abs=1e-5)
    assert (~found.valid).any() and found.truncated.any()


def test_nothing_else_changes_the_result():
    assert_a_batch_is_its_rows(MODELS, strategy(3), LIMITS)
    found, other = (MODELS.decode(strategy(3), LIMITS, key=key) for key in (0, 1))
    assert np.mean(other.scores == found.scores) < 0.01


def test_constraints_are_obeyed_and_dead_ends_are_cut():
    prefixes = np.zeros((MODELS.count, 1), np.int32)
    prefixes[::2] = 3
    banned = np.zeros((MODELS.count, V), bool)
    banned[:, 4:] = True
    constraints = {"prefixes": prefixes, "banned": banned, "no_repeat": 2}
    found = MODELS.decode(strategy(3), minimums=np.full(MODELS.count, 4), **constraints)
    assert_sample(found, MODELS)
    # With the symbol 3 alone, 3 3 stands once: then nothing may follow.
    assert all(listed(found, row) == [(3, 3)] for row in ROWS)
    assert found.truncated[:, 0].all()
    np.testing.assert_allclose(found.aux["logq"][:, 0], 0, atol=1e-6)
    np.testing.assert_array_equal(found.aux["inclusion"][:, 0], 1)


def test_a_row_that_may_write_nothing_has_one_empty_output():
    found = MODELS.decode(strategy(3), np.zeros(MODELS.count, int))
    assert found.valid[:, 0].all() and not found.valid[:, 1:].any()
    assert (found.lengths == 0).all() and found.truncated[:, 0].all()
    assert (found.aux["logprob"][:, 0] == 0).all()


def test_conditioned_noise_is_the_equation():
    random = np.random.default_rng(1)
    log_probs = oracles.log_softmax(random.normal(0, 2, (100, 7)))
    log_probs[:, 0] = -np.inf
    noise = random.gumbel(size=(100, 7))
    largest = random.gumbel(size=100)
    plain = log_probs + noise
    expected = -np.log(
        np.exp(-largest[:, None])
        - np.exp(-plain.max(axis=1, keepdims=True))
        + np.exp(-plain)
    )
    found = conditioned(
        *(jnp.asarray(each, jnp.float32) for each in (log_probs, noise, largest))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found.max(axis=1), largest.astype(np.float32))


def test_conditioned_noise_stays_finite_where_the_equation_overflows():
    log_probs = jnp.array([-0.1, -300.0, -jnp.inf, -2.0])
    noise = jnp.array([0.5, -2.0, 1.0, 2.4999998])
    for largest in (-200.0, 0.0, 200.0):
        found = np.asarray(jax.jit(conditioned)(log_probs, noise, largest))
        assert found[0] <= largest and found.max() == largest
        assert found[2] == -np.inf and np.isfinite(found[[0, 1, 3]]).all()

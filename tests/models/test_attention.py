"""Additive attention: against the loop in numpy, and at its edges."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax.models import attention
from s2sjax.models.attention import BahdanauAttention, masked_softmax
from tests import oracles

B, S, A, D, C = 4, 5, 3, 4, 2
LENGTHS = (5, 1, 0, 3)
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)


def test_attention_by_itself_is_the_loop_in_numpy():
    module = BahdanauAttention(units=A, state=D, values=C)
    random = np.random.default_rng(0)
    state, values = (
        random.normal(size=shape).astype(np.float32) for shape in ((B, D), (B, S, C))
    )
    params = {
        "query_kernel": random.normal(size=(D, A)).astype(np.float32),
        "key_kernel": random.normal(size=(C, A)).astype(np.float32),
        "bias": random.normal(size=A).astype(np.float32),
        "score": random.normal(size=A).astype(np.float32),
    }
    mask = np.arange(S)[None] < np.array(LENGTHS)[:, None]

    @jax.jit
    def look(params, state, values):
        bound = {"params": params}
        memory = module.apply(bound, values, mask, method="memory")
        return module.apply(bound, state, memory)

    context, weights = look(params, state, values)
    for row, length in enumerate(LENGTHS):
        real = values[row, :length].astype(np.float64)
        keys = real @ params["key_kernel"] + params["bias"]
        query = state[row] @ params["query_kernel"]
        expected, looked = oracles.attend(query, keys, real, params["score"])
        close(context[row], expected)
        close(weights[row, :length], looked)
        assert (weights[row, length:] == 0).all()


@settings(max_examples=40, deadline=None)
@given(
    units=st.integers(1, 6),
    largest=st.sampled_from([1e-3, 1.0, 10.0, 21.0, 43.0]),
    seed=st.integers(0, 99),
)
def test_energies_by_powers_are_those_of_tanh(units, largest, seed):
    random = np.random.default_rng(seed)
    query, keys = (
        random.uniform(-largest, largest, shape).astype(np.float32)
        for shape in ((B, units), (B, S, units))
    )
    keys[0] = -query[:1]  # where two large numbers cancel
    score = random.normal(size=units).astype(np.float32)
    by_powers = jax.jit(attention._energies)
    energies = by_powers(query, keys, score, attention.power(keys))
    wide = keys.astype(np.float64) + query.astype(np.float64)[:, None]
    np.testing.assert_allclose(
        energies, np.tanh(wide) @ score, atol=2e-6 * np.abs(score).sum()
    )


def test_energies_of_saturated_units_are_finite_and_those_of_nan_are_not():
    query = np.array([[100.0], [-100.0], [np.nan]], np.float32)
    keys = np.array([[[90.0], [-90.0]]] * 3, np.float32)
    powers, score = attention.power(keys), np.ones(1, np.float32)
    by_powers = jax.jit(attention._energies)
    energies = np.asarray(by_powers(query, keys, score, powers))
    assert energies[0, 0] == 1 and energies[1, 1] == -1
    assert np.isfinite(energies[:2]).all() and np.isnan(energies[2]).all()


def test_a_masked_softmax_is_finite_at_any_size_of_energies():
    energies = np.array(
        [[1e4, 1e4, -1e4], [-3e38, 3e38, 1.0], [1.0, 2.0, 3.0], [7.0, 1.0, 2.0]],
        np.float32,
    )
    mask = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 0, 1]], bool)

    @jax.jit
    def both(energies):
        gradient = jax.grad(lambda e: jnp.sum(masked_softmax(e, mask)[:, 0]))
        return masked_softmax(energies, mask), gradient(energies)

    weights, gradient = both(energies)
    e = np.exp(-5.0)
    close(weights, [[0.5, 0.5, 0], [1, 0, 0], [0, 0, 0], [1 / (1 + e), 0, e / (1 + e)]])
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[~mask] == 0).all()

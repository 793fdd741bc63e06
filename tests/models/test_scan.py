"""The written-out derivatives against plain autodiff of the same arithmetic."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from s2sjax.models import attention
from s2sjax.models.cells import gru, lstm
from s2sjax.models.scan import run_step, scan

T, B, D, C, S = 4, 3, 3, 2, 5
QUICK = {"xla_backend_optimization_level": 0}
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-6)


def random_arrays(seed, *shapes):
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


def plain_scan(step, weights, inputs, carry, xs, operands, reverse=False):
    """What `scan` computes, left to autodiff."""

    def body(carry, x):
        x, now = x
        return run_step(step, weights, now, carry, x, operands)

    return jax.lax.scan(body, carry, (xs, inputs), reverse=reverse)


def same(function, plain, *arguments):
    """Values and all gradients of a random sum of what two functions return."""

    def both(*arguments):
        results = []
        for chosen in (function, plain):

            def total(arguments, chosen=chosen):
                leaves = jax.tree.leaves(chosen(*arguments))
                ramps = [jnp.cos(jnp.arange(leaf.size) + leaf.ndim) for leaf in leaves]
                return sum(
                    jnp.sum(leaf.reshape(-1) * ramp)
                    for leaf, ramp in zip(leaves, ramps, strict=True)
                ), leaves

            results.append(jax.grad(total, has_aux=True)(arguments))
        return results

    ours, theirs = jax.jit(both, compiler_options=QUICK)(*arguments)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        close(a, b)
    return ours


def looking_step(dot, carry, x, operands):
    """A step with every kind of product: with and without inputs, for each example."""
    gain, mask = x
    weights = jax.nn.softmax(dot("query", carry) * operands["scale"])
    context = dot("values", weights)
    new = jnp.tanh(dot("recurrent", carry, context) * gain)
    new = jnp.where(mask, new, carry)
    return new, (new, context)


@pytest.fixture(scope="module")
def arguments():
    query, values, recurrent, context, added, carry, gain, scale = random_arrays(
        0, (D, S), (B, S, C), (D, D), (C, D), (T, B, D), (B, D), (T, B, D), (B, S)
    )
    mask = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 0], [1, 0, 1]], bool)[:, :, None]
    weights = {
        "query": (query,),
        "values": (values,),
        "recurrent": (recurrent, context),
    }
    return weights, {"recurrent": added}, carry, gain, mask, {"scale": scale}


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_the_gradients_of_a_scan_are_those_of_autodiff(arguments, reverse):
    weights, inputs, carry, gain, mask, operands = arguments

    def run(which, weights, inputs, carry, gain, operands):
        return which(
            looking_step, weights, inputs, carry, (gain, mask), operands, reverse
        )

    gradients, _ = same(
        partial(run, scan),
        partial(run, plain_scan),
        *(weights, inputs, carry, gain, operands),
    )
    assert all(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(gradients))


def test_a_scan_under_vmap_is_a_loop_of_scans(arguments):
    weights, inputs, carry, gain, mask, operands = arguments
    scales = np.array([1.0, -0.5], np.float32)

    def total(which, weights, carry, scale):
        state, (_, context) = which(
            looking_step, weights, inputs, carry * scale, (gain, mask), operands
        )
        return jnp.sum(state * scale) + jnp.sum(context**2)

    @partial(jax.jit, compiler_options=QUICK)
    def compared(weights, carry):
        gradient = jax.grad(partial(total, scan), argnums=(0, 1))
        stacked = jax.vmap(gradient, in_axes=(None, None, 0))(weights, carry, scales)
        plain = jax.grad(partial(total, plain_scan), argnums=(0, 1))
        singles = [plain(weights, carry, scale) for scale in scales]
        return stacked, jax.tree.map(lambda *leaves: jnp.stack(leaves), *singles)

    stacked, singles = compared(weights, carry)
    for a, b in zip(jax.tree.leaves(stacked), jax.tree.leaves(singles), strict=True):
        close(a, b)


def test_a_scan_under_vmap_over_its_weights(arguments):
    weights, inputs, carry, gain, mask, operands = arguments
    two = jax.tree.map(lambda leaf: np.stack([leaf, leaf * 0.5]), weights)

    def total(which, weights):
        state, (outputs, _) = which(
            looking_step, weights, inputs, carry, (gain, mask), operands
        )
        return jnp.sum(state) + jnp.sum(outputs**2)

    @partial(jax.jit, compiler_options=QUICK)
    def compared(two):
        return [
            jax.vmap(jax.grad(partial(total, which)))(two)
            for which in (scan, plain_scan)
        ]

    ours, theirs = compared(two)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        close(a, b)


def energies_by_powers(query, keys, score):
    powers = attention.power(jax.lax.stop_gradient(keys))
    return attention._energies(query, keys, score, powers)


def plain_energies(query, keys, score):
    return jnp.einsum("a,bsa->bs", score, jnp.tanh(query[:, None] + keys))


WRITTEN_OUT = {
    "lstm": (lstm.gates, lstm.plain_gates, ((B, 4 * D), (B, D))),
    "gru": (gru.gates, gru.plain_gates, ((B, 3 * D), (B, 3 * D), (D,), (B, D))),
    "energies": (attention._energies, plain_energies, ((B, C), (B, S, C), (C,))),
    "energies by powers": (
        energies_by_powers,
        plain_energies,
        ((B, C), (B, S, C), (C,)),
    ),
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_written_out_derivative_is_that_of_autodiff(name):
    function, plain, shapes = WRITTEN_OUT[name]
    same(function, plain, *random_arrays(3, *shapes))
    two = [(2, *shape) for shape in shapes]
    same(jax.vmap(function), jax.vmap(plain), *random_arrays(4, *two))


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_written_out_derivative_is_a_slope(name):
    function, _, shapes = WRITTEN_OUT[name]
    arrays = random_arrays(5, *shapes)
    check_grads(jax.jit(function), arrays, order=1, modes=["rev"], atol=2e-2, rtol=2e-2)

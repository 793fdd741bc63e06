"""The written-out derivatives against plain autodiff of the same arithmetic."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from s2sjax.models.attention import bahdanau
from s2sjax.models.cells import gru, lstm
from s2sjax.models.scan import plain_scan, scan

T, B, D, C, S = 4, 3, 3, 2, 5
QUICK = {"xla_backend_optimization_level": 0}
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-6)


def random_arrays(seed, *shapes):
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


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
    """A step with every kind of product: with and without inputs, of token ids, for
    each example, for each head, with a bias; arrays without a gradient are everywhere.
    """
    h, count = carry
    gain, mask, tokens = x
    weights = jax.nn.softmax(dot("query", h) * operands["scale"])
    context = dot("values", weights)
    heads = dot("heads", jnp.stack([h, context @ operands["square"]], axis=1))
    new = jnp.tanh(dot("recurrent", h, context) * gain + dot("tokens", tokens))
    new = new + jnp.mean(heads, axis=1) * operands["turn"]
    new = jnp.where(mask, new, h)
    return (new, count + 1), (new, context, tokens)


@pytest.fixture(scope="module")
def arguments():
    shapes = {
        "query": ((D, S), (S,)),
        "values": ((B, S, C),),
        "heads": ((B, 2, D, D),),
        "recurrent": ((D, D), (C, D)),
        "tokens": ((6, D),),
    }
    weights = {
        name: tuple(random_arrays(seed, *each))
        for seed, (name, each) in enumerate(shapes.items())
    }
    added, carry, gain, scale, square = random_arrays(
        9, (T, B, D), (B, D), (T, B, D), (B, S), (C, D)
    )
    mask = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 0], [1, 0, 1]], bool)[:, :, None]
    tokens = np.array([[0, 5, 0], [3, 3, 1], [0, 2, 5], [4, 0, 0]], np.int32)
    operands = {"scale": scale, "square": square, "turn": np.int32(2)}
    return weights, {"recurrent": added}, carry, gain, (mask, tokens), operands


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_the_gradients_of_a_scan_are_those_of_autodiff(arguments, reverse):
    weights, inputs, carry, gain, rest, operands = arguments

    def run(which, weights, inputs, carry, gain, floats):
        xs, first = (gain, *rest), (carry, jnp.int32(0))
        given = operands | floats
        last, ys = which(looking_step, weights, inputs, first, xs, given, reverse)
        return last[0], ys[:2]

    floats = {name: operands[name] for name in ("scale", "square")}
    given = weights, inputs, carry, gain, floats
    gradients, _ = same(partial(run, scan), partial(run, plain_scan), *given)
    assert all(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(gradients))


def test_the_gradients_of_a_scan_are_those_of_autodiff_in_float64(arguments):
    weights, inputs, carry, gain, rest, operands = arguments
    with jax.enable_x64(True):
        wide = jax.tree.map(
            lambda leaf: leaf.astype(np.float64) if leaf.dtype == np.float32 else leaf,
            (weights, inputs, carry, gain, operands),
        )

        def total(which, weights, carry):
            _, inputs, _, gain, operands = wide
            first = carry, jnp.int32(0)
            (state, _), ys = which(
                looking_step, weights, inputs, first, (gain, *rest), operands
            )
            return jnp.sum(jnp.sin(state)) + jnp.sum(jnp.cos(ys[1]))

        ours, theirs = (
            jax.jit(
                jax.grad(partial(total, which), argnums=(0, 1)), compiler_options=QUICK
            )(wide[0], wide[2])
            for which in (scan, plain_scan)
        )
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_a_scan_under_vmap_is_a_loop_of_scans(arguments):
    weights, inputs, carry, gain, rest, operands = arguments
    scales = np.array([1.0, -0.5], np.float32)

    def total(which, weights, carry, scale):
        first = carry * scale, jnp.int32(0)
        (state, _), (_, context, _) = which(
            looking_step, weights, inputs, first, (gain, *rest), operands
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
    weights, inputs, carry, gain, rest, operands = arguments
    two = jax.tree.map(lambda leaf: np.stack([leaf, leaf * 0.5]), weights)

    def total(which, weights):
        (state, _), (outputs, *_) = which(
            looking_step,
            weights,
            inputs,
            (carry, jnp.int32(0)),
            (gain, *rest),
            operands,
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


def additive_energies(query, keys, score):
    powers = bahdanau.power(jax.lax.stop_gradient(keys))
    return bahdanau.additive_energies(query, keys, score, powers)


WRITTEN_OUT = {
    "lstm": (lstm.gates, lstm.plain_gates, ((B, 4 * D), (B, D))),
    "gru": (gru.gates, gru.plain_gates, ((B, 3 * D), (B, 3 * D), (D,), (B, D))),
    "energies": (
        additive_energies,
        bahdanau.plain_energies,
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

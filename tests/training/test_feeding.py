"""Feeding gold tokens, or a decoder's own outputs: against a loop in numpy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.training.feeding import FEEDBACKS, feed_argmax, feed_probabilities, unroll
from s2sjax.types import BOS, EOS, StepOutput
from tests import oracles

B, T, V, D = 3, 5, 7, 4
random = np.random.default_rng(0)
PARAMS = {
    name: random.normal(0, scale, shape).astype(np.float32)
    for name, scale, shape in (
        ("embedding", 1.5, (V, D)),
        ("recurrent", 1.0, (D, D)),
        ("output", 2.0, (D, V)),
    )
}
CARRY = random.normal(size=(B, D)).astype(np.float32)
GOLD = np.concatenate(
    [np.full((B, 1), BOS), random.integers(EOS + 1, V, (B, T - 1))], axis=1
).astype(np.int32)
MIXED = np.array([[0, 0, 1, 0, 1], [0, 1, 1, 1, 1], [1, 0, 0, 0, 1]], bool)
NEVER, ALWAYS = np.zeros((B, T), bool), np.ones((B, T), bool)
close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)


def decoder_step(params, carry, x):
    """A decoder of three matrices, not one of ours."""
    ids = jnp.issubdtype(x.dtype, jnp.integer)
    read = params["embedding"][x] if ids else x @ params["embedding"]
    carry = jnp.tanh(carry @ params["recurrent"] + read)
    logits = (carry @ params["output"]).at[:, :EOS].set(-jnp.inf)
    return carry, StepOutput(logits, {"state": carry})


def loss(feedback, params, own, gold=GOLD):
    output = unroll(partial(decoder_step, params), CARRY, gold, own, feedback)
    ramp = jnp.cos(jnp.arange(B * T * (V - EOS))).reshape(B, T, V - EOS)
    return jnp.sum(output.logits[..., EOS:] * ramp), output


run = {
    name: jax.jit(jax.grad(partial(loss, feedback), has_aux=True))
    for name, feedback in FEEDBACKS.items()
}


def by_loop(kind, own):
    """Logits [B, T, V], and what was fed [B, T, V], in float64."""
    params = oracles.to_float64(PARAMS)
    logits, fed = np.zeros((B, T, V)), np.zeros((B, T, V))
    for row in range(B):
        carry = CARRY[row]
        for time in range(T):
            x = np.eye(V)[GOLD[row, time]]
            if time and own[row, time]:
                last = logits[row, time - 1]
                x = oracles.softmax(last)
                if kind == "argmax":
                    x = np.eye(V)[np.argmax(last)]
            carry = np.tanh(carry @ params["recurrent"] + x @ params["embedding"])
            logits[row, time] = carry @ params["output"]
            logits[row, time, :EOS] = -np.inf
            fed[row, time] = x
    return logits, fed


@pytest.mark.parametrize("own", [NEVER, ALWAYS, MIXED], ids=["gold", "own", "mixed"])
@pytest.mark.parametrize("kind", FEEDBACKS)
def test_what_is_fed_and_said_is_that_of_a_loop(kind, own):
    gradient, output = run[kind](PARAMS, own)
    expected, fed = by_loop(kind, own)
    close(output.logits, expected)
    assert output.aux["state"].shape == (B, T, D)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    # The first input is BOS, whatever the mask says.
    assert (fed[:, 0].argmax(axis=1) == BOS).all()
    assert (own is NEVER) == (fed.argmax(axis=2) == GOLD).all()


@pytest.mark.parametrize("kind", FEEDBACKS)
def test_the_mask_does_not_count_before_the_first_step(kind):
    first = MIXED.copy()
    first[:, 0] = ~first[:, 0]
    one, other = run[kind](PARAMS, MIXED), run[kind](PARAMS, first)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_gold_feeding_is_the_same_in_every_kind():
    one, other = (run[kind](PARAMS, NEVER) for kind in FEEDBACKS)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        close(a, b)


def test_no_gradient_passes_through_the_choice_of_the_argmax():
    # As if the tokens that were chosen had been gold all along.
    _, fed = by_loop("argmax", ALWAYS)
    chosen = fed.argmax(axis=2).astype(np.int32)
    gold = jax.jit(jax.grad(partial(loss, feed_argmax, gold=chosen), has_aux=True))
    one, other = run["argmax"](PARAMS, ALWAYS)[0], gold(PARAMS, NEVER)[0]
    for name in PARAMS:
        close(one[name], other[name])


@pytest.mark.parametrize(
    "feedback", [feed_argmax, feed_probabilities], ids=["argmax", "probabilities"]
)
def test_a_gradient_passes_through_probabilities_alone(feedback):
    logits = random.normal(size=(2, V)).astype(np.float32)
    table = random.normal(size=V).astype(np.float32)
    own = np.array([True, False])

    def read(logits):
        x = feedback(logits, np.array([3, 3], np.int32), own)
        return jnp.sum(table[x] if x.ndim == 1 else x @ table) + 0 * jnp.sum(logits)

    table = jnp.asarray(table)
    gradient = np.asarray(jax.jit(jax.grad(read))(logits))
    assert (gradient[1] == 0).all()
    if feedback is feed_argmax:
        assert (gradient[0] == 0).all()
    else:
        p = oracles.softmax(logits[0].astype(np.float64))
        close(gradient[0], p * (np.asarray(table) - p @ np.asarray(table)))


def test_the_gradient_through_probabilities_is_a_slope():
    gradient, _ = run["probabilities"](PARAMS, ALWAYS)
    direction = random.normal(size=(D, V))
    direction[:, :EOS] = 0
    ramp = np.cos(np.arange(B * T * (V - EOS))).reshape(B, T, V - EOS)
    sums = []
    for shift in (1e-5, -1e-5):
        kept = PARAMS["output"]
        try:
            PARAMS["output"] = kept.astype(np.float64) + shift * direction
            sums.append(np.sum(by_loop("probabilities", ALWAYS)[0][..., EOS:] * ramp))
        finally:
            PARAMS["output"] = kept
    slope = np.sum(np.asarray(gradient["output"], np.float64) * direction)
    np.testing.assert_allclose(slope, (sums[0] - sums[1]) / 2e-5, rtol=2e-4)

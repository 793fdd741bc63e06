"""The loss against its definition, and what padding must not do to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding.forced import real_tokens, token_losses
from s2sjax.models.readout import Categorical
from s2sjax.types import BOS, EOS, PAD, Batch
from tests import oracles

B, T, V = 3, 4, 6
LENGTHS = np.array([4, 1, 2], np.int32)
random = np.random.default_rng(0)
LOGITS = random.normal(0, 3, (B, T, V)).astype(np.float32)
LOGITS[..., :EOS] = -np.inf
TARGET = random.integers(EOS, V, (B, T)).astype(np.int32)
TARGET[np.arange(T)[None] >= LENGTHS[:, None]] = PAD


@jax.jit
def loss_and_gradient(logits, target, lengths):
    def total(finite):
        masked = jnp.where(jnp.arange(V) >= EOS, finite, -jnp.inf)
        losses = token_losses(masked, target, lengths)
        return jnp.sum(losses), losses

    with jax.numpy_rank_promotion("allow"):
        gradient, losses = jax.grad(total, has_aux=True)(logits)
    return losses, gradient


def test_the_loss_is_the_negative_log_likelihood_of_real_tokens():
    losses, gradient = loss_and_gradient(LOGITS, TARGET, LENGTHS)
    assert losses.dtype == np.float32
    for row, length in enumerate(LENGTHS):
        expected = oracles.nll(LOGITS[row, :length], TARGET[row, :length])
        np.testing.assert_allclose(losses[row].sum(), expected, rtol=1e-5)
        assert (losses[row, length:] == 0).all()
        probabilities = oracles.softmax(LOGITS[row, :length].astype(np.float64))
        slope = probabilities - np.eye(V)[TARGET[row, :length]]
        np.testing.assert_allclose(gradient[row, :length], slope, atol=1e-6)
        assert (gradient[row, length:] == 0).all()


@pytest.mark.parametrize("filler", [PAD, BOS, EOS, V - 1])
def test_what_stands_in_the_padding_does_not_matter(filler):
    filled = np.where(np.arange(T)[None] < LENGTHS[:, None], TARGET, filler)
    one = loss_and_gradient(LOGITS, TARGET, LENGTHS)
    other = loss_and_gradient(LOGITS, filled.astype(np.int32), LENGTHS)
    for a, b in zip(one, other, strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


def test_low_precision_logits_give_a_float32_loss():
    logits = jnp.asarray(LOGITS, jnp.bfloat16)
    losses = jax.jit(token_losses)(logits, TARGET, LENGTHS)
    assert losses.dtype == np.float32
    exact = oracles.nll(np.asarray(logits[0], np.float64), TARGET[0])
    np.testing.assert_allclose(losses[0].sum(), exact, rtol=1e-5)


def test_inputs_are_the_target_one_step_later():
    target = np.array([[5, 4, EOS, PAD], [EOS, 9, 9, 9]], np.int32)
    lengths = np.array([3, 1], np.int32)
    batch = Batch(target, lengths, target, lengths, lengths, lengths * 1.0)
    inputs = Categorical(10).gold(batch)
    assert inputs.tolist() == [[BOS, 5, 4, EOS], [BOS, EOS, 9, 9]]
    assert real_tokens(target, lengths).tolist() == [
        [True, True, True, False],
        [True, False, False, False],
    ]

"""What is made small: against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.errors import UsageError
from s2sjax.training.objectives import OBJECTIVES, losses, objective
from s2sjax.types import EOS, Batch, StepOutput
from tests import oracles

B, T, V, OWN = 3, 4, 9, 7  # a vocabulary of 7 symbols, padded to 9
random = np.random.default_rng(0)
LENGTHS = np.array([4, 2, 1])
TARGET = random.integers(EOS, OWN, (B, T)).astype(np.int32)
LOGITS = random.normal(0, 2, (B, T, V)).astype(np.float32)
LOGITS[..., :EOS] = LOGITS[..., OWN:] = -np.inf


def batch():
    ones = np.ones(B, np.float32)
    return Batch(TARGET, LENGTHS, TARGET, LENGTHS, np.arange(B), ones)


def found(text, logits=LOGITS):
    """The losses and the gradient of their sum with respect to the logits."""
    chosen = objective(text)

    def total(logits):
        each = losses(chosen, StepOutput(logits, {}), batch())
        return each.sum(), each

    gradient, each = jax.jit(jax.grad(total, has_aux=True))(logits)
    return np.asarray(each), np.asarray(gradient)


def cross_entropy(epsilon):
    """By the definition: targets as distributions over what can be emitted."""
    expected, slopes = np.zeros((B, T)), np.zeros((B, T, V))
    emitted = np.arange(V)[EOS:OWN]
    for row in range(B):
        for time in range(LENGTHS[row]):
            q = np.zeros(V)
            q[emitted] = epsilon / len(emitted)
            q[TARGET[row, time]] += 1 - epsilon
            p = oracles.softmax(LOGITS[row, time].astype(np.float64))
            expected[row, time] = -sum(q[v] * np.log(p[v]) for v in emitted)
            slopes[row, time] = p - q
    return expected, slopes


@pytest.mark.parametrize(
    ("text", "epsilon"),
    [
        ("nll", 0.0),
        ("label_smoothing", 0.1),
        ("label_smoothing:epsilon=0.4", 0.4),
        ("label_smoothing:epsilon=0", 0.0),
    ],
)
def test_an_objective_is_a_cross_entropy_in_numpy(text, epsilon):
    each, gradient = found(text)
    expected, slopes = cross_entropy(epsilon)
    np.testing.assert_allclose(each, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("text", OBJECTIVES)
def test_a_padded_vocabulary_and_what_stands_in_padding_change_nothing(text):
    each, gradient = found(text)
    narrow, its = found(text, LOGITS[..., :OWN])
    np.testing.assert_allclose(each, narrow, rtol=1e-6)
    np.testing.assert_allclose(gradient[..., :OWN], its, rtol=1e-5, atol=1e-7)
    beyond = np.arange(T)[None] >= LENGTHS[:, None]
    other = np.where(beyond[..., None], np.float32(3), LOGITS)
    np.testing.assert_array_equal(found(text, other)[0], each)
    assert (each[beyond] == 0).all() and (gradient[beyond] == 0).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nl", "did you mean 'nll'"),
        ("nll:epsilon=0.1", "takes no argument 'epsilon'"),
        ("label_smoothing:eps=0.1", "did you mean 'epsilon'"),
        ("label_smoothing:epsilon=1", "epsilon=1.0 is not a number from 0"),
        ("label_smoothing:epsilon=-0.1", "epsilon=-0.1 is not a number from 0"),
        ("label_smoothing:epsilon=nan", "not a finite number"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(text, said):
    with pytest.raises(UsageError, match=said) as caught:
        objective(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mine", "came"),
    [
        (lambda output, batch: jnp.mean(output.logits), r"float32\[\]"),
        (lambda output, batch: batch.target, r"int32\[3, 4\]"),
        (lambda output, batch: (batch.target, 1), r"\(int32\[3, 4\], int.*\)"),
        (lambda output, batch: output.logits, r"float32\[3, 4, 9\]"),
    ],
)
def test_what_an_objective_returns_is_checked_where_it_enters(mine, came):
    wanted = r"wanted a loss for each target token, float\[3, 4\]"
    with pytest.raises(UsageError, match=rf"returned {came}; {wanted}"):
        losses(mine, StepOutput(jnp.asarray(LOGITS), {}), batch())

"""What is made small: against plain numpy."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.config import base_config, resolve
from s2sjax.errors import UsageError
from s2sjax.models.readout import SYMBOLIC
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.training.objectives import OBJECTIVES, losses, objective
from s2sjax.training.objectives.weights import symbol_weights, token_weights
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
        each = losses(chosen, SYMBOLIC, StepOutput(logits, {}), batch())
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
        ("nll:focal=0", 0.0),
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


@pytest.mark.parametrize("focal", [0.5, 1.0, 2.0, 5.0])
def test_the_focal_loss_in_numpy_and_its_slope_by_differences(focal):
    each, gradient = found(f"nll:focal={focal}")

    def loss(row, time, logits):
        p = oracles.softmax(logits.astype(np.float64))[TARGET[row, time]]
        return -((1 - p) ** focal) * np.log(p)

    for row in range(B):
        for time in range(LENGTHS[row]):
            logits = LOGITS[row, time]
            expected = loss(row, time, logits)
            np.testing.assert_allclose(each[row, time], expected, rtol=1e-4, atol=1e-6)
            for v in range(EOS, OWN):
                step = np.where(np.arange(V) == v, 1e-4, 0)
                ahead, behind = (loss(row, time, logits + s * step) for s in (1, -1))
                slope = (ahead - behind) / 2e-4
                assert gradient[row, time, v] == pytest.approx(slope, abs=2e-4)


@pytest.mark.parametrize("focal", [0.5, 2.0])
def test_a_certain_token_has_no_focal_loss_and_no_slope(focal):
    sure = np.full((B, T, V), -np.inf, np.float32)
    np.put_along_axis(sure, TARGET[..., None], 0, axis=-1)
    each, gradient = found(f"nll:focal={focal}", sure)
    assert (each == 0).all() and (gradient == 0).all()


@pytest.mark.parametrize("text", [*OBJECTIVES, "nll:focal=2"])
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
        ("nll:epsilon=0.1", "unknown argument .* 'epsilon' .one of: focal"),
        ("nll:focal=-1", "focal=-1.0 is not a number from 0"),
        ("nll:focal=nan", "not a finite number"),
        ("nll:focus=2", "did you mean 'focal'"),
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
    wanted = r"wanted a loss for each token or number of the target, float\[3, 4\]"
    with pytest.raises(UsageError, match=rf"returned {came}; {wanted}"):
        losses(mine, SYMBOLIC, StepOutput(jnp.asarray(LOGITS), {}), batch())


def test_tokens_count_by_their_example_and_their_symbol():
    by_symbol = random.uniform(0.1, 3, V).astype(np.float32)
    examples = np.array([2.0, 0.0, 0.25], np.float32)
    each, counted = token_weights(
        SYMBOLIC, batch()._replace(weights=examples), by_symbol
    )
    expected = np.zeros((B, T))
    for row in range(B):
        for time in range(LENGTHS[row]):
            expected[row, time] = examples[row] * by_symbol[TARGET[row, time]]
    np.testing.assert_allclose(each, expected, rtol=1e-6)
    np.testing.assert_allclose(counted, expected.sum(), rtol=1e-6)
    _, without = token_weights(SYMBOLIC, batch()._replace(weights=examples), None)
    assert without == (examples * LENGTHS).sum()


def with_weights(text):
    config = base_config()
    config.train.steps, config.train.symbol_weights = 1, str(text)
    return resolve(config).train.symbol_weights


def test_weights_of_symbols_from_a_file_stand_in_the_config(tmp_path):
    file = tmp_path / "weights.json"
    file.write_text('{"7": 2, "<eos>": 0.5}')
    written = with_weights(file)
    assert written == with_weights('{"<eos>": 0.5, "7": 2.0}') == with_weights(written)
    assert with_weights("<eos>=0.5, 7=2") == written
    found = symbol_weights(written, Vocabulary.integers(5, 4))
    assert found.tolist() == [1, 1, 0.5, 1, 1, 1, 2, 1]
    text = symbol_weights('{"<unk>": 0}', Vocabulary("char", ("a", "=")))
    assert text.tolist() == [1, 1, 1, 0, 1, 1]
    assert symbol_weights("", Vocabulary.integers(5, 4)) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("none.json", "none.json: No such file"),
        ("{7: 2}", "is not weights by symbol"),
        ('{"7": "2"}', '7 is "2", not a number'),
        ("7=-1", "a weight is no finite number from 0"),
        ("7=inf", "a weight is no finite number from 0"),
        ("7=a", "could not convert"),
        ('{"7": NaN}', "no finite number"),
    ],
)
def test_weights_that_cannot_be_are_refused_in_a_line(text, said, tmp_path):
    with pytest.raises(UsageError, match=said) as caught:
        with_weights(text)
    assert "\n" not in str(caught.value)
    with pytest.raises(
        UsageError, match=r"'smile', which is not .* did you mean 'smil"
    ):
        symbol_weights(json.dumps({"smile": 1}), Vocabulary("word", ("smiles",)))

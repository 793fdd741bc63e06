"""What is made small where targets are numbers: against plain numpy and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from s2sjax.errors import UsageError
from s2sjax.models.readout import OUTPUTS, Numeric
from s2sjax.models.readout.quantile import Quantile
from s2sjax.training.objectives import losses, objective
from s2sjax.types import Batch, Given, StepOutput

B, T, G = 3, 4, 2
random = np.random.default_rng(0)
LENGTHS = np.array([4, 2, 4])
TARGET = random.normal(0, 2, (B, T, G)).astype(np.float32)
TARGET[0, 1, 0] = np.nan
REAL = (np.arange(T) < LENGTHS[:, None])[..., None] & np.isfinite(TARGET)
SCALE = random.uniform(0.5, 20, (B, G)).astype(np.float32)
SHIFT = random.normal(size=(B, G)).astype(np.float32)


def batch():
    ones = np.ones(B, np.float32)
    given = Given(SHIFT, np.zeros((B, T, 0), np.float32), SHIFT, SCALE)
    numbers = np.arange(B, dtype=np.int32)
    return Batch(TARGET, LENGTHS, TARGET, LENGTHS, numbers, ones, given)


def found(text, output):
    """The losses, and the gradient of their sum with respect to the raw values."""
    readout = Numeric(output, G, gaps=True)
    raw = random.normal(size=(B, T, readout.size)).astype(np.float32)
    chosen = objective(text, readout)

    def total(raw):
        each = losses(chosen, readout, StepOutput(raw, {}), batch())
        return each.sum(), each

    gradient, each = jax.jit(jax.grad(total, has_aux=True))(raw)
    # What is missing has no loss, and leaves no trace in a gradient.
    missing = ~np.repeat(REAL, readout.size // G, axis=-1)
    assert np.isfinite(gradient).all() and (np.asarray(gradient)[missing] == 0).all()
    assert (np.asarray(each)[~REAL] == 0).all()
    return np.asarray(each)[REAL], raw.reshape(B, T, G, -1)[REAL].astype(float)


def y():
    return TARGET[REAL].astype(float)


def scale():
    return np.broadcast_to(SCALE[:, None], TARGET.shape)[REAL].astype(float)


def softplus(x):
    return np.logaddexp(0, x)


@pytest.mark.parametrize(
    ("text", "defined"),
    [
        ("mse", lambda e: e**2),
        ("mae", np.abs),
        ("huber", lambda e: np.where(abs(e) < 1, e**2 / 2, abs(e) - 0.5)),
        ("huber:delta=2", lambda e: np.where(abs(e) < 2, e**2 / 2, 2 * abs(e) - 2)),
    ],
)
def test_an_error_of_a_point_in_numpy(text, defined):
    each, raw = found(text, OUTPUTS["point"]())
    np.testing.assert_allclose(each, defined(y() - raw[:, 0]), rtol=1e-5, atol=1e-6)


def test_a_likelihood_is_of_the_numbers_themselves():
    each, raw = found("nll", OUTPUTS["gaussian"]())
    shift = np.broadcast_to(SHIFT[:, None], TARGET.shape)[REAL]
    mean, deviation = raw[:, 0], softplus(raw[:, 1]) + 1e-3
    one = stats.norm(shift + scale() * mean, scale() * deviation)
    np.testing.assert_allclose(each, -one.logpdf(shift + scale() * y()), rtol=1e-4)


def test_the_loss_of_quantiles_in_numpy():
    output = Quantile("0.1,0.5,0.8")
    each, raw = found("pinball", output)
    middle = raw[:, 0]
    low, high = middle - softplus(raw[:, 1]), middle + softplus(raw[:, 2])
    wanted = np.zeros(len(middle))
    for level, at in ((0.1, low), (0.5, middle), (0.8, high)):
        over = y() - at
        wanted += np.where(over >= 0, level * over, (level - 1) * over) / 3
    np.testing.assert_allclose(each, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_the_loss_of_quantiles_is_least_where_their_share_is_below(level):
    draws, output = stats.norm.ppf((np.arange(2000) + 0.5) / 2000), Quantile(str(level))
    readout = Numeric(output, 1)
    chosen, numbers = objective("pinball", readout), jnp.float32(draws)[None, :, None]
    one = jnp.ones(1, jnp.int32)
    given = Given(*[jnp.ones((1, 1))] * 4)._replace(known=numbers[..., :0])
    some = Batch(numbers, one * 2000, numbers, one * 2000, one, one * 1.0, given)

    def total(at):
        output = StepOutput(jnp.full_like(numbers, at), {})
        return losses(chosen, readout, output, some).mean()

    places = np.linspace(-2, 2, 81)
    best = places[np.argmin(jax.jit(jax.vmap(total))(places))]
    assert best == pytest.approx(stats.norm.ppf(level), abs=0.03)


@pytest.mark.parametrize(
    ("text", "output", "told"),
    [
        ("nll", "point", "which takes mse or mae or huber"),
        ("mse", "gaussian", "which takes nll"),
        ("nll", "quantile", "which takes pinball"),
        ("pinball", "mixture", "which takes nll"),
        ("label_smoothing", "gaussian", "label_smoothing"),
        ("huber:delta=0", "point", "delta=0.0 is not a number"),
        ("msee", "point", "did you mean 'mse'"),
    ],
)
def test_an_objective_that_an_output_does_not_have_is_refused(text, output, told):
    with pytest.raises(UsageError) as error:
        objective(text, Numeric(OUTPUTS[output](), 2))
    assert told in str(error.value) and "\n" not in str(error.value)

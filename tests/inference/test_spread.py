"""What a forecast says of a number: against definitions and closed forms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from s2sjax.forecasts import LEVELS
from s2sjax.inference import spread
from s2sjax.models.readout.gaussian import Gaussian
from s2sjax.models.readout.mixture import Mixture
from s2sjax.models.readout.negative_binomial import NegativeBinomial
from s2sjax.models.readout.point import Point
from s2sjax.models.readout.quantile import Quantile
from s2sjax.models.readout.student_t import StudentT

SHAPE = (2, 3, 2)  # B, T, G
random = np.random.default_rng(0)
Y = random.normal(size=SHAPE).astype(np.float32)
SCALE = np.full(SHAPE, 4.0, np.float32)


def test_draws_give_their_mean_quantiles_and_the_fair_score():
    draws = random.normal(size=(9, *SHAPE)).astype(np.float32)
    found = jax.jit(spread.of_draws)(draws, Y)
    np.testing.assert_allclose(found.mean, draws.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.median, np.median(draws, axis=0), atol=1e-6)
    wanted = np.moveaxis(np.quantile(draws, LEVELS, axis=0), 0, -1)
    np.testing.assert_allclose(found.quantiles, wanted, atol=1e-6)
    pairs = [np.abs(one - two) for one, two in itertools.permutations(draws, 2)]
    fair = np.abs(draws - Y).mean(axis=0) - np.mean(pairs, axis=0) / 2
    np.testing.assert_allclose(found.crps, fair, atol=1e-6)


def test_the_score_of_few_draws_is_on_average_that_of_the_distribution():
    raw = np.zeros((1, 2), np.float32)
    y, keys = np.float32([[0.7]]), jax.random.split(jax.random.key(0), 4000)
    scale = np.ones_like(y)

    def of_three(key):
        draw = jax.vmap(lambda one: Gaussian().sample(one, raw, scale))
        return spread.of_draws(draw(jax.random.split(key, 3)), y).crps

    scores = np.asarray(jax.jit(jax.vmap(of_three))(keys))
    error = scores.std() / np.sqrt(len(scores))
    assert abs(scores.mean() - float(Gaussian().crps(raw, y)[0, 0])) < 4 * error


@pytest.mark.parametrize(
    "output",
    [Gaussian(), Mixture(2), StudentT(), NegativeBinomial(), Quantile(), Point()],
    ids=lambda output: type(output).__name__,
)
def test_raw_values_give_what_many_draws_of_them_give(output):
    raw = random.normal(size=(*SHAPE[:2], output.size(2))).astype(np.float32)
    key = jax.random.key(1)
    found = jax.jit(lambda raw: spread.of_raw(output, raw, Y, SCALE, key))(raw)
    if not output.has_quantiles:
        np.testing.assert_array_equal(found.mean, raw)
        assert found.quantiles is None and found.crps is None
        return
    if "nll" in output.objectives:
        keys = jax.random.split(jax.random.key(2), 4000)
        draws = jax.vmap(lambda one: output.sample(one, raw, SCALE))(keys)
    else:
        levels = (np.arange(4000, dtype=np.float32) + 0.5) / 4000
        draws = jax.vmap(lambda q: output.quantile(raw, q, SCALE))(levels)
    wanted = spread.of_draws(draws, Y)
    # Of counts a quantile is one of them: a quarter, after scaling.
    loose = 0.26 if output.counts else 0.03 + 0.05 * np.std(draws, axis=0)
    assert (np.abs(found.mean - wanted.mean) < 0.1 * np.std(draws, axis=0) + 0.01).all()
    assert (np.abs(found.median - wanted.median) <= 2 * loose).all()
    assert (np.abs(found.quantiles - wanted.quantiles).max(-1) <= 6 * loose).all()
    np.testing.assert_allclose(found.crps, wanted.crps, rtol=0.15, atol=0.05)


def test_the_score_of_quantiles_is_the_integral_of_their_losses():
    output, one = Quantile("0.1,0.9"), stats.norm(2, 3)
    low, high = one.ppf([0.1, 0.9])
    raw = jnp.float32([[high, np.log(np.expm1(high - low))]])
    y = jnp.float32([[4.0]])
    found = spread.of_raw(output, raw, y, jnp.ones((1, 1)), jax.random.key(0))
    z = (4.0 - 2) / 3
    crps = 3 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - np.pi**-0.5)
    assert float(found.crps[0, 0]) == pytest.approx(crps, rel=2e-3)


def test_what_is_said_is_brought_into_the_units_of_the_numbers():
    draws = random.normal(size=(50, *SHAPE)).astype(np.float32)
    shift = np.full(SHAPE, 10.0, np.float32)
    found = spread.of_draws(draws, Y).unscaled(shift, SCALE)
    wanted = spread.of_draws(shift + SCALE * draws, shift + SCALE * Y)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)

"""What is made of numbers: against scipy, and against integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from s2sjax.errors import UsageError
from s2sjax.models.readout.gaussian import Gaussian
from s2sjax.models.readout.mixture import Mixture
from s2sjax.models.readout.negative_binomial import NegativeBinomial
from s2sjax.models.readout.point import Point
from s2sjax.models.readout.quantile import Quantile
from s2sjax.models.readout.student_t import StudentT

B, G = 3, 2
random = np.random.default_rng(0)
SCALE = np.array([[1.0, 3.0], [0.5, 20.0], [7.0, 100.0]])
LEVELS = (0.001, 0.05, 0.25, 0.5, 0.8, 0.95, 0.999)
DENSITIES = (Gaussian(), StudentT(), Mixture(1), Mixture(4))
SPREADS = (*DENSITIES, NegativeBinomial())
ALL = (*SPREADS, Quantile(), Quantile("0.02,0.3,0.5,0.7"), Quantile("0.5"), Point())


def name(output):
    return str(output).replace("()", "")


def raw(output, spread=1.5):
    return np.random.default_rng(1).normal(0, spread, (B, output.size(G)))


def softplus(x):
    return np.logaddexp(0, x)


def parts(output, values):
    """The raw values of each number, [B, G, P / G]."""
    return values.reshape(B, G, -1)


class Blend:
    """A mixture of normal distributions, as scipy has distributions."""

    def __init__(self, weights, means, deviations):
        self.weights, self.each = weights, stats.norm(means, deviations)

    def pdf(self, y):
        return (self.weights * self.each.pdf(np.asarray(y)[..., None])).sum(axis=-1)

    def logpdf(self, y):
        return np.log(self.pdf(y))

    def cdf(self, y):
        return (self.weights * self.each.cdf(np.asarray(y)[..., None])).sum(axis=-1)

    def mean(self):
        return (self.weights * self.each.mean()).sum()

    def std(self):
        second = (self.weights * (self.each.var() + self.each.mean() ** 2)).sum()
        return np.sqrt(second - self.mean() ** 2)


def referee(output, row):
    """The distribution of scipy that raw values of a number stand for, before scaling;
    for counts a function of the scale."""
    match output:
        case Gaussian():
            return stats.norm(row[0], softplus(row[1]) + 1e-3)
        case StudentT():
            degrees = 2 + softplus(row[2]) + 1e-3
            return stats.t(degrees, row[0], softplus(row[1]) + 1e-3)
        case Mixture(count):
            weights = np.exp(row[:count]) / np.exp(row[:count]).sum()
            means, deviations = row[count : 2 * count], row[2 * count :]
            return Blend(weights, means, softplus(deviations) + 1e-3)


def counted(row, scale):
    """Salinas et al. 2020: mu and alpha of the counts themselves."""
    mu = scale * (softplus(row[0]) + 1e-6)
    alpha = (softplus(row[1]) + 1e-3) / np.sqrt(scale)
    return stats.nbinom(1 / alpha, 1 / (1 + alpha * mu))


def every(output, value):
    """`value(scipy's distribution, scale)` of each number, [B, G]."""
    rows = parts(output, raw(output))
    found = np.zeros((B, G))
    for place in np.ndindex(B, G):
        scale = SCALE[place]
        one = referee(output, rows[place]) or counted(rows[place], scale)
        found[place] = value(one, scale, place)
    return found


def in_float64(function, *arguments):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(function)(*map(jnp.asarray, arguments)))


@pytest.mark.parametrize("output", DENSITIES, ids=name)
def test_a_density_is_that_of_scipy_in_the_units_of_the_number(output):
    y = random.normal(0, 2, (B, G))
    found = in_float64(output.log_prob, raw(output), y, SCALE)
    # With the Jacobian of y = (number - shift) / scale.
    wanted = every(
        output, lambda one, scale, place: one.logpdf(y[place]) - np.log(scale)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("output", DENSITIES, ids=name)
def test_a_density_of_numbers_has_an_integral_of_one(output):
    row, scale = raw(output)[:1, : output.size(1)], 3.0
    log_prob = jax.jit(output.log_prob)

    def density(numbers):
        y = (numbers - 5.0) / scale
        return np.exp(log_prob(np.repeat(row, len(y), 0), y[:, None], scale))[:, 0]

    numbers = np.linspace(-400, 400, 200_001)
    with jax.enable_x64(True):
        assert integrate.trapezoid(density(numbers), numbers) == pytest.approx(
            1, abs=2e-4
        )


def test_a_count_has_the_probability_that_scipy_gives_it():
    output, counts = NegativeBinomial(), random.integers(0, 60, (B, G))
    counts[0, 0] = 0
    found = in_float64(output.log_prob, raw(output), counts / SCALE, SCALE)
    wanted = every(output, lambda one, scale, place: one.logpmf(counts[place]))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    many = np.arange(5000.0)[:, None]
    rows = np.repeat(raw(output)[:1, :2], len(many), 0)
    total = np.exp(in_float64(output.log_prob, rows, many / 20, np.float64(20))).sum()
    assert total == pytest.approx(1, abs=1e-6)


def test_a_large_count_keeps_its_digits_in_float32():
    output, counts = NegativeBinomial(), np.array([[1e3], [3e4], [1e6]], np.float32)
    rows = np.tile(np.float32([1.0, -1.0]), (3, 1))
    scale = counts / np.float32(1.3)
    found = jax.jit(output.log_prob)(rows, counts / scale, scale)
    wanted = [
        counted(rows[i].astype(float), float(scale[i, 0])).logpmf(round(counts[i, 0]))
        for i in range(3)
    ]
    np.testing.assert_allclose(found[:, 0], wanted, rtol=2e-4)


@pytest.mark.parametrize("output", SPREADS, ids=name)
def test_a_mean_is_that_of_scipy(output):
    found = in_float64(output.mean, raw(output))
    by_scale = output.counts  # scipy has the counts, before scaling
    wanted = every(
        output, lambda one, scale, _: one.mean() / (scale if by_scale else 1)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("output", (Gaussian(), StudentT()), ids=name)
def test_a_quantile_is_that_of_scipy(output):
    for level in LEVELS:
        found = in_float64(output.quantile, raw(output), level, SCALE)
        wanted = every(output, lambda one, scale, _, level=level: one.ppf(level))
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("output", (Mixture(1), Mixture(4)), ids=name)
def test_a_quantile_of_a_mixture_has_its_share_below(output):
    for level in LEVELS:
        found = in_float64(output.quantile, raw(output), level, SCALE)
        below = every(output, lambda one, scale, place, at=found: one.cdf(at[place]))
        np.testing.assert_allclose(below, level, rtol=1e-6)


def test_a_quantile_of_counts_is_that_of_scipy():
    output = NegativeBinomial()
    for level in LEVELS:
        found = in_float64(output.quantile, raw(output), level, SCALE) * SCALE
        wanted = every(output, lambda one, scale, _, level=level: one.ppf(level))
        np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("output", [o for o in ALL if o.has_quantiles], ids=name)
def test_a_median_is_the_quantile_of_a_half_and_float32_is_near_float64(output):
    values = raw(output).astype(np.float32)
    scale = SCALE.astype(np.float32)
    median = jax.jit(output.median)(values, scale)
    assert median.dtype == jnp.float32
    half = jax.jit(output.quantile)(values, 0.5, scale)
    np.testing.assert_allclose(median, half, atol=1e-6)
    exact = in_float64(output.median, raw(output), SCALE)
    np.testing.assert_allclose(median, exact, atol=2e-6)


@pytest.mark.parametrize("output", SPREADS, ids=name)
def test_draws_are_of_the_distribution(output):
    """By the largest gap of the empirical distribution: Kolmogorov and Smirnov."""
    count, values, scale = 2000, raw(output).astype("f4"), SCALE.astype("f4")
    keys = jax.random.split(jax.random.key(3), count)
    drawn = jax.jit(jax.vmap(output.sample, (0, None, None)))(keys, values, scale)
    drawn = np.asarray(drawn, float)
    assert drawn.shape == (count, B, G)

    def gap(one, scale, place):
        mine = np.sort(drawn[(slice(None), *place)])
        if output.counts:
            mine = np.round(mine * scale)
            levels, counts = np.unique(mine, return_counts=True)
            return np.abs(np.cumsum(counts) / count - one.cdf(levels)).max()
        return np.abs(one.cdf(mine) - (np.arange(count) + 0.5) / count).max()

    assert every(output, gap).max() < 0.044  # 1.95 / sqrt(2000) is one in a thousand


@pytest.mark.parametrize("output", (Gaussian(), Mixture(1), Mixture(4)), ids=name)
def test_the_closed_crps_is_the_integral_of_squared_differences(output):
    y = random.normal(0, 2, (B, G))
    found = in_float64(output.crps, raw(output), y)

    def by_integral(one, scale, place):
        at = np.linspace(-60, 60, 24_000) + y[place]
        return integrate.trapezoid((one.cdf(at) - (at >= y[place])) ** 2, at)

    np.testing.assert_allclose(found, every(output, by_integral), atol=1e-3)


@pytest.mark.parametrize(
    "output", [o for o in ALL if isinstance(o, Quantile)], ids=name
)
def test_quantiles_never_cross_and_have_lines_between_them(output):
    values = raw(output, spread=8.0)
    rows = in_float64(lambda raw: jnp.stack(output.quantiles(raw), -1), values)
    assert (np.diff(rows, axis=-1) > 0).all()
    middle = len(output.shares) // 2
    np.testing.assert_array_equal(rows[..., middle], parts(output, values)[..., 0])
    for place, level in enumerate(output.shares):
        found = in_float64(output.quantile, values, level, SCALE)
        np.testing.assert_allclose(found, rows[..., place], rtol=1e-6, atol=1e-6)
    every = [in_float64(output.quantile, values, q, SCALE) for q in LEVELS]
    assert (np.diff(np.stack(every), axis=0) >= 0).all()
    at = (np.arange(20_000) + 0.5) / 20_000
    with jax.enable_x64(True):
        mean = jax.vmap(lambda q: output.quantile(values, q, SCALE))(at).mean(axis=0)
    np.testing.assert_allclose(
        in_float64(output.mean, values), mean, rtol=2e-3, atol=1e-3
    )


def test_two_levels_of_a_normal_distribution_give_all_others():
    output, one = Quantile("0.1,0.9"), stats.norm(2, 3)
    low, high = one.ppf([0.1, 0.9])
    values = np.array([[high, np.log(np.expm1(high - low))]])
    for level in (0.01, 0.3, 0.5, 0.99):
        found = in_float64(output.quantile, values, level, np.float64(1))
        np.testing.assert_allclose(found, one.ppf(level), rtol=1e-6)


@pytest.mark.parametrize("output", SPREADS, ids=name)
def test_extreme_raw_values_have_finite_losses_and_slopes(output):
    extreme = np.stack(
        [
            np.full(output.size(G), 60.0),
            np.full(output.size(G), -60.0),
            np.where(np.arange(output.size(G)) % 2, 60.0, -60.0),
        ]
    ).astype("f4")
    y = np.tile(np.float32([0, 50]), (B, 1))

    def loss(raw):
        return -output.log_prob(raw, y, SCALE.astype("f4")).sum()

    value, slope = jax.jit(jax.value_and_grad(loss))(extreme)
    assert np.isfinite(value) and np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Mixture(0), "components=0 is not a number from 1 to 100"),
        (lambda: Mixture(101), "components=101"),
        (lambda: Quantile("0.5,0.1"), "levels=0.5,0.1 are not shares"),
        (lambda: Quantile("0,0.5"), "levels=0,0.5"),
        (lambda: Quantile("0.1,1"), "levels=0.1,1"),
        (lambda: Quantile("0.1,0.1"), "levels=0.1,0.1"),
        (lambda: Quantile("nan"), "levels=nan"),
        (lambda: Quantile("low"), "levels=low"),
        (lambda: Quantile(""), "levels= are"),
        (lambda: Point().log_prob(1, 1, 1), "point has no likelihood"),
        (lambda: Point().sample(1, 1, 1), "point is no distribution"),
        (lambda: Point().quantile(1, 1, 1), "point has no quantiles"),
        (lambda: Quantile().log_prob(1, 1, 1), "quantile has no likelihood"),
        (lambda: Quantile().sample(1, 1, 1), "quantile is no distribution"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(make, told):
    with pytest.raises(UsageError) as error:
        make()
    assert told in str(error.value) and "\n" not in str(error.value)

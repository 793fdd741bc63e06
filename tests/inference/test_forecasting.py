"""Forecasts of a horizon: rolled, drawn, in one pass; and what is said of what came."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax.errors import UsageError
from s2sjax.inference.forecasting import NUMBER_STRATEGIES, force, forecast, rolling
from s2sjax.inference.system import System
from tests import numeric
from tests.models.conftest import drawn_params


@functools.cache
def system(strategy="mean", gaps=False, **fields):
    model = numeric.model(gaps=gaps, **fields)
    config = numeric.config()
    decode = dataclasses.replace(config.decode, strategy=strategy)
    config = dataclasses.replace(config, decode=decode)
    return System.of(model, config, drawn_params(model))


def leaves(spread):
    """All numbers of a forecast, as rows [B, T, ...]."""
    return [np.asarray(leaf) for leaf in spread]


def test_the_rolled_mean_is_that_of_numpy():
    own = system()
    batch = numeric.batch()
    found = forecast(own, batch)
    (params,) = own.params
    for row in range(numeric.B):
        raw = numeric.written(params, batch, row, numeric.mean, free=True)
        mean = np.array([numeric.mean(0, each) for each in raw])
        given = batch.given
        wanted = given.shift[row] + given.scale[row] * mean
        np.testing.assert_allclose(found.mean[row, : len(raw)], wanted, rtol=1e-4)


def test_nothing_of_the_target_is_read():
    batch = numeric.batch()
    without = batch._replace(target=np.full_like(batch.target, np.nan))
    for strategy in ("mean", "sample:n=3"):
        one, other = (
            forecast(system(strategy), batch),
            forecast(system(strategy), without),
        )
        for name in ("mean", "median", "quantiles"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert np.isnan(other.crps).all() and not np.isnan(one.crps[0]).any()


@pytest.mark.parametrize("strategy", ["mean", "sample:n=4"])
@settings(max_examples=8, deadline=None)
@given(row=st.integers(0, numeric.B - 1), strange=st.sampled_from([1e6, -3.0]))
def test_a_row_alone_and_otherwise_padded_is_forecast_alike(strategy, row, strange):
    own, batch = system(strategy), numeric.batch()
    outside = np.arange(numeric.S) >= batch.source_lengths[:, None]
    source = np.where(outside[..., None], strange, batch.source).astype(np.float32)
    # Filler goes on beside it, so that the program is the same.
    alone = numeric.rows(batch._replace(source=source), np.array([row] * numeric.B))
    steps = batch.target_lengths[row]
    pairs = zip(leaves(forecast(own, batch)), leaves(forecast(own, alone)), strict=True)
    for one, other in pairs:
        np.testing.assert_array_equal(one[row, :steps], other[0, :steps])
    single = numeric.rows(batch, np.array([row]))
    pairs = zip(
        leaves(forecast(own, batch)), leaves(forecast(own, single)), strict=True
    )
    for one, other in pairs:
        np.testing.assert_allclose(
            one[row, :steps], other[0, :steps], rtol=2e-4, atol=1e-5
        )


def test_trajectories_spread_as_numpy_draws_them():
    """Means and deviations of many draws, against many of numpy's own."""
    own, batch = system("sample:n=2000"), numeric.batch()
    found = forecast(own, batch)
    (params,) = own.params
    random, row = np.random.default_rng(3), 0

    def drawn(t, raw):
        mean, free = raw.reshape(numeric.WRITTEN, 2).T
        return mean + (np.log1p(np.exp(free)) + 1e-3) * random.normal(size=len(mean))

    paths = []
    for _ in range(1500):
        path = []

        def kept(t, raw, path=path):
            path.append(drawn(t, raw))
            return path[-1]

        numeric.written(params, batch, row, kept, free=True)
        paths.append(path)
    paths = np.array(paths) * batch.given.scale[row] + batch.given.shift[row]
    error = paths.std(axis=0) / np.sqrt(1500)
    assert (abs(found.mean[row] - paths.mean(axis=0)) < 5 * error).all()
    middle = np.quantile(paths, 0.5, axis=0)
    assert (abs(found.median[row] - middle) < 7 * error).all()


@pytest.mark.parametrize("gaps", [False, True])
def test_forced_likelihoods_are_those_of_numpy(gaps):
    own, batch = system(gaps=gaps), numeric.batch(gaps=gaps)
    found = np.asarray(force(own, batch))
    within = np.arange(numeric.T) < batch.target_lengths[:, None]
    came = within[..., None] & ~np.isnan(batch.target)
    np.testing.assert_array_equal(~np.isnan(found), came)
    weights = np.broadcast_to(batch.weights[:, None, None], came.shape)[came]
    mean = -(found[came] * weights).sum() / weights.sum()
    (params,) = own.params
    np.testing.assert_allclose(
        mean, numeric.nll(params, batch, own=numeric.mean), rtol=1e-5
    )


def test_a_direct_model_reads_what_is_known_and_nothing_that_was_written():
    own, batch = system(direct=True), numeric.batch()
    found = forecast(own, batch)
    other = batch._replace(target=batch.target + 3)
    np.testing.assert_array_equal(found.mean, forecast(own, other).mean)
    given = batch.given
    first = batch._replace(given=given._replace(first=given.first + 1))
    np.testing.assert_array_equal(found.mean, forecast(own, first).mean)
    np.testing.assert_array_equal(force(own, batch), force(own, first))
    ahead = batch._replace(given=given._replace(known=given.known + 1))
    assert abs(found.mean - forecast(own, ahead).mean).max() > 1e-3
    # All steps are said at once, so that draws are not of trajectories.
    drawn = forecast(system("sample:n=3", direct=True), batch)
    np.testing.assert_array_equal(drawn.quantiles, found.quantiles)


REFUSED = {
    ("beam:size=3", "gaussian"): "'beam' is of symbols; numbers take mean, median or",
    ("exact", "gaussian"): "'exact' is of symbols",
    ("mbr", "gaussian"): "'mbr' is of symbols",
    ("greedy", "point"): "'greedy' is of symbols",
    ("sample", "point"): "model.output=point is no distribution to draw from",
    ("sample:n=9", "quantile"): "model.output=quantile is no distribution",
    ("sample:n=1", "gaussian"): "n=1",
    ("meen", "gaussian"): "did you mean 'mean'?",
    ("mean:n=3", "gaussian"): "n",
}


@pytest.mark.parametrize(("text", "output"), REFUSED)
def test_strategies_that_numbers_do_not_have_are_refused(text, output):
    with pytest.raises(UsageError) as error:
        rolling(text, numeric.model(output).readout)
    assert REFUSED[text, output] in str(error.value)


@pytest.mark.parametrize(
    ("strategy", "output"),
    [*((name, "gaussian") for name in NUMBER_STRATEGIES), ("mean", "quantile")],
)
def test_each_strategy_is_traced(strategy, output):
    own = system(strategy, output=output)
    found = jax.eval_shape(forecast, own, numeric.batch())
    assert found.mean.shape == (numeric.B, numeric.T, numeric.WRITTEN)


def test_runs_of_numbers_do_not_decode_together():
    own = system()
    two = System(own.models * 2, own.config, own.params * 2)
    with pytest.raises(UsageError, match="do not decode together"):
        forecast(two, numeric.batch())

"""Training on numbers: what is fed, what is missing, the gradient; against numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax import tasks
from s2sjax.config import TrainConfig
from s2sjax.errors import UsageError
from s2sjax.models.architectures import build_model
from s2sjax.models.seq2seq import apply
from s2sjax.training.feeding import NUMBER_FEEDINGS, feeding
from s2sjax.training.objectives import NUMBER_OBJECTIVES, losses, objective
from s2sjax.training.objectives.weights import token_weights
from s2sjax.training.recipe import recipe
from s2sjax.training.state import first_state, numbers
from s2sjax.training.step import Program, Work, decoded, run_steps
from tests import numeric
from tests.models.conftest import drawn_params

STEP = jnp.int32(3)


def traced(probability=1.0):
    settings = numbers(numeric.config())
    return settings | {"train.feeding_probability": jnp.float32(probability)}


@functools.cache
def program(feed="gold", gaps=False, embedding=0):
    """The mean loss of nll and its gradient, with what was said."""
    model = numeric.model(gaps=gaps, embedding=embedding)
    config = TrainConfig(feeding=feed)
    chosen = recipe(config, 10, model.readout)

    def mean(params, own, batch):
        said = decoded(model, chosen.feeding, params, own, STEP, batch)
        each, count = token_weights(model.readout, batch, None)
        loss = losses(chosen.objective, model.readout, said, batch)
        return jnp.sum(loss * each) / count, said.logits

    return model, jax.jit(jax.value_and_grad(mean, has_aux=True))


@pytest.mark.parametrize("embedding", [0, 3])
@pytest.mark.parametrize("gaps", [False, True])
def test_forced_numbers_are_those_of_numpy(gaps, embedding):
    model, run = program(gaps=gaps, embedding=embedding)
    params, batch = drawn_params(model), numeric.batch(gaps=gaps)
    (loss, raw), _ = run(params, traced(), batch)
    for row in range(numeric.B):
        wanted = numeric.written(params, batch, row, numeric.mean)
        np.testing.assert_allclose(
            raw[row, : len(wanted)], wanted, rtol=1e-4, atol=1e-5
        )
    np.testing.assert_allclose(loss, numeric.nll(params, batch, own=numeric.mean), 1e-5)


@pytest.mark.parametrize("feed", ["mean", "median"])
def test_free_running_numbers_are_those_of_numpy(feed):
    model, run = program(feed)
    params, batch = drawn_params(model), numeric.batch()
    (loss, _), _ = run(params, traced(), batch)
    wanted = numeric.nll(params, batch, own=numeric.mean, free=True)
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    (forced, _), _ = run(params, traced(0.0), batch)
    np.testing.assert_allclose(forced, numeric.nll(params, batch), rtol=1e-5)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("feed", ["gold", "mean"])
def test_the_gradient_is_that_of_differences(feed, gaps):
    model, run = program(feed, gaps)
    params, batch = drawn_params(model), numeric.batch(gaps=gaps)
    _, gradient = run(params, traced(), batch)
    random = np.random.default_rng(5)
    along = jax.tree.map(lambda leaf: random.normal(size=leaf.shape), params)

    def moved(by):
        near = jax.tree.map(lambda p, d: np.float64(p) + by * d, params, along)
        return numeric.nll(near, batch, own=numeric.mean, free=feed == "mean")

    wanted = (moved(1e-5) - moved(-1e-5)) / 2e-5
    slopes = jax.tree.map(lambda g, d: np.vdot(np.float64(g), d), gradient, along)
    np.testing.assert_allclose(sum(jax.tree.leaves(slopes)), wanted, rtol=1e-4)


def test_what_is_sampled_depends_on_example_and_step_alone():
    model, run = program("sample")
    params, batch = drawn_params(model), numeric.batch()
    (_, raw), _ = run(params, traced(), batch)
    (_, again), _ = run(params, traced(), batch)
    np.testing.assert_array_equal(raw, again)
    turned = np.array([3, 2, 1, 0])
    (_, other), _ = run(params, traced(), numeric.rows(batch, turned))
    for place, row in enumerate(turned):
        length = batch.target_lengths[row]
        np.testing.assert_allclose(other[place, :length], raw[row, :length], rtol=1e-5)
    (_, gold), _ = run(params, traced(0.0), batch)
    assert abs(gold - raw)[:, 1:].max() > 1e-2
    np.testing.assert_array_equal(gold[:, 0], raw[:, 0])


@pytest.mark.parametrize("gaps", [False, True])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), strange=st.sampled_from([0.0, 1e6, -3.0]))
def test_padding_changes_neither_loss_nor_gradient(gaps, seed, strange):
    model, run = program(gaps=gaps)
    params, batch = drawn_params(model), numeric.batch(seed, gaps)
    outside = np.arange(numeric.S) >= batch.source_lengths[:, None]
    beyond = np.arange(numeric.T) >= batch.target_lengths[:, None]
    target = np.where(beyond[..., None], strange or np.nan, batch.target)
    given = batch.given
    known = np.where(beyond[..., None], strange, given.known).astype(np.float32)
    padded = batch._replace(
        source=np.where(outside[..., None], strange, batch.source).astype(np.float32),
        target=target.astype(np.float32),
        given=given._replace(known=known),
    )
    (loss, _), gradient = run(params, traced(), batch)
    (other, _), same = run(params, traced(), padded)
    np.testing.assert_array_equal(other, loss)
    jax.tree.map(np.testing.assert_array_equal, same, gradient)


def test_stepped_numbers_equal_those_that_are_forced():
    fields = {"attention": "bahdanau", "context": "input_feeding", "embedding": 3}
    model = numeric.model(layers=2, cell="gru", **fields)
    params, batch = drawn_params(model), numeric.batch()
    gold = model.readout.gold(batch)

    @jax.jit
    def both(params, batch):
        source = batch.source, batch.source_lengths
        encoded = apply(model, params, *source, method="encode")
        state, memory = apply(model, params, encoded, method="start")

        def step(state, x):
            return apply(model, params, state, x, memory, method="step")

        _, stepped = jax.lax.scan(step, state, gold.swapaxes(0, 1))
        forced = apply(model, params, *source, gold)
        return stepped.logits.swapaxes(0, 1), forced.logits

    stepped, forced = both(params, batch)
    np.testing.assert_allclose(stepped, forced, rtol=1e-4, atol=1e-5)


def test_rates_and_lengths_are_traced():
    config = numeric.config()
    model = build_model(config, *tasks.create(config).sides)
    chosen = recipe(config.train, 4, model.readout)
    before, found = run_steps._cache_size(), []
    for rate, length in ((0.1, 6), (0.01, 6), (0.1, 3)):
        bucket = tasks.create(config).buckets["train"][0]
        own = numbers(config) | {"train.learning_rate": jnp.float32(rate)}
        store = bucket.store._replace(
            min_length=jnp.int32(length), length=jnp.int32(length)
        )
        rows = jnp.arange(12, dtype=jnp.int32).reshape(4, 3)
        state = first_state(model, chosen, own)
        work = Work(own, store, rows, jnp.int32(4))
        program = Program(model, chosen, bucket.fetch)
        found.append(run_steps(program, state, work)[1].loss)
    assert run_steps._cache_size() == before + 1
    assert len({tuple(np.asarray(each).tolist()) for each in found}) == 3


OBJECTIVES = {
    ("nll", "point"): "train.objective=nll does not train model.output=point, which "
    "takes mse or mae or huber",
    ("mse", "quantile"): "which takes pinball",
    ("label_smoothing", "gaussian"): "unknown train.objective 'label_smoothing'",
    ("huber:delta=-1", "point"): "delta=-1",
}


@pytest.mark.parametrize(("text", "output"), OBJECTIVES)
def test_objectives_that_numbers_do_not_have_are_refused(text, output):
    with pytest.raises(UsageError) as error:
        objective(text, numeric.model(output).readout)
    assert OBJECTIVES[text, output] in str(error.value)


FEEDINGS = {
    ("argmax", "gaussian"): "unknown train.feeding 'argmax'",
    ("sample", "point"): "model.output=point is no distribution",
    ("sample", "quantile"): "model.output=quantile",
}


@pytest.mark.parametrize(("text", "output"), FEEDINGS)
def test_feedings_that_numbers_do_not_have_are_refused(text, output):
    with pytest.raises(UsageError) as error:
        feeding(TrainConfig(feeding=text), numeric.model(output).readout)
    assert FEEDINGS[text, output] in str(error.value)


def test_all_that_numbers_have_is_tried():
    assert set(NUMBER_FEEDINGS) == {"gold", "none", "mean", "median", "sample"}
    assert set(NUMBER_OBJECTIVES) >= {"nll", "mse", "mae", "huber"}

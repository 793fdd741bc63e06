"""Optimisers and schedules by name."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from s2sjax.config import TrainConfig
from s2sjax.errors import UsageError
from s2sjax.training.optimizer import OPTIMIZERS, SCHEDULES, optimizer, schedule

PARAMS = {"w": np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)}
GRADS = {"w": np.array([[0.1, -0.3], [0.0, 2.0]], np.float32)}


def updated(config, rate, params=PARAMS, grads=GRADS, steps=1):
    chosen = optimizer(config, rate)
    state = chosen.init(params)
    for _ in range(steps):
        updates, state = chosen.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


def config(**fields):
    return TrainConfig(steps=100, **fields)


@pytest.fixture(scope="module")
def first_steps():
    """The parameters after two steps of every optimiser, in one program."""

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def run(rate, params, grads):
        return {
            name: updated(config(optimizer=name), rate, params, grads, steps=2)
            for name in OPTIMIZERS
        }

    return run(np.float32(0.01), PARAMS, GRADS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_takes_a_step(first_steps, name):
    after = np.asarray(first_steps[name]["w"])
    assert np.isfinite(after).all()
    assert (after != PARAMS["w"]).any()
    # The largest gradient is followed downhill.
    assert after[1, 1] < PARAMS["w"][1, 1]


def test_the_optimisers_named_in_the_documents_are_there():
    assert {"adam", "adamw", "rmsprop", "sgd", "lion", "adafactor"} <= set(OPTIMIZERS)
    parts = ("_", "scale_by_")
    assert not [name for name in OPTIMIZERS if name.startswith(parts)]


def test_the_arithmetic_of_an_optimiser_is_that_of_its_paper():
    sgd = updated(config(optimizer="sgd:momentum=0.9"), 0.1)
    np.testing.assert_allclose(sgd["w"], PARAMS["w"] - 0.1 * GRADS["w"], rtol=1e-6)
    adam = updated(config(optimizer="adam"), 0.1)
    expected = PARAMS["w"] - 0.1 * GRADS["w"] / (np.abs(GRADS["w"]) + 1e-8)
    np.testing.assert_allclose(adam["w"], expected, rtol=1e-5)


def test_arguments_reach_the_optimiser():
    decayed = updated(config(optimizer="adamw:weight_decay=0.5"), 0.1)
    plain = updated(config(optimizer="adamw:weight_decay=0.0"), 0.1)
    np.testing.assert_allclose(
        plain["w"] - decayed["w"], 0.1 * 0.5 * PARAMS["w"], rtol=1e-4, atol=1e-6
    )


def test_a_traced_learning_rate_is_a_static_one():
    chosen = config(optimizer="adamw", clip_norm=0.5)
    traced = jax.jit(lambda rate: updated(chosen, rate))(np.float32(0.02))
    np.testing.assert_allclose(traced["w"], updated(chosen, 0.02)["w"], rtol=1e-6)


@pytest.mark.parametrize(("norm", "kept"), [(0.5, 0.5), (100.0, None), (0.0, None)])
def test_clipping_bounds_the_norm_of_the_gradient(norm, kept):
    after = updated(config(optimizer="sgd", clip_norm=norm), 1.0)
    length = np.linalg.norm(PARAMS["w"] - after["w"])
    expected = kept or np.linalg.norm(GRADS["w"])
    np.testing.assert_allclose(length, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("adamm", "did you mean 'adam'"),
        ("lbfgs", "unknown train.optimizer 'lbfgs'"),
        ("adam:b9=1", "one of: b1, b2, eps"),
        ("adam:b1=high", "b1=high is not a number"),
        ("", "spec"),
    ],
)
def test_an_unknown_optimiser_or_argument_is_refused(spec, said):
    with pytest.raises(UsageError, match=said) as caught:
        optimizer(config(optimizer=spec), 0.1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("cosin", "did you mean 'cosine'"),
        ("cosine:warm=3", "did you mean 'warmup'"),
        ("constant:warmup=1.5", "not a whole number"),
    ],
)
def test_an_unknown_schedule_or_argument_is_refused(spec, said):
    with pytest.raises(UsageError, match=said) as caught:
        schedule(config(schedule=spec), 100)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ("constant", {0: 1, 1: 1, 99: 1, 1000: 1}),
        ("constant:warmup=4", {0: 0.25, 1: 0.5, 3: 1, 4: 1, 99: 1}),
        ("cosine", {0: 1, 25: 0.5 + 0.5**1.5, 50: 0.5, 100: 0, 200: 0}),
        ("cosine:warmup=20", {0: 0.05, 19: 1, 20: 1, 60: 0.5, 100: 0}),
        ("cosine:final=0.2", {0: 1, 50: 0.6, 100: 0.2, 200: 0.2}),
        ("rsqrt:warmup=16", {0: 1 / 16, 15: 1, 63: 0.5, 255: 0.25}),
        ("rsqrt:warmup=0", {0: 1, 3: 0.5, 99: 0.1}),
    ],
)
def test_a_schedule_has_the_values_done_by_hand(spec, values):
    factor = schedule(config(schedule=spec), 100)
    found = jax.vmap(factor)(jnp.array(list(values), jnp.int32))
    np.testing.assert_allclose(found, list(values.values()), atol=1e-6)


def test_every_schedule_stays_within_0_and_1():
    steps = jnp.arange(130)
    for name in SCHEDULES:
        for spec in (name, f"{name}:warmup=7", f"{name}:warmup=100"):
            factors = np.asarray(jax.vmap(schedule(config(schedule=spec), 100))(steps))
            assert (factors >= 0).all() and (factors <= 1).all()
            assert factors[:100].min() > 0  # no step of the run is lost

"""Feeding gold tokens, or a decoder's own outputs: against a loop over its step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from s2sjax import config as configs
from s2sjax import rng
from s2sjax.config import TrainConfig
from s2sjax.errors import UsageError
from s2sjax.models.architectures import build_model
from s2sjax.models.seq2seq import apply
from s2sjax.training.feeding import (
    FEEDING_SCHEDULES,
    FEEDINGS,
    UNITS,
    SymbolFeeding,
    feeding,
    step_keys,
)
from s2sjax.training.state import numbers
from s2sjax.training.step import decoded
from s2sjax.types import BOS, EOS, Batch
from tests import copying, oracles

B, T, V = 3, 5, 7
HEAT = 0.7
SPECS = {
    "argmax": "argmax",
    "probabilities": f"probabilities:temperature={HEAT}",
    "sample": f"sample:temperature={HEAT}",
    "straight_through": f"straight_through:temperature={HEAT}",
}
IDS = np.array([4, 0, 9])
random = np.random.default_rng(0)
GOLD = random.integers(EOS + 1, V, (B, T)).astype(np.int32)
BATCH = Batch(GOLD, IDS * 0 + 2, GOLD, IDS * 0 + T, IDS, np.ones(B, np.float32))
KEYS = step_keys(rng.per_example(rng.root(0), IDS), T)
RAMP = np.cos(np.arange(B * T * (V - EOS))).reshape(B, T, V - EOS).astype(np.float32)
STEP = 3
close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
QUICK = {"xla_backend_optimization_level": 0}
SHAPE = {"cell": "gru", "units": 4, "embedding": 3, "attention": "general"}
CONFIG = configs.resolve(
    {"model": {**SHAPE, "context": "input_feeding"}, "train": {"steps": 10}}
)
MODEL = build_model(CONFIG, V, V)
PARAMS = copying.drawn(jax.eval_shape(MODEL.init, jax.random.key(0)), scale=1.0)


def feeding_of(text):
    return feeding(TrainConfig(feeding=text))


@jax.custom_jvp
def hard(logits):
    return jax.nn.one_hot(jnp.argmax(logits, axis=-1), V)


@hard.defjvp
def hard_jvp(primals, tangents):
    soft = jax.jvp(lambda x: jax.nn.softmax(x / HEAT), primals, tangents)
    return hard(*primals), soft[1]


def plain(kind, logits, keys):
    """What is fed of logits [B, V], always as a distribution, by its formula."""
    if kind == "probabilities":
        return jax.nn.softmax(logits / HEAT)
    if kind == "straight_through":
        return hard(logits)
    if kind == "sample":  # the largest of logits with Gumbel noise
        logits = logits / HEAT + jax.vmap(lambda key: jax.random.gumbel(key, (V,)))(
            keys
        )
    return jax.nn.one_hot(jnp.argmax(lax.stop_gradient(logits), axis=-1), V)


def by_loop(kind, params, own):
    """Logits [B, T, V] by a python loop over the model's step."""
    run = partial(apply, MODEL, params)
    encoded = run(BATCH.source, BATCH.source_lengths, method="encode")
    state, memory = run(encoded, method="start")
    key = rng.stream(rng.root(own["seed"]), "step", STEP)
    keys = rng.per_example(key, IDS)
    probability = own["train.feeding_probability"]
    mask = feeding_of(SPECS[kind]).own(key, keys, T, probability)
    keys, gold = step_keys(keys, T), jax.nn.one_hot(GOLD, V)
    x, logits = jax.nn.one_hot(np.full(B, BOS), V), []
    for time in range(T):
        state, output = run(state, x, memory, method="step")
        logits.append(output.logits)
        if time + 1 < T:
            fed = plain(kind, output.logits, keys[:, time + 1])
            x = jnp.where(mask[:, time + 1, None], fed, gold[:, time])
    return jnp.stack(logits, axis=1)


def slopes(path):
    """The logits of a path, and the gradient of a weighted sum of them."""

    def total(params, own):
        logits = path(params, own)
        return jnp.sum(logits[..., EOS:] * RAMP), logits

    return jax.jit(jax.grad(total, has_aux=True), compiler_options=QUICK)


@pytest.fixture(scope="module", params=SPECS)
def paths(request):
    """A kind of feeding, as training does it and as the loop does."""
    kind = request.param

    def trained(params, own):
        return decoded(MODEL, feeding_of(SPECS[kind]), params, own, STEP, BATCH).logits

    return slopes(trained), slopes(partial(by_loop, kind))


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_what_is_said_and_learnt_is_that_of_a_loop(paths, probability):
    trained, loop = paths
    own = numbers(CONFIG) | {"train.feeding_probability": np.float32(probability)}
    (gradient, logits), (expected, said) = trained(PARAMS, own), loop(PARAMS, own)
    close(logits[..., EOS:], said[..., EOS:])
    for a, b in zip(*map(jax.tree.leaves, (gradient, expected)), strict=True):
        assert np.isfinite(a).all()
        close(a, b, rtol=1e-3)


@pytest.mark.parametrize("kind", SPECS)
def test_a_gradient_passes_through_what_is_soft_alone(kind):
    logits = random.normal(size=(2, V)).astype(np.float32)
    table = jnp.asarray(random.normal(size=V).astype(np.float32))

    def read(logits):
        gold, own = np.array([3, 3], np.int32), np.array([True, False])
        x = feeding_of(SPECS[kind]).feed(logits, gold, own, KEYS[:2, 0], None)
        return jnp.sum(table[x] if x.ndim == 1 else x @ table) + 0 * jnp.sum(logits)

    value, gradient = jax.jit(jax.value_and_grad(read))(logits)
    fed = np.asarray(plain(kind, logits, KEYS[:2, 0]))[0]
    close(value, fed @ np.asarray(table) + table[3])
    assert (gradient[1] == 0).all()
    if kind in ("argmax", "sample"):
        assert (gradient[0] == 0).all()
    else:
        p = oracles.softmax(logits[0].astype(np.float64) / HEAT)
        close(gradient[0], p * (np.asarray(table) - p @ np.asarray(table)) / HEAT)


def test_samples_have_the_frequencies_of_the_probabilities():
    logits = np.array([0.0, 1.0, -1.0, 0.5, -np.inf])
    keys = rng.per_example(rng.root(1), np.arange(4000))
    feedback = FEEDINGS["sample"](temperature=0.5)
    drawn = jax.vmap(partial(feedback, jnp.asarray(logits, jnp.float32)))(keys)
    counts = np.bincount(drawn, minlength=5)
    for count, p in zip(counts, oracles.softmax(logits / 0.5), strict=True):
        assert count == p == 0 or oracles.is_binomial(count, 4000, p)


@pytest.mark.parametrize("kind", SPECS)
def test_a_padded_vocabulary_changes_nothing_that_is_fed(kind):
    logits = random.normal(size=(B, V)).astype(np.float32)
    padded = np.pad(logits, ((0, 0), (0, 5)), constant_values=9.0)
    feed, gold = feeding_of(SPECS[kind]).feed, GOLD[:, 1]
    own = np.array([True, False, True])
    both = (logits, None), (padded, jnp.int32(V))
    one, other = (feed(x, gold, own, KEYS[:, 0], size) for x, size in both)
    if one.ndim == 2:
        assert (other[:, V:] == 0).all()
        other = other[:, :V]
    close(one, other, rtol=1e-6)


def test_the_keys_of_a_step_are_the_examples_own():
    longer = step_keys(rng.per_example(rng.root(0), IDS[::-1]), T + 3)[::-1, :T]
    bits = jax.random.key_data
    np.testing.assert_array_equal(bits(longer), bits(KEYS))
    assert len(np.unique(bits(KEYS).reshape(B * T, -1), axis=0)) == B * T


def masks(unit, ids, time=20, steps=200, probability=0.3):
    """Where the model's own output goes in, [steps, B, T]."""
    chosen = feeding(TrainConfig(feeding="argmax", feeding_unit=unit))

    def of(step):
        key = rng.stream(rng.root(0), "step", step)
        keys = rng.per_example(key, np.asarray(ids))
        return chosen.own(key, keys, time, probability)

    return np.asarray(jax.jit(jax.vmap(of))(np.arange(steps)))


@pytest.mark.parametrize(
    ("unit", "axes"), [("token", ()), ("sequence", (2,)), ("batch", (1, 2))]
)
def test_a_draw_decides_one_unit(unit, axes):
    ids = np.arange(6)
    own = masks(unit, ids)
    first = own[
        tuple(slice(0, 1) if axis in axes else slice(None) for axis in (0, 1, 2))
    ]
    np.testing.assert_array_equal(own, np.broadcast_to(first, own.shape))
    assert oracles.is_binomial(first.sum(), first.size, 0.3)
    # Along every other axis draws are independent: two in a row are both own at p^2.
    for axis in {0, 1, 2} - set(axes):
        both = np.take(first, range(1, first.shape[axis]), axis) & np.take(
            first, range(first.shape[axis] - 1), axis
        )
        assert oracles.is_binomial(both.sum(), both.size, 0.09, deviations=7)
    # Neither the order in a batch nor its width changes an example's draws.
    np.testing.assert_array_equal(masks(unit, ids[::-1])[:, ::-1], own)
    np.testing.assert_array_equal(masks(unit, ids, 9), own[..., :9])


def test_the_units_are_those_of_the_schema():
    assert configs.fields()["train.feeding_unit"].metadata["choices"] == tuple(UNITS)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("constant", {0: 1, 5: 1, 10**6: 1}),
        ("linear:steps=4", {0: 0, 1: 0.25, 3: 0.75, 4: 1, 10**6: 1}),
        ("exponential:k=0.5", {0: 0, 1: 0.5, 2: 0.75, 100: 1}),
        ("exponential:k=0.999999", {0: 0, 10**6: 1 - 1 / np.e, 10**8: 1}),
        (
            "inverse_sigmoid:k=10",
            {0: 1 / 11, 10: 1 - 10 / (10 + np.e), 23: 0.49936, 2**31 - 1: 1},
        ),
        ("inverse_sigmoid:k=1", {0: 0.5, 100: 1}),
    ],
)
def test_a_schedule_has_the_values_done_by_hand(text, values):
    config = TrainConfig(feeding="argmax", feeding_schedule=text)
    found = jax.vmap(feeding(config).factor)(jnp.array(list(values), jnp.int32))
    np.testing.assert_allclose(found, list(values.values()), rtol=1e-4, atol=1e-7)


def test_every_schedule_grows_within_0_and_1():
    specs = {"linear": "steps=30", "exponential": "k=0.9", "inverse_sigmoid": "k=9"}
    for name in FEEDING_SCHEDULES:
        text = f"{name}:{specs[name]}" if name in specs else name
        factor = feeding(TrainConfig(feeding_schedule=text)).factor
        factors = np.asarray(jax.vmap(factor)(jnp.arange(200)))
        assert (np.diff(factors) >= 0).all(), name
        assert factors.min() >= 0 and factors[-1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"feeding": "argmx"}, "did you mean 'argmax'"),
        ({"feeding": "argmax:temperature=2"}, "takes no argument 'temperature'"),
        ({"feeding": "sample:heat=2"}, "unknown argument of train.feeding 'sample'"),
        ({"feeding": "sample:temperature=0"}, "temperature=0.0 is not a number from"),
        ({"feeding_schedule": "linear"}, "needs the argument 'steps'"),
        ({"feeding_schedule": "linear:steps=0"}, "steps=0 is not a number from 1"),
        ({"feeding_schedule": "exponential:k=1"}, "k=1.0 is not a number from"),
        ({"feeding_schedule": "inverse_sigmoid:k=0.5"}, "k=0.5 is not a number from 1"),
        ({"feeding_schedule": "invers_sigmoid"}, "did you mean 'inverse_sigmoid'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(fields, said):
    with pytest.raises(UsageError, match=said) as caught:
        feeding(TrainConfig(**fields))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mine", "came"),
    [
        (lambda logits, key: logits[:2], r"float32\[3, 2\]"),
        (lambda logits, key: jnp.argmax(logits) / 2, r"float32\[3\]"),
        (lambda logits, key: (logits, logits), r"\(float32\[3, 7\], float32\[3, 7\]\)"),
    ],
)
def test_what_a_feedback_returns_is_checked_where_it_enters(mine, came):
    wanted = r"wanted token ids, int\[3\], or distributions, float\[3, 7\]"
    with pytest.raises(UsageError, match=rf"returned {came} for 3 examples; {wanted}"):
        SymbolFeeding(mine).feed(
            jnp.zeros((B, V)), GOLD[:, 0], GOLD[:, 0] > 0, KEYS[:, 0], None
        )

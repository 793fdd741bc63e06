"""Feeding gold tokens, or a decoder's own outputs: against a loop in numpy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax import rng, spec
from s2sjax.config import TrainConfig
from s2sjax.errors import UsageError
from s2sjax.training.feeding import (
    FEEDING_SCHEDULES,
    FEEDINGS,
    UNITS,
    Feeding,
    feeding,
    step_keys,
    unroll,
)
from s2sjax.types import BOS, EOS, StepOutput
from tests import oracles

B, T, V, D = 3, 5, 7, 4
random = np.random.default_rng(0)
PARAMS = {
    name: random.normal(0, scale, shape).astype(np.float32)
    for name, scale, shape in (
        ("embedding", 1.5, (V, D)),
        ("recurrent", 1.0, (D, D)),
        ("output", 2.0, (D, V)),
    )
}
CARRY = random.normal(size=(B, D)).astype(np.float32)
GOLD = np.concatenate(
    [np.full((B, 1), BOS), random.integers(EOS + 1, V, (B, T - 1))], axis=1
).astype(np.int32)
MIXED = np.array([[0, 0, 1, 0, 1], [0, 1, 1, 1, 1], [1, 0, 0, 0, 1]], bool)
KEYS = step_keys(rng.per_example(rng.root(0), np.array([4, 0, 9])), T)
HEAT = 0.7
SPECS = {
    "argmax": "argmax",
    "probabilities": f"probabilities:temperature={HEAT}",
    "sample": f"sample:temperature={HEAT}",
    "straight_through": f"straight_through:temperature={HEAT}",
}
NEVER, ALWAYS = np.zeros((B, T), bool), np.ones((B, T), bool)
close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)


def decoder_step(params, carry, x):
    """A decoder of three matrices, not one of ours."""
    ids = jnp.issubdtype(x.dtype, jnp.integer)
    read = params["embedding"][x] if ids else x @ params["embedding"]
    carry = jnp.tanh(carry @ params["recurrent"] + read)
    logits = (carry @ params["output"]).at[:, :EOS].set(-jnp.inf)
    return carry, StepOutput(logits, {"state": carry})


def loss(feed, params, own, gold=GOLD):
    step = partial(decoder_step, params)
    output = unroll(step, CARRY, gold, own, KEYS, feed)
    return jnp.sum(output.logits[..., EOS:] * RAMP), output


def feed_of(text):
    return Feeding(spec.call("train.feeding", text, FEEDINGS)).feed


RAMP = np.cos(np.arange(B * T * (V - EOS))).reshape(B, T, V - EOS).astype(np.float32)
run = {
    kind: jax.jit(jax.grad(partial(loss, feed_of(text)), has_aux=True))
    for kind, text in SPECS.items()
}


def own_input(kind, logits, row, time):
    """What is fed of the last logits [V], in float64."""
    if kind == "probabilities":
        return oracles.softmax(logits / HEAT)
    if kind == "sample":  # the largest of logits with Gumbel noise
        logits = logits / HEAT + np.asarray(jax.random.gumbel(KEYS[row, time], (V,)))
    return np.eye(V)[np.argmax(logits)]


def by_loop(kind, own):
    """Logits [B, T, V], and what was fed [B, T, V], in float64."""
    params = oracles.to_float64(PARAMS)
    logits, fed = np.zeros((B, T, V)), np.zeros((B, T, V))
    for row in range(B):
        carry = CARRY[row]
        for time in range(T):
            x = np.eye(V)[GOLD[row, time]]
            if time and own[row, time]:
                x = own_input(kind, logits[row, time - 1], row, time)
            carry = np.tanh(carry @ params["recurrent"] + x @ params["embedding"])
            logits[row, time] = carry @ params["output"]
            logits[row, time, :EOS] = -np.inf
            fed[row, time] = x
    return logits, fed


@pytest.mark.parametrize("own", [NEVER, ALWAYS, MIXED], ids=["gold", "own", "mixed"])
@pytest.mark.parametrize("kind", SPECS)
def test_what_is_fed_and_said_is_that_of_a_loop(kind, own):
    gradient, output = run[kind](PARAMS, own)
    expected, fed = by_loop(kind, own)
    close(output.logits, expected)
    assert output.aux["state"].shape == (B, T, D)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    # The first input is BOS, whatever the mask says.
    assert (fed[:, 0].argmax(axis=1) == BOS).all()
    assert (own is NEVER) == (fed.argmax(axis=2) == GOLD).all()


@pytest.mark.parametrize("kind", SPECS)
def test_the_mask_does_not_count_before_the_first_step(kind):
    first = MIXED.copy()
    first[:, 0] = ~first[:, 0]
    one, other = run[kind](PARAMS, MIXED), run[kind](PARAMS, first)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_gold_feeding_is_the_same_in_every_kind():
    one, *others = (run[kind](PARAMS, NEVER) for kind in SPECS)
    for other in others:
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            close(a, b)


@pytest.mark.parametrize("kind", ["argmax", "sample"])
def test_no_gradient_passes_through_a_choice(kind):
    # As if the tokens that were chosen had been gold all along.
    _, fed = by_loop(kind, ALWAYS)
    chosen = fed.argmax(axis=2).astype(np.int32)
    gold = jax.jit(jax.grad(partial(loss, feed_of(kind), gold=chosen), has_aux=True))
    one, other = run[kind](PARAMS, ALWAYS)[0], gold(PARAMS, NEVER)[0]
    for name in PARAMS:
        close(one[name], other[name])


@pytest.mark.parametrize("kind", SPECS)
def test_a_gradient_passes_through_what_is_soft_alone(kind):
    logits = random.normal(size=(2, V)).astype(np.float32)
    table = jnp.asarray(random.normal(size=V).astype(np.float32))

    def read(logits):
        gold, own = np.array([3, 3], np.int32), np.array([True, False])
        x = feed_of(SPECS[kind])(logits, gold, own, KEYS[:2, 0])
        return jnp.sum(table[x] if x.ndim == 1 else x @ table) + 0 * jnp.sum(logits)

    value, gradient = jax.jit(jax.value_and_grad(read))(logits)
    x = own_input(kind, logits[0].astype(np.float64), 0, 0)
    close(value, x @ np.asarray(table) + table[3])
    assert (gradient[1] == 0).all()
    if kind in ("argmax", "sample"):
        assert (gradient[0] == 0).all()
    else:
        p = oracles.softmax(logits[0].astype(np.float64) / HEAT)
        close(gradient[0], p * (np.asarray(table) - p @ np.asarray(table)) / HEAT)


def test_the_gradient_through_probabilities_is_a_slope():
    gradient, _ = run["probabilities"](PARAMS, ALWAYS)
    direction = random.normal(size=(D, V))
    direction[:, :EOS] = 0
    sums = []
    for shift in (1e-5, -1e-5):
        kept = PARAMS["output"]
        try:
            PARAMS["output"] = kept.astype(np.float64) + shift * direction
            sums.append(np.sum(by_loop("probabilities", ALWAYS)[0][..., EOS:] * RAMP))
        finally:
            PARAMS["output"] = kept
    slope = np.sum(np.asarray(gradient["output"], np.float64) * direction)
    np.testing.assert_allclose(slope, (sums[0] - sums[1]) / 2e-5, rtol=2e-4)


@jax.custom_jvp
def hard(logits):
    return jax.nn.one_hot(jnp.argmax(logits, axis=-1), V)


@hard.defjvp
def hard_jvp(primals, tangents):
    soft = jax.jvp(lambda x: jax.nn.softmax(x / HEAT), primals, tangents)
    return hard(*primals), soft[1]


def test_straight_through_is_a_choice_with_the_slope_of_the_probabilities():
    @partial(jax.jit, static_argnums=1)
    @jax.grad
    def plain(params, times):
        carry, x, total = CARRY, jax.nn.one_hot(GOLD[:, 0], V), 0.0
        for time in range(times):
            carry, output = decoder_step(params, carry, x)
            total += jnp.sum(output.logits[:, EOS:] * RAMP[:, time])
            x = hard(output.logits)
        return total

    expected = plain(PARAMS, T)
    for name, gradient in run["straight_through"](PARAMS, ALWAYS)[0].items():
        close(gradient, expected[name])


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
    padded = np.pad(logits, ((0, 0), (0, 5)), constant_values=-np.inf)
    feed, gold = feed_of(SPECS[kind]), GOLD[:, 1]
    one, other = (feed(x, gold, MIXED[:, 2], KEYS[:, 0]) for x in (logits, padded))
    if one.ndim == 2:
        assert (other[:, V:] == 0).all()
        other = other[:, :V]
    close(one, other, rtol=1e-6)


def test_the_keys_of_a_step_are_the_examples_own():
    ids = np.array([4, 0, 9])
    longer = step_keys(rng.per_example(rng.root(0), ids[::-1]), T + 3)[::-1, :T]
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
    from s2sjax.config import fields

    assert fields()["train.feeding_unit"].metadata["choices"] == tuple(UNITS)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("constant", {0: 1, 5: 1, 10**6: 1}),
        ("linear:steps=4", {0: 0, 1: 0.25, 3: 0.75, 4: 1, 10**6: 1}),
        ("exponential:k=0.5", {0: 0, 1: 0.5, 2: 0.75, 100: 1}),
        ("exponential:k=0.999999", {0: 0, 1: 1e-6, 10**8: 1}),
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

"""Training steps: any split, any order in a batch, any feeding."""

import dataclasses
import types
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from s2sjax.config import ModelConfig
from s2sjax.models.architectures import build_model
from s2sjax.models.readout import SYMBOLIC
from s2sjax.models.seq2seq import Seq2Seq
from s2sjax.training import state as states
from s2sjax.training.feeding import FEEDINGS, GOLD
from s2sjax.training.objectives import OBJECTIVES, losses
from s2sjax.training.optimizer import optimizer
from s2sjax.training.recipe import Recipe, recipe
from s2sjax.training.state import TrainState, numbers
from s2sjax.training.step import Program, Work, decoded, run_steps, train_step
from s2sjax.types import BOS, Batch, StepOutput
from tests import copying, oracles

STEPS = 60
STORE = copying.store()
ROWS = copying.rows_of(STEPS)
NO_DROPOUT = dict.fromkeys(
    ("dropout_embedding", "dropout_state", "dropout_output"), 0.0
)
OWN = sorted(set(FEEDINGS) - {"gold", "none"})


def first_state(config, model):
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = copying.drawn(shapes)
    chosen = optimizer(config.train, config.train.learning_rate)
    return TrainState(jnp.int32(0), params, chosen.init(params))


def small_run(feeding, **train):
    """`run(rows, sizes, state, **numbers)` to (state, metrics), with this feeding."""
    config = copying.config(feeding=feeding, **train)
    model = build_model(config, copying.VOCABULARY, copying.VOCABULARY)

    def run(rows=ROWS, sizes=(STEPS,), state=None, **values):
        own = numbers(config)
        for name, value in values.items():
            (path,) = [path for path in own if path.endswith(f".{name}")]
            own[path] = jnp.float32(value)
        state = first_state(config, model) if state is None else state
        reported, start = [], 0
        for size in sizes:
            state = jax.tree.map(lambda leaf: jnp.array(np.asarray(leaf)), state)
            state, metrics, norm = run_steps(
                Program(model, recipe(config.train, STEPS), copying.fetch),
                state,
                Work(
                    own,
                    STORE,
                    jnp.asarray(np.roll(rows, -start, axis=0)),
                    jnp.int32(size),
                ),
            )
            assert all((column[size:] == 0).all() for column in metrics)
            squares = sum(
                np.sum(np.asarray(leaf, np.float64) ** 2)
                for leaf in jax.tree.leaves(state.params)
            )
            np.testing.assert_allclose(norm, squares**0.5, rtol=1e-5)
            reported.append([np.asarray(column[:size]) for column in metrics])
            start += size
        joined = [np.concatenate(column) for column in zip(*reported, strict=True)]
        return state, states.StepMetrics(*joined)

    return types.SimpleNamespace(config=config, model=model, run=run)


@pytest.fixture(scope="module")
def gold():
    return small_run("gold")


@pytest.fixture(scope="module")
def straight(gold):
    """Sixty steps in one call, and how often they were traced."""
    before = len(copying.traces)
    result = gold.run()
    return result, len(copying.traces) - before


def same_bits(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


SPLITS = [
    (STEPS,),
    (1,) * 12 + (48,),
    (59, 1),
    (1, 59),
    (20, 20, 20),
    (7,) * 8 + (4,),
    (30, 1, 29),
]


@pytest.mark.parametrize("sizes", SPLITS, ids=str)
def test_a_split_changes_not_a_bit_and_compiles_nothing(gold, straight, sizes):
    assert sum(sizes) == STEPS
    before = len(copying.traces)
    same_bits(gold.run(sizes=sizes), straight[0])
    assert len(copying.traces) == before


def test_many_steps_are_traced_once(straight):
    assert straight[1] == 1


def test_a_run_goes_on_from_what_is_saved(gold, straight):
    saved, _ = gold.run(sizes=(23,))
    saved = jax.tree.map(np.asarray, saved)
    assert saved.step == 23
    resumed, _ = gold.run(np.roll(ROWS, -23, axis=0), (37,), saved)
    same_bits(resumed, straight[0][0])
    # The step is what dropout is drawn from: without it the run would differ.
    moved, _ = gold.run(np.roll(ROWS, -23, axis=0), (37,), saved._replace(step=22))
    different = jax.tree.leaves(moved.params), jax.tree.leaves(resumed.params)
    assert any((a != b).any() for a, b in zip(*different, strict=True))


def test_a_schedule_goes_on_from_what_is_saved():
    """Draws, samples and what the probability has grown to follow from the step."""
    run = small_run("sample", feeding_schedule="linear:steps=40").run
    whole, metrics = run()
    saved = jax.tree.map(np.asarray, run(sizes=(23,))[0])
    resumed, rest = run(np.roll(ROWS, -23, axis=0), (37,), saved)
    same_bits(resumed, whole)
    same_bits(rest.loss, metrics.loss[23:])


def test_the_first_loss_and_the_norms_are_those_of_numpy(gold):
    rows = np.full_like(ROWS, -1)
    rows[0] = [3, 6, -1, 0]
    before = first_state(gold.config, gold.model)
    after, metrics = gold.run(rows, (1,), before, **NO_DROPOUT)
    oracle = oracles.Model(gold.config.model, before.params)
    total, tokens = 0.0, 0
    for row in (3, 6, 0):
        length = int(STORE["source_lengths"][row])
        target = np.asarray(STORE["target"][row, : length + 1])
        source = np.asarray(STORE["source"][row, :length])
        logits, _ = oracle.forced(source, [BOS, *target[:-1]])
        total += oracles.nll(logits, target)
        tokens += length + 1
    np.testing.assert_allclose(metrics.loss[0], total, rtol=1e-5)
    assert metrics.tokens[0] == tokens
    # The first update of momentum is the clipped gradient itself.
    moved = sum(
        np.sum((np.asarray(a, np.float64) - np.asarray(b)) ** 2)
        for a, b in zip(
            jax.tree.leaves(after.params), jax.tree.leaves(before.params), strict=True
        )
    )
    clipped = min(float(metrics.grad_norm[0]), 1.0)
    rate = gold.config.train.learning_rate
    np.testing.assert_allclose(moved**0.5, rate * clipped, rtol=1e-4)
    np.testing.assert_allclose(metrics.learning_rate, rate, rtol=1e-6)


def one_step(gold, rows, weights, symbols=None):
    """A step on rows of the store, each of which counts so much."""
    own = numbers(gold.config, symbol_weights=symbols)
    for name in NO_DROPOUT:
        own[f"model.{name}"] = jnp.float32(0)
    batch = copying.fetch(STORE, jnp.asarray(rows, jnp.int32))
    batch = batch._replace(weights=jnp.asarray(weights, jnp.float32))
    start = first_state(gold.config, gold.model)
    step = jax.jit(partial(train_step, gold.model, recipe(gold.config.train, STEPS)))
    return step(start, own, batch)


def test_an_example_that_counts_twice_is_one_that_is_there_twice(gold):
    """The sums of weights divide; what all count does not matter."""
    twice, wanted = one_step(gold, [3, 6, 6, 0], [1, 1, 1, 0])
    found, metrics = one_step(gold, [3, 6, 0, 5], [1, 2, 0, 0])
    less, its = one_step(gold, [3, 6, 0, 5], [0.001, 0.002, 0, 0])
    assert metrics.tokens == wanted.tokens
    np.testing.assert_allclose(metrics.loss, wanted.loss, rtol=1e-5)
    np.testing.assert_allclose(its.loss, wanted.loss / 1000, rtol=1e-5)
    np.testing.assert_allclose(its.grad_norm, wanted.grad_norm, rtol=1e-4)
    for a, b, c in zip(*map(jax.tree.leaves, (twice, found, less)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-6)
    _, empty = one_step(gold, [3, 6, 0, 5], [0, 0, 0, 0])
    assert (empty.loss, empty.tokens, empty.grad_norm) == (0, 0, 0)


def test_the_loss_of_a_symbol_counts_as_much_as_its_weight(gold):
    symbols = np.linspace(0, 3, copying.VOCABULARY).astype(np.float32)
    _, metrics = one_step(gold, [3, 6, 0, 5], [1, 0.5, 1, 0], symbols)
    oracle = oracles.Model(
        gold.config.model, first_state(gold.config, gold.model).params
    )
    total, counted = 0.0, 0.0
    for row, weight in ((3, 1), (6, 0.5), (0, 1)):
        length = int(STORE["source_lengths"][row])
        target = np.asarray(STORE["target"][row, : length + 1])
        source = np.asarray(STORE["source"][row, :length])
        logits, _ = oracle.forced(source, [BOS, *target[:-1]])
        for time, token in enumerate(target):
            loss = oracles.nll(logits[time : time + 1], [token])
            total += weight * symbols[token] * loss
            counted += weight * symbols[token]
    np.testing.assert_allclose(metrics.loss, total, rtol=1e-5)
    np.testing.assert_allclose(metrics.tokens, counted, rtol=1e-6)
    ones = np.ones(copying.VOCABULARY, np.float32)
    same, plain = (one_step(gold, [3, 6, 0, 5], [1] * 4, w) for w in (ones, None))
    for a, b in zip(*map(jax.tree.leaves, (same, plain)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_a_step_is_clipped_and_reports_the_norm_before(gold):
    start = first_state(gold.config, gold.model)
    start = start._replace(params=jax.tree.map(lambda leaf: leaf * 4, start.params))
    norms = [np.asarray(leaf) for leaf in jax.tree.leaves(start.params)]
    after, metrics = gold.run(ROWS, (1,), start)
    assert metrics.grad_norm[0] > 1.2  # else this test shows nothing
    moved = sum(
        np.sum((np.asarray(a, np.float64) - b) ** 2)
        for a, b in zip(jax.tree.leaves(after.params), norms, strict=True)
    )
    np.testing.assert_allclose(
        moved**0.5, gold.config.train.learning_rate * 1.0, rtol=1e-3
    )


def test_the_order_within_a_batch_is_rounding(gold):
    one, a = gold.run(sizes=(5,))
    other, b = gold.run(rows=ROWS[:, [2, 0, 3, 1]], sizes=(5,))
    np.testing.assert_allclose(a.loss, b.loss, rtol=1e-5)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=2e-6)


@pytest.fixture(scope="module", params=OWN)
def feeding(request):
    return small_run(request.param)


def test_feeding_nothing_back_is_gold(gold, feeding):
    expected, a = gold.run(sizes=(8,))
    found, b = feeding.run(sizes=(8,), feeding_probability=0.0)
    np.testing.assert_allclose(a.loss, b.loss, rtol=1e-6, atol=1e-6)
    for x, y in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    _, other = feeding.run(sizes=(8,), feeding_probability=1.0)
    assert np.abs(other.loss - b.loss).max() > 1e-3


def test_a_run_that_feeds_its_own_outputs_back_learns(feeding):
    state, losses = None, []
    for _ in range(8):
        state, metrics = feeding.run(state=state, feeding_probability=1.0, **NO_DROPOUT)
        losses.append(metrics.loss.sum() / metrics.tokens.sum())
    assert np.isfinite(losses).all()
    assert min(losses) < 0.4 * losses[0], losses  # samples go up and down


class Spy:
    """Stands for a model: its logits show what was fed.

    It always says 5; the gold tokens are 4. What was fed has the second largest logit.
    """

    config = ModelConfig()
    readout = SYMBOLIC

    def apply(self, variables, *arguments, method=None):
        if method == "encode":
            return ()
        if method == "start":
            return (), ()
        if method == "noise":
            return {}
        assert method == "free"
        _, _, gold, feed, xs, _ = arguments

        def says(x):
            said = jax.nn.one_hot(jnp.full(len(x), 5), 7) * 1e4
            return said + (x if x.ndim == 2 else jax.nn.one_hot(x, 7))

        def step(logits, now):
            logits = says(feed(logits, *now))
            return logits, logits

        first = says(gold[:, 0])
        now = jax.tree.map(lambda leaf: leaf[1:], (gold.T, xs))
        rest = jax.lax.scan(step, first, now)[1].swapaxes(0, 1)
        return StepOutput(jnp.concatenate([first[:, None], rest], axis=1), {})


@pytest.fixture(scope="module")
def fed():
    """`fed(kind, probability, ids, width)`: where its own output went in, [B, T]."""

    def draw(kind, probability, ids, width=30, seed=0, step=0, **train):
        config = copying.config(NO_DROPOUT, feeding=kind, **train)
        feeding = recipe(config.train, 100).feeding
        ids = jnp.asarray(ids, jnp.int32)
        target = jnp.full((len(ids), width), 4, jnp.int32)
        ones = jnp.ones(len(ids), jnp.int32)
        batch = Batch(target, ones, target, ones * width, ids, ones * 1.0)
        own = numbers(dataclasses.replace(config, seed=seed))
        own["train.feeding_probability"] = jnp.float32(probability)
        run = jax.jit(partial(decoded, Spy(), feeding, {}))
        logits = np.asarray(run(own, jnp.int32(step), batch).logits)
        assert (logits[:, 0, BOS] == 1).all()  # whatever is drawn
        own = logits[:, 1:, 5] > 1e4 + 0.5
        assert (own ^ (logits[:, 1:, 4] > 0.5)).all()
        return own

    return draw


@pytest.mark.parametrize("kind", OWN)
def test_the_feeding_is_drawn_for_each_token_of_each_example(fed, kind):
    own = fed(kind, 0.3, np.arange(300))
    assert own.shape == (300, 29)
    assert oracles.is_binomial(own.sum(), own.size, 0.3)
    assert all(oracles.is_binomial(count, 300, 0.3) for count in own.sum(axis=0))
    assert all(oracles.is_binomial(count, 29, 0.3) for count in own.sum(axis=1))
    # Neither a whole example nor a whole step is drawn at once.
    pairs = (own[:, 1:] & own[:, :-1]).sum()
    assert oracles.is_binomial(pairs, own[:, 1:].size, 0.09, deviations=7)


def test_the_feeding_at_0_and_1_is_certain(fed):
    assert not fed("argmax", 0.0, np.arange(50)).any()
    assert fed("argmax", 1.0, np.arange(50)).all()


def test_the_feeding_of_an_example_is_its_own(fed):
    own = fed("argmax", 0.5, np.arange(40))
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(fed("argmax", 0.5, order), own[order])
    np.testing.assert_array_equal(fed("argmax", 0.5, np.arange(40), 12), own[:, :11])
    assert (fed("argmax", 0.5, np.arange(40), seed=1) != own).any()


@pytest.mark.parametrize(
    ("objective", "feeding"),
    [*((each, "gold") for each in OBJECTIVES), *(("nll", each) for each in OWN)],
)
def test_padding_of_the_target_changes_neither_loss_nor_gradient(objective, feeding):
    config = copying.config(NO_DROPOUT, objective=objective, feeding=feeding)
    model = build_model(config, copying.VOCABULARY, copying.VOCABULARY)
    params = first_state(config, model).params
    results = []
    for extra in (0, 3):
        batch = copying.fetch(copying.store(extra), jnp.array([3, 0, 6], jnp.int32))

        @jax.jit
        @partial(jax.value_and_grad)
        def mean_loss(params, batch=batch):
            chosen = recipe(config.train, 1)
            output = decoded(
                model, chosen.feeding, params, numbers(config), jnp.int32(0), batch
            )
            per_token = losses(chosen.objective, model.readout, output, batch)
            return jnp.sum(per_token) / jnp.sum(batch.target_lengths)

        results.append(mean_loss(params))
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_the_first_state_is_a_function_of_the_seed():
    config = copying.config()
    model = build_model(config, copying.VOCABULARY, copying.VOCABULARY)
    chosen = recipe(config.train, STEPS)
    one, other = (states.first_state(model, chosen, numbers(config)) for _ in range(2))
    same_bits(one, other)
    assert one.step == 0 and one.step.dtype == np.int32
    other = dataclasses.replace(config, seed=1)
    other = states.first_state(model, chosen, numbers(other))
    kernel = one.params["encoder"]["forward_0"]["input_kernel"]
    assert (other.params["encoder"]["forward_0"]["input_kernel"] != kernel).any()


def test_an_objective_and_a_transformation_of_ones_own_are_taken():
    model = build_model(copying.config(NO_DROPOUT), *[copying.VOCABULARY] * 2)
    batch = copying.fetch(STORE, jnp.array([3, 6], jnp.int32))
    own = numbers(copying.config(NO_DROPOUT))

    def brier(output, batch):
        p = jax.nn.softmax(output.logits)
        return jnp.sum((p - jax.nn.one_hot(batch.target, p.shape[-1])) ** 2, axis=-1)

    mine = Recipe(brier, lambda rate: optax.sign_sgd(rate))
    start = states.first_state(model, mine, own)
    after, metrics = jax.jit(partial(train_step, model, mine))(start, own, batch)
    output = decoded(model, GOLD, start.params, own, jnp.int32(0), batch)
    expected = losses(brier, model.readout, output, batch)
    np.testing.assert_allclose(metrics.loss, expected.sum(), rtol=1e-6)
    rate = np.float32(own["train.learning_rate"])
    for a, b in zip(*map(jax.tree.leaves, (after.params, start.params)), strict=True):
        steps = np.abs(np.asarray(a - b))
        np.testing.assert_allclose(steps[steps > 0], rate, rtol=1e-3)


def test_runs_that_differ_in_numbers_have_one_recipe():
    one = recipe(copying.config(learning_rate=0.1, log_every=3).train, 9)
    assert one is recipe(copying.config(learning_rate=0.2).train, 9)
    assert one != recipe(copying.config(objective="label_smoothing").train, 9)


def test_a_frozen_table_is_not_trained_and_does_not_count():
    """One step of clipped descent on the others, as arithmetic on gradients says."""
    shape = {"embedding": 3, "embedding_file": "a", "tie_output": True}
    clip = {"optimizer": "sgd", "clip_norm": 0.01, "learning_rate": 1.0}
    run = small_run("gold", **clip)
    plain, frozen = (
        dataclasses.replace(run.config.model, **shape, freeze_embedding=each)
        for each in (False, True)
    )
    config = dataclasses.replace(run.config, model=frozen)
    model, other = (
        Seq2Seq(each, *[copying.VOCABULARY] * 2) for each in (frozen, plain)
    )
    params = copying.drawn(jax.eval_shape(model.init, jax.random.key(0)))
    own, chosen = numbers(config), recipe(config.train, 1)
    batch = copying.fetch(STORE, jnp.asarray(ROWS[0]))

    def mean(params):
        output = decoded(other, chosen.feeding, params, own, jnp.int32(0), batch)
        return jnp.sum(
            losses(chosen.objective, model.readout, output, batch)
        ) / jnp.sum(batch.target_lengths * batch.weights)

    grads = jax.jit(jax.grad(mean))(params)
    assert np.abs(grads["encoder"]["embed"].pop("table")).max() > 1e-3
    norm = sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(grads)) ** 0.5
    start = states.first_state(model, chosen, own, params)
    state, metrics = jax.jit(partial(train_step, model, chosen))(start, own, batch)
    np.testing.assert_allclose(metrics.grad_norm, norm, rtol=1e-5)
    after = jax.tree.map(np.asarray, state.params)
    table = after["encoder"]["embed"].pop("table")
    np.testing.assert_array_equal(table, params["encoder"]["embed"].pop("table"))
    wanted = jax.tree.map(lambda w, g: w - g * 0.01 / norm, params, grads)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), after, wanted)

"""Beam search against enumeration, and against a beam in plain Python."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding.base import Request, every_step
from s2sjax.decoding.beam import beam
from s2sjax.decoding.sampling import greedy
from s2sjax.decoding.scores import Normaliser
from s2sjax.types import EOS, StepOutput
from tests import oracles
from tests.decoding import table_model
from tests.decoding.tables import Tables, assert_is_nbest, assert_same, nbest

pytestmark = pytest.mark.compat
ALPHAS = (-0.5, 0.0, 0.6, 1.0, 2.0)
MODELS = 200


def normalise(kind, alpha):
    def by(log_prob, length):
        base = (5 + length) / 6 if kind == "gnmt" else length
        return log_prob / base**alpha

    return by


@pytest.fixture(scope="module")
def small():
    """Three symbols, at most 4 tokens: 40 complete sequences each."""
    return Tables(MODELS, 6, 4, seed=0)


@pytest.fixture(scope="module")
def long():
    """Four symbols, at most 8 tokens; some models seldom end."""
    return Tables(MODELS, 7, 8, seed=1, eos=np.linspace(-6, 2, MODELS)[:, None, None])


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("kind", ["average", "gnmt"])
def test_an_exhaustive_beam_is_enumeration(small, kind, alpha):
    size = 27 * small.vocabulary  # the candidates of the widest level
    found = small.decode(
        partial(beam, size=size, count=41, normaliser=Normaliser(kind, alpha))
    )
    for row in range(MODELS):
        expected = small.complete(row, normalise=normalise(kind, alpha))
        assert_same(nbest(found, row), expected)
    assert (found.valid.sum(axis=1) == 40).all()  # the last place stays empty
    assert_is_nbest(found)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("size", [1, 3, 9])
def test_any_beam_is_the_rule_in_plain_python(long, size, alpha):
    count = min(size, 4)
    run = partial(beam, size=size, count=count, normaliser=Normaliser("average", alpha))
    limits = np.random.default_rng(2).integers(1, long.width + 1, MODELS)
    found = long.decode(run, limits=limits)
    for row, limit in enumerate(limits):
        expected, cut = oracles.beam(
            long.next_log_probs(row), size, limit, count, normalise("average", alpha)
        )
        assert_same(nbest(found, row), expected)
        assert found.truncated[row, 0] == cut
    assert_is_nbest(found)
    assert found.truncated.sum() < MODELS
    assert size == 9 or found.truncated.any()
    # Stopping early, which is the default, changes nothing at all, and neither does
    # driving every step.
    patient = long.decode(partial(run, early=False, drive=every_step), limits=limits)
    jax.tree.map(np.testing.assert_array_equal, found, patient)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 1.0])
def test_stopping_early_saves_steps(alpha):
    models = Tables(64, 7, 12, seed=3, eos=3.0)
    calls = []

    def counting(carry, x):
        jax.debug.callback(lambda _: calls.append(1), jnp.int32(0))
        return models.step(carry, x)

    steps = {}
    for early in (True, False):
        calls.clear()
        run = partial(
            beam, size=3, normaliser=Normaliser("average", alpha), early=early
        )
        jax.block_until_ready(
            jax.jit(lambda run=run: run(counting, models.start(), models.request()))()
        )
        jax.effects_barrier()
        steps[early] = len(calls)
    assert steps[True] <= steps[False] == 12
    if alpha <= 0:
        assert steps[True] < 12


@pytest.mark.parametrize("alpha", [-0.5, 0.0])
def test_beam_1_is_greedy(long, alpha):
    found = long.decode(partial(beam, size=1, normaliser=Normaliser("average", alpha)))
    expected = long.decode(greedy)
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    np.testing.assert_array_equal(found.truncated, expected.truncated)
    np.testing.assert_allclose(
        found.aux["logprob"], expected.scores, rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(found.aux["attention"], expected.aux["attention"])


def test_fewer_sequences_than_the_beam_has_room_for():
    models = Tables(50, 5, 2, seed=4)  # EOS, and a symbol before it: 3 sequences
    found = models.decode(partial(beam, size=8, count=8))
    assert_is_nbest(found)
    assert (found.valid.sum(axis=1) == 3).all()
    for row in range(50):
        assert_same(nbest(found, row), models.complete(row))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_score_is_that_of_the_sequence_that_comes_with_it(long, alpha):
    found = long.decode(
        partial(beam, size=6, count=6, normaliser=Normaliser("gnmt", alpha))
    )
    by = normalise("gnmt", alpha)
    for row in range(MODELS):
        for place, (score, tokens) in enumerate(nbest(found, row)):
            log_prob = long.log_prob(row, tokens)
            assert found.aux["logprob"][row, place] == pytest.approx(log_prob, abs=1e-5)
            assert score == pytest.approx(by(log_prob, len(tokens)), rel=1e-5, abs=1e-5)


def test_a_batch_is_its_rows_in_any_order(long):
    limits = np.random.default_rng(5).integers(2, long.width + 1, MODELS)
    run = partial(beam, size=4, count=4, normaliser=Normaliser("average", 1.0))
    together = long.decode(run, limits=limits)
    order = np.random.default_rng(6).permutation(MODELS)
    compiled = jax.jit(
        lambda rows, limits: run(
            long.step, long.start(rows), long.request(limits=limits, rows=rows)
        )
    )
    for rows in (order, [0], [7], [150]):
        some = compiled(np.array(rows), limits[rows])
        table_model.assert_same(some, together, rows)


def remembering_step(carry, x):
    """Every leaf of the carry holds the whole history, in its own order-sensitive way;
    the logits need all of them."""
    digits = (carry["nested"][0] * 7 + x[:, None] + jnp.arange(3)[None]) % 101
    trail = jnp.concatenate([carry["trail"][:, 1:], x[:, None]], axis=1)
    state = jnp.tanh(
        carry["state"] * 0.9 + jnp.sin(x[:, None] * jnp.arange(1.0, 5.0)[None])
    )
    new = {"nested": [digits], "trail": trail, "state": state}
    seen = (
        jnp.sin(digits.sum(axis=1).astype(jnp.float32)),
        jnp.cos((trail * jnp.arange(1, 9)[None]).sum(axis=1).astype(jnp.float32)),
        state.sum(axis=1),
    )
    angles = jnp.arange(6.0)[None] * 1.7
    logits = sum(
        3 * jnp.cos(each[:, None] * 2 + angles * i)
        for i, each in enumerate(seen, start=1)
    )
    logits = jnp.where(jnp.arange(6)[None] < EOS, -jnp.inf, logits)
    return new, StepOutput(logits, {"state": state, "trail": trail})


def test_everything_moves_with_its_hypothesis():
    batch, width, size = 30, 8, 5
    carry = {
        "nested": [jnp.arange(batch)[:, None] * jnp.ones((1, 3), jnp.int32)],
        "trail": jnp.zeros((batch, 8), jnp.int32),
        "state": jnp.zeros((batch, 4)),
    }
    request = Request(width, jnp.full(batch, width), None)
    found = jax.jit(
        lambda: beam(
            remembering_step, carry, request, size, size, Normaliser("average", 1.0)
        )
    )()
    found = jax.tree.map(np.asarray, found)
    step = jax.jit(remembering_step)
    different = 0
    for place in range(size):
        state, last = carry, jnp.full(batch, 1)
        total = np.zeros(batch)
        for time in range(width):
            state, output = step(state, last)
            last = jnp.asarray(found.tokens[:, place, time])
            written = time < found.lengths[:, place]
            gained = np.asarray(jax.nn.log_softmax(output.logits))
            total += np.where(written, gained[np.arange(batch), last], 0)
            for name, leaf in output.aux.items():
                kept = found.aux[name][:, place, time]
                expected = np.where(written[:, None], np.asarray(leaf), 0)
                np.testing.assert_allclose(kept, expected, atol=1e-5)
        valid = found.valid[:, place]
        different += valid.sum()
        np.testing.assert_allclose(
            found.aux["logprob"][valid, place], total[valid], rtol=1e-4, atol=1e-5
        )
    assert different > 3 * batch


def test_eos_at_once_and_eos_only_at_the_end():
    logits = np.full((3, 4, 5, 5), 0.0, np.float32)
    logits[..., :EOS] = -np.inf
    logits[0, 0, :, EOS] = 50  # at once
    logits[1, :3, :, EOS] = -np.inf  # with the last token alone
    logits[2, :, :, EOS] = -np.inf  # never
    models = Tables(3, 5, 4, seed=0)
    models.logits = logits
    found = models.decode(partial(beam, size=3, count=3))
    assert found.tokens[0, 0].tolist() == [EOS, 0, 0, 0]
    assert (found.lengths[1, found.valid[1]] == 4).all() and not found.truncated[1, 0]
    assert found.truncated[2].tolist() == [True, False, False]
    assert found.valid[2].tolist() == [True, False, False]
    assert found.lengths[2, 0] == 4
    assert_is_nbest(found)


def test_without_room_there_is_an_empty_cut_output():
    models = Tables(2, 5, 4, seed=0)
    found = models.decode(partial(beam, size=2), limits=np.array([0, 4]))
    assert found.lengths[0, 0] == 0 and found.truncated[0, 0]
    assert not found.truncated[1, 0]


def test_a_step_that_allows_nothing_ends_in_what_there_was():
    models = Tables(1, 5, 4, seed=0)
    models.logits[:, 2] = -np.inf
    models.logits[:, :2, :, EOS] = -np.inf
    found = models.decode(partial(beam, size=2, count=2))
    assert found.truncated[0].tolist() == [True, False]
    assert found.lengths[0, 0] == 2
    assert np.isfinite(found.scores[0, 0])
    assert models.decode(greedy).lengths.tolist() == [[2]]


def test_a_nan_is_not_swallowed():
    models = Tables(2, 5, 4, seed=0)
    models.logits[1, 0] = np.nan
    found = models.decode(partial(beam, size=2))
    assert np.isfinite(found.scores[0, 0]) and np.isnan(found.scores[1, 0])
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        models.decode(partial(beam, size=2))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_scores_add_up_in_float32(dtype):
    models = Tables(20, 6, 6, seed=7, scale=20.0)

    def coarse(carry, x):
        carry, output = models.step(carry, x)
        return carry, StepOutput(output.logits.astype(dtype), {})

    found = jax.jit(lambda: beam(coarse, models.start(), models.request(), 4, 4))()
    assert found.scores.dtype == jnp.float32
    models.log_probs = oracles.log_softmax(
        np.asarray(jnp.asarray(models.logits).astype(dtype), np.float64)
    )
    for row in range(20):
        for score, tokens in nbest(jax.tree.map(np.asarray, found), row):
            expected = models.log_prob(row, tokens)
            assert score == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_compiled_is_not_compiled(small):
    run = partial(beam, size=2, count=2, normaliser=Normaliser("average", 1.0))
    rows = np.arange(2)
    request = small.request(rows=rows)
    with jax.disable_jit():
        plain = run(small.step, small.start(rows), request)
    compiled = small.decode(run)
    for name in ("tokens", "lengths", "valid", "truncated"):
        np.testing.assert_array_equal(
            getattr(plain, name), getattr(compiled, name)[rows]
        )
    np.testing.assert_allclose(plain.scores, compiled.scores[rows], rtol=1e-6)


def test_under_vmap_it_is_a_loop(small):
    def temperature(scale):
        def scaled(carry, x):
            carry, output = small.step(carry, x)
            return carry, output._replace(logits=output.logits * scale)

        return beam(scaled, small.start(), small.request(), 3, 3)

    scales = jnp.array([0.5, 1.0, 2.0])
    together = jax.jit(jax.vmap(temperature))(scales)
    for index, scale in enumerate(scales):
        alone = jax.jit(temperature)(scale)
        jax.tree.map(
            lambda a, b, index=index: np.testing.assert_allclose(
                a[index], b, rtol=1e-6, atol=1e-6
            ),
            together,
            alone,
        )


def test_attention_that_nobody_reads_is_not_kept():
    models = Tables(20, 12, 20, seed=8)

    def compiled(keep):
        def run():
            found = beam(models.step, models.start(), models.request(), 20)
            return found if keep else found._replace(aux={})

        return jax.jit(run).lower().compile().memory_analysis().temp_size_in_bytes

    history = 4 * 20 * 10 * 20 * 20  # float32, B, S, T and K
    assert compiled(keep=True) - compiled(keep=False) > 0.9 * history

"""Beam search against enumeration, and against a beam in plain Python."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding import scores
from s2sjax.decoding.beam import beam
from s2sjax.decoding.sampling import greedy
from s2sjax.errors import UsageError
from s2sjax.types import BOS, EOS, StepOutput
from tests import oracles
from tests.decoding import table_model
from tests.decoding.table_model import (
    Models,
    assert_a_batch_is_its_rows,
    assert_is_nbest,
    assert_list,
    nbest,
    normalise,
    request,
)

pytestmark = pytest.mark.compat
MODELS = 200
SMALL = Models(MODELS, 6, 4, seed=0)  # 40 complete sequences each
EOS_BIAS = np.linspace(-6, 2, MODELS)[:, None]
LONG = Models(MODELS, 7, 8, seed=1, eos=EOS_BIAS)  # some seldom end
ORACLES = LONG.oracles()
LIMITS = np.random.default_rng(2).integers(1, LONG.width + 1, MODELS)


@cache
def strategy(**arguments):
    return partial(beam, **arguments)


@pytest.mark.parametrize(
    ("kind", "alpha"),
    [("average", -0.5), ("average", 0.0), ("average", 2.0), ("gnmt", 1.0)],
)
def test_an_exhaustive_beam_is_enumeration(kind, alpha):
    size = 27 * SMALL.vocabulary  # the candidates of the widest level
    found = SMALL.decode(strategy(size=size, n=41, normaliser=kind, alpha=alpha))
    for row, oracle in enumerate(SMALL.oracles()):
        expected = oracle.ranked(SMALL.width, normalise(kind, alpha))
        assert_list(nbest(found, row), expected)
    assert (found.valid.sum(axis=1) == 40).all()  # the last place stays empty
    assert_is_nbest(found, SMALL)


@pytest.mark.parametrize(
    ("size", "alpha"), [(1, 0.0), (1, 1.0), (3, -0.5), (3, 0.6), (9, 0.0), (9, 2.0)]
)
def test_any_beam_is_the_rule_in_plain_python(size, alpha):
    n = min(size, 4)
    its = {"size": size, "n": n, "alpha": alpha}
    found = LONG.decode(strategy(**its), LIMITS)
    for row, limit in enumerate(LIMITS):
        expected, cut = oracles.beam(
            ORACLES[row].next, size, limit, n, normalise("average", alpha)
        )
        assert_list(nbest(found, row), expected)
        assert found.truncated[row, 0] == cut
    assert_is_nbest(found, LONG, LIMITS)
    assert found.truncated.sum() < MODELS
    assert size == 9 or found.truncated.any()
    # Stopping early, which is the default, changes nothing at all.
    patient = LONG.decode(strategy(**its, early=False), LIMITS)
    jax.tree.map(np.testing.assert_array_equal, found, patient)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 1.0])
def test_stopping_early_saves_steps(alpha):
    models = Models(64, 7, 12, seed=3, eos=3.0)
    calls = []

    def counting(carry, x):
        jax.debug.callback(lambda _: calls.append(1), jnp.int32(0))
        return models.step(carry, x)

    steps = {}
    for early in (True, False):
        calls.clear()
        run = partial(beam, size=3, alpha=alpha, early=early)
        carry = table_model.first_carry(models.rows)
        jax.block_until_ready(
            jax.jit(lambda run=run, carry=carry: run(counting, carry, 12))()
        )
        jax.effects_barrier()
        steps[early] = len(calls)
    assert steps[True] <= steps[False] == 12
    if alpha <= 0:
        assert steps[True] < 12


def test_beam_1_is_greedy():
    found = LONG.decode(strategy(size=1, alpha=-0.5))
    expected = LONG.decode(greedy)
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    np.testing.assert_array_equal(found.truncated, expected.truncated)
    for name in ("logprob", "attention"):
        np.testing.assert_allclose(
            found.aux[name], expected.aux[name], **table_model.ROUNDING
        )


def test_fewer_sequences_than_the_beam_has_room_for():
    models = Models(50, 5, 2, seed=4)  # EOS, and a symbol before it: 3 sequences
    found = models.decode(strategy(size=8, n=8))
    assert_is_nbest(found, models)
    for row, oracle in enumerate(models.oracles()):
        assert_list(nbest(found, row), oracle.ranked(2))


def test_a_batch_is_its_rows_in_any_order():
    assert_a_batch_is_its_rows(LONG, strategy(size=4, n=4, alpha=1.0), LIMITS)


@pytest.mark.parametrize("alpha", [-0.5, 1.0])
def test_scores_contain_the_penalty_of_what_was_not_looked_at(alpha):
    models = Models(100, 5, 4, seed=0)
    lengths = np.arange(models.count) % 4
    run = strategy(size=8 * 5, n=15, alpha=alpha, coverage=0.7)
    found = models.decode(run, source_lengths=lengths)

    def penalty(tokens, source_length):
        written = (0, 0, BOS, *tokens)
        trails = np.array([written[at : at + 3] for at in range(len(tokens))], float)
        looked = table_model.look(trails, np).sum(axis=0)[:source_length]
        return 0.7 * np.log(np.minimum(looked, 1)).sum()

    for row, oracle in enumerate(models.oracles()):
        expected = [
            (score + penalty(tokens, lengths[row]), tokens)
            for score, tokens in oracle.ranked(4, normalise("average", alpha))
        ]
        assert_list(nbest(found, row), sorted(expected, reverse=True), 1e-4)
    assert_is_nbest(found, models)


def test_padding_has_no_penalty_and_nothing_is_infinite():
    seen = jnp.array([[[1.0, 0.5, 0.0, 0.0]]])
    for length, expected in ((0, 0), (1, 0), (2, np.log(0.5)), (3, np.log(0.5e-6))):
        found = scores.penalty(seen, jnp.array([length]), 1.0)
        np.testing.assert_allclose(found, [[expected]], rtol=1e-5)


def test_coverage_needs_attention():
    def blind(carry, x):
        carry, output = SMALL.step(carry, x)
        return carry, output._replace(aux={})

    carry = table_model.first_carry(SMALL.rows)
    with pytest.raises(UsageError, match="attention"):
        beam(blind, carry, 4, coverage=0.5)


def test_eos_at_once_and_eos_only_at_the_end():
    script = np.zeros((4, 4, 5), np.float32)
    script[..., :EOS] = -np.inf
    script[0, 0, EOS] = 50  # at once
    script[1, :3, EOS] = -np.inf  # with the last token alone
    script[2, :, EOS] = -np.inf  # never
    script[3, :2, EOS] = -np.inf  # and nothing at all after two tokens
    script[3, 2:] = -np.inf
    for run in (greedy, partial(beam, size=3, n=3)):
        found = jax.jit(lambda run=run: run(*table_model.scripted(script), 4))()
        assert found.tokens[0, 0].tolist() == [EOS, 0, 0, 0]
        assert found.lengths[2:, 0].tolist() == [4, 2]
        assert found.truncated[2:, 0].all() and not found.truncated[:2].any()
        assert np.isfinite(found.scores[:, 0]).all()
    assert (np.asarray(found.lengths)[1, np.asarray(found.valid)[1]] == 4).all()
    assert found.valid[2:].tolist() == [[True, False, False]] * 2


def test_without_room_there_is_an_empty_cut_output():
    found = SMALL.decode(strategy(size=2), np.arange(MODELS) % 2 * 4)
    assert (found.lengths[::2, 0] == 0).all() and found.truncated[::2, 0].all()
    assert not found.truncated[1::2].all()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_scores_add_up_in_float32(dtype):
    models = Models(20, 6, 6, seed=7, scale=20.0)

    def coarse(carry, x):
        carry, output = models.step(carry, x)
        return carry, output._replace(logits=output.logits.astype(dtype))

    carry = table_model.first_carry(models.rows)
    found = jax.jit(lambda: beam(coarse, carry, 6, size=4, n=4))()
    assert found.scores.dtype == jnp.float32
    models.logits = np.asarray(jnp.asarray(models.logits).astype(dtype), np.float64)
    for row, oracle in enumerate(models.oracles()):
        for score, tokens in nbest(jax.tree.map(np.asarray, found), row):
            assert score == pytest.approx(oracle.score(tokens), rel=1e-5, abs=1e-6)


def test_compiled_is_not_compiled():
    run, rows = strategy(size=2, n=2, alpha=1.0), np.arange(2)
    carry = table_model.first_carry(rows)
    with jax.disable_jit():
        plain = run(SMALL.step, carry, request(rows, jnp.full(2, 4), 4))
    table_model.assert_same(plain, SMALL.decode(run), rows)


def test_under_vmap_it_is_a_loop():
    carry = table_model.first_carry(SMALL.rows)

    def tempered(scale):
        def scaled(carry, x):
            carry, output = SMALL.step(carry, x)
            return carry, output._replace(logits=output.logits * scale)

        return beam(scaled, carry, 4, size=3, n=3)

    scales = jnp.array([0.5, 1.0, 2.0])
    together = jax.jit(jax.vmap(tempered))(scales)
    one = jax.jit(tempered)
    for index, scale in enumerate(scales):
        alone = jax.tree.map(lambda leaf, at=index: leaf[at], together)
        table_model.assert_same(alone, one(scale))


def test_attention_that_nobody_reads_is_not_kept():
    batch, source, width, size = 20, 40, 20, 20

    def step(carry, x):
        logits = jnp.where(jnp.arange(12)[None] < EOS, -jnp.inf, jnp.sin(carry))
        return carry + x[:, None], StepOutput(logits, {"attention": carry[:, :source]})

    def compiled(keep):
        def run():
            found = beam(step, jnp.zeros((batch, 12)), width, size=size)
            return found if keep else found._replace(aux={})

        return jax.jit(run).lower().compile().memory_analysis().temp_size_in_bytes

    history = 4 * batch * 12 * width * size  # float32, B, S, T and K
    assert compiled(keep=True) - compiled(keep=False) > 0.9 * history

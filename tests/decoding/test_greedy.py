"""Greedy decoding of step functions that are not ours, against a loop in Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding.base import Request
from s2sjax.decoding.sampling import greedy
from s2sjax.decoding.strategies import decoding
from s2sjax.errors import UsageError
from s2sjax.types import EOS, PAD, StepOutput
from tests import oracles

V, D, WIDTH = 6, 4, 9
random = np.random.default_rng(3)
EMBEDDING, RECURRENT, OUTPUT = (
    random.normal(0, scale, shape).astype(np.float32)
    for scale, shape in ((2.0, (V, D)), (1.0, (D, D)), (2.0, (D, V)))
)


def random_step(carry, x):
    carry = jnp.tanh(carry @ RECURRENT + jnp.asarray(EMBEDDING)[x])
    logits = (carry @ OUTPUT).at[:, :EOS].set(-jnp.inf)
    return carry, StepOutput(logits, {"state": carry})


def loop_step(carry, token):
    carry = np.tanh(carry @ RECURRENT.astype(np.float64) + EMBEDDING[token])
    logits = carry @ OUTPUT
    logits[:EOS] = -np.inf
    return carry, logits


def scripted_step(carry, x):
    """Says what stands in a script [B, W, V] of logits, and which step it is."""
    time, script = carry
    logits = jnp.take_along_axis(script, time[:, None, None], axis=1)[:, 0]
    return (time + 1, script), StepOutput(logits, {"time": time})


decode = jax.jit(
    lambda carry, limits: greedy(random_step, carry, Request(WIDTH, limits, None))
)
decode_script = jax.jit(
    lambda script, limits: greedy(
        scripted_step,
        (jnp.zeros(len(limits), jnp.int32), script),
        Request(script.shape[1], limits, None),
    )
)


@pytest.fixture(scope="module")
def batch():
    carry = random.normal(0, 3, (40, D)).astype(np.float32)
    limits = random.integers(1, WIDTH + 1, 40).astype(np.int32)
    return carry, limits, jax.tree.map(np.asarray, decode(carry, limits))


def test_greedy_is_a_loop_in_python(batch):
    carry, limits, hypotheses = batch
    kinds = set()
    for row, limit in enumerate(limits):
        tokens, score, truncated = oracles.greedy(loop_step, carry[row], limit)
        length = hypotheses.lengths[row, 0]
        assert hypotheses.tokens[row, 0, :length].tolist() == tokens
        assert (hypotheses.tokens[row, 0, length:] == PAD).all()
        assert hypotheses.truncated[row, 0] == truncated
        np.testing.assert_allclose(hypotheses.scores[row, 0], score, rtol=1e-4)
        kinds.add((bool(truncated), len(tokens) == limit, len(tokens) == 1))
    assert hypotheses.valid.all()
    # Cut short, ended early and ended with the last token allowed all occur.
    assert {(True, True), (False, False), (False, True)} <= {k[:2] for k in kinds}
    assert (False, False, True) in kinds  # EOS as the first token


def test_a_row_does_not_depend_on_its_neighbours(batch):
    carry, limits, together = batch
    order = random.permutation(40)
    again = decode(carry[order], limits[order])
    for a, b in zip(
        again, jax.tree.map(lambda leaf: leaf[order], together), strict=True
    ):
        jax.tree.map(np.testing.assert_array_equal, a, b)
    for row in (0, 1, 2, 3):  # alone, in a batch where all the others are done at once
        limit = np.where(np.arange(40) == row, limits, 1).astype(np.int32)
        alone = decode(carry, limit)
        jax.tree.map(
            lambda a, b, row=row: np.testing.assert_array_equal(a[row], b[row]),
            alone,
            together,
        )


def test_singles_are_the_batch(batch):
    carry, limits, together = batch
    for row in range(5):
        single = decode(carry[row : row + 1], limits[row : row + 1])
        np.testing.assert_array_equal(single.tokens[0], together.tokens[row])
        np.testing.assert_allclose(
            single.scores[0], together.scores[row], rtol=1e-5, atol=1e-6
        )


def script_of(rows, width=5, vocabulary=6):
    """Logits under which greedy writes `rows`, each token with probability 1/2."""
    others = np.log(0.5 / (vocabulary - 1))
    script = np.full((len(rows), width, vocabulary), others, np.float32)
    for row, tokens in enumerate(rows):
        for time, token in enumerate(tokens):
            script[row, time, token] = np.log(0.5)
    return script


def test_eos_is_counted_and_what_follows_it_is_not():
    rows = [
        [EOS, 4, 4, 4, 4],  # at once
        [3, 4, EOS, 5, EOS],  # later
        [3, 3, 3, 3, EOS],  # as the last token there is room for
        [5, 4, 3, 4, 5],  # never
        [3, 4, EOS, 3, 3],  # too late for its limit
    ]
    limits = np.array([5, 5, 5, 5, 2], np.int32)
    found = jax.tree.map(np.asarray, decode_script(script_of(rows), limits))
    assert found.tokens[:, 0].tolist() == [
        [EOS, 0, 0, 0, 0],
        [3, 4, EOS, 0, 0],
        [3, 3, 3, 3, EOS],
        [5, 4, 3, 4, 5],
        [3, 4, 0, 0, 0],
    ]
    assert found.lengths[:, 0].tolist() == [1, 3, 5, 5, 2]
    assert found.truncated[:, 0].tolist() == [False, False, False, True, True]
    np.testing.assert_allclose(
        found.scores[:, 0], np.log(0.5) * np.array([1, 3, 5, 5, 2]), rtol=1e-6
    )
    # What a step said besides is kept for the tokens of a hypothesis alone.
    assert found.aux["time"][:, 0].tolist() == [
        [0, 0, 0, 0, 0],
        [0, 1, 2, 0, 0],
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4],
        [0, 1, 0, 0, 0],
    ]


def test_the_loop_ends_with_the_last_live_row():
    calls = []

    def counting(carry, x):
        jax.debug.callback(lambda _: calls.append(1), x)
        return scripted_step(carry, x)

    script = script_of([[3, EOS], [EOS]], width=8)
    start = (np.zeros(2, np.int32), script)
    limits = np.array([8, 8], np.int32)
    jax.block_until_ready(
        jax.jit(lambda carry: greedy(counting, carry, Request(8, limits, None)))(start)
    )
    jax.effects_barrier()
    assert len(calls) == 2


def test_a_nan_shows_in_its_own_score_alone():
    script = script_of([[3, 4, EOS], [3, 4, EOS]], width=5)
    script[1, 1] = np.nan
    found = decode_script(script, np.array([5, 5], np.int32))
    assert found.tokens[0, 0, :3].tolist() == [3, 4, EOS]
    np.testing.assert_allclose(found.scores[0, 0], 3 * np.log(0.5), rtol=1e-6)
    assert np.isnan(found.scores[1, 0])


def test_scores_are_float32_whatever_the_logits():
    script = script_of([[3, EOS]]).astype(jnp.bfloat16)
    found = decode_script(script, np.array([5], np.int32))
    assert found.scores.dtype == np.float32
    np.testing.assert_allclose(found.scores[0, 0], 2 * np.log(0.5), rtol=1e-2)


def test_a_strategy_is_found_by_its_spec():
    assert decoding("greedy").strategy is greedy


@pytest.mark.parametrize(
    ("spec", "said"),
    [("greddy", "did you mean 'greedy'"), ("greedy:size=2", "size"), ("!", "spec")],
)
def test_an_unknown_strategy_or_argument_is_refused(spec, said):
    with pytest.raises(UsageError, match=said) as caught:
        decoding(spec)
    assert "\n" not in str(caught.value)

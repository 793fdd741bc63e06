"""Greedy decoding against a loop in Python, and the conventions of lengths and ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding.base import Request
from s2sjax.decoding.sampling import greedy
from s2sjax.types import EOS
from tests import oracles
from tests.decoding.table_model import (
    Models,
    assert_a_batch_is_its_rows,
    nbest,
    scripted,
)

MODELS = Models(60, 6, 9, seed=3)
LIMITS = np.random.default_rng(3).integers(1, 10, MODELS.count)


def test_greedy_is_a_loop_in_python():
    found, kinds = MODELS.decode(greedy, LIMITS), set()
    for row, (oracle, limit) in enumerate(zip(MODELS.oracles(), LIMITS, strict=True)):
        tokens, score, cut = oracles.greedy(
            lambda prefix, last, its=oracle: (
                (*prefix, last),
                its.next((*prefix, last)[1:]),
            ),
            (),
            limit,
        )
        assert nbest(found, row) == [(pytest.approx(score, rel=1e-4), tuple(tokens))]
        assert found.truncated[row, 0] == cut
        kinds.add((cut, len(tokens) == limit, len(tokens) == 1))
    # Cut short, ended early and ended with the last token allowed all occur.
    assert {(True, True), (False, False), (False, True)} <= {k[:2] for k in kinds}
    assert (False, False, True) in kinds  # EOS as the first token


def test_a_row_does_not_depend_on_its_neighbours():
    assert_a_batch_is_its_rows(MODELS, greedy, LIMITS)


@jax.jit
def decode_script(script, limits):
    return greedy(*scripted(script), Request(script.shape[1], limits))


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
    step, carry = scripted(script_of([[3, EOS], [EOS]], width=8))

    def counting(carry, x):
        jax.debug.callback(lambda _: calls.append(1), x)
        return step(carry, x)

    jax.block_until_ready(jax.jit(lambda: greedy(counting, carry, 8))())
    jax.effects_barrier()
    assert len(calls) == 2


def test_scores_are_float32_whatever_the_logits():
    script = script_of([[3, EOS]]).astype(jnp.bfloat16)
    found = decode_script(script, np.array([5], np.int32))
    assert found.scores.dtype == np.float32
    np.testing.assert_allclose(found.scores[0, 0], 2 * np.log(0.5), rtol=1e-2)

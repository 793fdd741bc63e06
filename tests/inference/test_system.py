"""A trained model read out: against greedy decoding by a loop in float64."""

import types
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax.config import DecodeConfig
from s2sjax.inference.load import with_decode
from s2sjax.inference.system import (
    System,
    decode,
    edits,
    encode,
    force,
    output_lengths,
    symbol_lengths,
)
from s2sjax.models.architectures import build_model
from s2sjax.types import EOS, PAD, SYMBOLS, Batch, Hypotheses
from tests import copying, oracles

LENGTHS = np.array([4, 1, 0, 3, 4, 2, 4, 3], np.int32)
WIDTH = 4
close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
MODELS = {
    "lstm-attention-bi": {
        "cell": "lstm",
        "units": 4,
        "embedding": 3,
        "attention": "bahdanau",
        "bidirectional": True,
        "bridge": "dense",
    },
    "gru-onehot": {"cell": "gru", "units": 5, "embedding": 0},
    # All that a step can leave to the next.
    "gru-feeding": {
        "cell": "gru",
        "units": 4,
        "embedding": 3,
        "layers": 2,
        "attention": "location_sensitive:width=3,filters=2,cumulative=true",
        "context": "input_feeding",
    },
}
# With these, some outputs end by themselves and some are cut.
SEEDS = {"lstm-attention-bi": 16, "gru-onehot": 20, "gru-feeding": 5}


@pytest.fixture(scope="module", params=MODELS)
def read_out(request):
    config = copying.config(MODELS[request.param])
    model = build_model(config, copying.VOCABULARY, copying.VOCABULARY)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = copying.drawn(shapes, seed=SEEDS[request.param], scale=1.0)
    random = np.random.default_rng(1)
    size = (len(LENGTHS), WIDTH)
    source = random.integers(SYMBOLS, copying.VOCABULARY, size, np.int32)
    ids = np.arange(len(LENGTHS), dtype=np.int32)
    system = System.of(model, config, params)
    hypotheses = decode(system, source, LENGTHS, ids, per_token=True)
    return types.SimpleNamespace(
        config=config,
        model=model,
        params=params,
        source=source,
        ids=ids,
        hypotheses=jax.tree.map(np.asarray, hypotheses),
        encoded=encode(system, source, LENGTHS),
        system=system,
    )


def test_a_prediction_is_greedy_decoding_by_a_loop(read_out):
    oracle = oracles.Model(read_out.config.model, read_out.params)
    found = read_out.hypotheses
    cuts = set()
    for row, length in enumerate(LENGTHS):
        most = int(np.ceil(1.5 * length)) + 2
        source = read_out.source[row, :length]
        tokens, score, truncated = oracle.greedy(source, most)
        size = int(found.lengths[row, 0])
        assert found.tokens[row, 0, :size].tolist() == tokens
        assert (found.tokens[row, 0, size:] == PAD).all()
        assert found.truncated[row, 0] == truncated
        np.testing.assert_allclose(found.scores[row, 0], score, rtol=1e-5, atol=1e-5)
        cuts.add(truncated)
    assert cuts == {True, False}
    assert found.tokens.shape == (
        len(LENGTHS),
        1,
        max(output_lengths(read_out.config.decode, WIDTH).most),
    )


def test_the_score_is_that_of_forcing_the_same_tokens(read_out):
    found = read_out.hypotheses
    batch = Batch(
        read_out.source,
        LENGTHS,
        found.tokens[:, 0],
        found.lengths[:, 0],
        read_out.ids,
        np.ones(len(LENGTHS), np.float32),
    )
    forced = force(read_out.system, batch)
    total = np.sum(forced.log_probs, axis=1)
    np.testing.assert_allclose(total, found.scores[:, 0], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(forced.correct.sum(axis=1), found.lengths[:, 0])


def test_forced_scores_are_those_of_numpy(read_out):
    random = np.random.default_rng(2)
    lengths = np.maximum(LENGTHS, 1)
    width = read_out.hypotheses.tokens.shape[2]
    target = random.integers(EOS, copying.VOCABULARY, (len(lengths), width), np.int32)
    weights = np.ones(len(lengths), np.float32)
    batch = Batch(read_out.source, LENGTHS, target, lengths, read_out.ids, weights)
    forced = force(read_out.system, batch)
    oracle = oracles.Model(read_out.config.model, read_out.params)
    for row, length in enumerate(lengths):
        wanted = target[row, :length]
        source = read_out.source[row, : LENGTHS[row]]
        logits, _ = oracle.forced(source, [oracles.BOS, *wanted[:-1]])
        expected = oracles.nll(logits, wanted)
        np.testing.assert_allclose(-forced.log_probs[row].sum(), expected, rtol=1e-5)
        assert forced.correct[row].sum() == (logits.argmax(axis=1) == wanted).sum()


def test_a_row_does_not_depend_on_padding_or_neighbours(read_out):
    order = np.array([3, 1, 7, 0, 2, 6, 5, 4])
    source = read_out.source.copy()
    padding = np.arange(WIDTH)[None] >= LENGTHS[:, None]
    source[padding] = SYMBOLS
    again = decode(
        read_out.system,
        source[order],
        LENGTHS[order],
        read_out.ids[order],
        per_token=True,
    )
    expected = jax.tree.map(lambda leaf: leaf[order], read_out.hypotheses)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_in_a_beam_hypotheses_move_with_all_that_a_model_carries(read_out):
    if read_out.config.model.context == "cell":
        return  # only layers have a state; see `tests/decoding`
    config = with_decode(read_out.config, strategy="beam:size=4,n=3")
    system = System.of(read_out.model, config, read_out.params)
    given = read_out.source, LENGTHS, read_out.ids
    hypotheses = decode(system, *given, per_token=True)
    oracle = oracles.Model(config.model, read_out.params)
    for row, length in enumerate(LENGTHS):
        source = read_out.source[row, :length]

        def next_log_probs(tokens, source=source):
            logits, _ = oracle.forced(source, [oracles.BOS, *tokens])
            return oracles.log_softmax(logits[-1])

        limit = int(np.ceil(1.5 * length)) + 2
        expected, cut = oracles.beam(next_log_probs, 4, limit, 3)
        assert hypotheses.truncated[row].any() == cut
        for place, (score, tokens) in enumerate(expected):
            size = int(hypotheses.lengths[row, place])
            assert tuple(hypotheses.tokens[row, place, :size].tolist()) == tokens
            close(hypotheses.scores[row, place], score)
            _, weights = oracle.forced(source, [oracles.BOS, *tokens[:-1]])
            attention = hypotheses.aux["attention"][row, place, :size, :length]
            close(attention, weights)


def test_attention_comes_with_the_tokens_alone(read_out):
    if "attention" not in read_out.hypotheses.aux:
        assert read_out.config.model.attention == "none"
        return
    attention = read_out.hypotheses.aux["attention"][:, 0]
    for row, length in enumerate(LENGTHS):
        size = read_out.hypotheses.lengths[row, 0]
        expected = float(length > 0)
        np.testing.assert_allclose(attention[row, :size].sum(-1), expected, rtol=1e-5)
        assert (attention[row, :, length:] == 0).all()
        assert (attention[row, size:] == 0).all()


@given(
    st.integers(0, 1000).map(lambda percent: percent / 100),
    st.integers(1, 40),
    st.sampled_from([0, 40, 300]),
)
@settings(max_examples=60, deadline=None)
def test_a_limit_follows_from_its_source_alone(ratio, extra, width):
    config = DecodeConfig(length_ratio=ratio, length_extra=extra)
    limits = np.array(output_lengths(config, width).most)
    assert (np.diff(limits) >= 0).all() and limits[0] == extra
    assert output_lengths(config, width + 7).most[: width + 1] == limits.tolist()
    exact = np.ceil(np.round(ratio * np.arange(width + 1), 6)) + extra
    assert (limits >= exact).all() and (limits <= exact + 1).all()


def test_a_limit_done_by_hand():
    config = DecodeConfig(length_ratio=0.15, length_extra=2)
    # In float32, 0.15 * 100 is above 15.
    most = output_lengths(config, 100).most
    assert [most[length] for length in (0, 1, 20, 100)] == [2, 3, 5, 17]


def test_lengths_in_symbols_leave_out_an_eos_that_is_there():
    tokens = np.array([[[5, 5, EOS, PAD]], [[5, 5, 5, 5]], [[EOS, PAD, PAD, PAD]]])
    lengths = np.array([[3], [4], [1]])
    nothing = np.zeros((3, 1))
    hypotheses = Hypotheses(tokens, nothing, lengths, nothing, nothing, {})
    assert symbol_lengths(hypotheses).tolist() == [[2], [4], [0]]


def test_edits_are_between_symbols():
    tokens = np.array([[5, 6, EOS, PAD], [5, 6, 5, 6]], np.int32)
    target = np.array([[5, 6, EOS], [6, EOS, PAD]], np.int32)
    found = edits(tokens, np.array([2, 4]), target, np.array([2, 1]))
    assert found.tolist() == [0, 3]

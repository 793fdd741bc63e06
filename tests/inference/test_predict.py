"""Inputs in, n-best lists out: whatever the strategy, the batch and the padding."""

import dataclasses
import types

import jax
import numpy as np
import pytest

from s2sjax.inference import predict as prediction
from s2sjax.inference import system as predictor
from s2sjax.inference.load import with_decode
from s2sjax.inference.predict import (
    Query,
    encode_sources,
    predict,
    score,
    with_token_logprobs,
)
from s2sjax.inference.system import System, decode
from s2sjax.models.architectures import build_model
from s2sjax.types import BOS, EOS, SYMBOLS
from tests import copying, oracles

SPECS = ("beam:size=3,n=2,alpha=1.0,coverage=0.3", "sample:n=3,top_p=0.9")


@pytest.fixture(scope="module")
def trained():
    """A model with random weights that writes outputs of many lengths."""
    config = copying.config(
        {
            "cell": "gru",
            "units": 5,
            "embedding": 3,
            "attention": "bahdanau",
            "bidirectional": True,
            "bridge": "dense",
        }
    )
    model = build_model(config, copying.VOCABULARY, copying.VOCABULARY)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = copying.drawn(shapes, seed=16, scale=1.0)
    random = np.random.default_rng(3)
    sources = [
        random.integers(SYMBOLS, copying.VOCABULARY, length).tolist()
        for length in (4, 0, 9, 1, 16, 8, 3, 5, 11, 2)
    ]
    return types.SimpleNamespace(
        config=config, model=model, params=params, sources=sources
    )


def system(trained, spec, size=4):
    config = with_decode(trained.config, strategy=spec, batch_size=size)
    return System.of(trained.model, config, trained.params)


def same(one, other):
    for a, b in zip(one, other, strict=True):
        assert [h.output for h in a] == [h.output for h in b]
        for x, y in zip(a, b, strict=True):
            assert x.truncated == y.truncated
            np.testing.assert_allclose(
                [x.score, x.logprob], [y.score, y.logprob], rtol=1e-4, atol=1e-5
            )
            np.testing.assert_allclose(x.attention, y.attention, atol=1e-5)


@pytest.mark.parametrize("spec", [SPECS[0], "exact"])
def test_what_is_said_of_each_token(trained, spec):
    run = system(trained, spec)
    queries = [Query(source, banned=[SYMBOLS]) for source in trained.sources[:4]]
    found = predict(run, queries, attention=True, states=True)
    found = with_token_logprobs(run, queries, found)
    oracle = oracles.Model(trained.config.model, trained.params)
    for query, nbest in zip(queries, found, strict=True):
        memory, encoded = oracle.encode(query.source)
        for hypothesis in nbest:
            tokens = [*hypothesis.output, *[EOS][: not hypothesis.truncated]]
            assert len(hypothesis.token_logprobs) == len(tokens)
            total = hypothesis.token_logprobs.sum()
            np.testing.assert_allclose(total, hypothesis.logprob, rtol=1e-4, atol=1e-5)
            carry, read = oracle.start(encoded, memory), BOS
            assert list(hypothesis.states) == ["decoder_0_h"]
            for row, token in enumerate(tokens):
                carry, logits, _ = oracle.step(carry, read, memory)
                np.testing.assert_allclose(
                    hypothesis.states["decoder_0_h"][row], carry[0][0][0], atol=1e-4
                )
                np.testing.assert_allclose(
                    hypothesis.token_logprobs[row],
                    oracles.log_softmax(logits)[token],
                    rtol=1e-3,
                    atol=1e-4,
                )
                read = token
    assert predict(run, queries[:1])[0][0].states is None


@pytest.mark.parametrize("spec", SPECS)
def test_neither_batch_nor_padding_changes_a_hypothesis(trained, spec):
    queries = [Query(source) for source in trained.sources]
    small = predict(system(trained, spec), queries, attention=True)
    # One batch, and with it other rows beside each input.
    same(small, predict(system(trained, spec, size=16), queries, attention=True))
    # As one width: every source padded to 32.
    run = system(trained, spec)
    width = np.zeros((len(queries), 32), np.int32)
    for row, source in enumerate(trained.sources):
        width[row, : len(source)] = source
        width[row, len(source) :] = SYMBOLS  # what stands there means nothing
    lengths = np.array([len(source) for source in trained.sources], np.int32)
    padded = jax.tree.map(
        np.asarray, decode(run, width, lengths, np.arange(len(queries), dtype=np.int32))
    )
    for row, nbest in enumerate(small):
        for place, hypothesis in enumerate(nbest):
            size = len(hypothesis.output)
            assert padded.tokens[row, place, :size].tolist() == hypothesis.output
            np.testing.assert_allclose(
                padded.scores[row, place], hypothesis.score, rtol=1e-4, atol=1e-5
            )


def test_one_bucket_is_one_program(trained):
    run = system(trained, "beam:size=2")
    queries = [Query(source) for source in trained.sources if len(source) <= 8] * 3
    before = decode._cache_size()
    predict(run, queries)
    predict(run, queries[:5])
    assert decode._cache_size() == before + 1
    others = dataclasses.replace(run, params=jax.tree.map(lambda p: p + 1, run.params))
    predict(others, queries)
    assert decode._cache_size() == before + 1


def test_constraints_of_one_input_do_not_touch_the_others(trained):
    run = system(trained, "beam:size=3,n=3")
    queries = [Query(source) for source in trained.sources]
    free = predict(run, queries, attention=True)
    asked = list(queries)
    asked[3] = Query(trained.sources[3], prefix=[SYMBOLS + 1], banned=[SYMBOLS])
    held = predict(run, asked, attention=True)
    assert all(h.output[:1] == [SYMBOLS + 1] for h in held[3])
    assert all(SYMBOLS not in h.output for h in held[3])
    same(free[:3] + free[4:], held[:3] + held[4:])


def test_scores_of_given_outputs_are_those_of_numpy(trained):
    random = np.random.default_rng(5)
    queries = [
        Query(source, random.integers(SYMBOLS, copying.VOCABULARY, length).tolist())
        for source, length in zip(trained.sources, range(10), strict=True)
    ]
    oracle = oracles.Model(trained.config.model, trained.params)
    for (source, output, *_), found in zip(
        queries, score(system(trained, "greedy"), queries), strict=True
    ):
        logits, _ = oracle.forced(source, [oracles.BOS, *output])
        log_probs = oracles.log_softmax(logits)
        expected = [log_probs[t, token] for t, token in enumerate([*output, EOS])]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_an_encoded_source_is_that_of_numpy(trained):
    oracle = oracles.Model(trained.config.model, trained.params)
    found = encode_sources(system(trained, "greedy"), trained.sources)
    for source, encoded in zip(trained.sources, found, strict=True):
        memory, states = oracle.encode(source)
        np.testing.assert_allclose(encoded.memory, memory, rtol=1e-4, atol=1e-5)
        for layer, directions in enumerate(encoded.states):
            for direction, state in enumerate(directions):
                np.testing.assert_allclose(
                    state[0], states[layer][direction][0], rtol=1e-4, atol=1e-5
                )


def test_long_inputs_are_decoded_in_small_batches(trained, monkeypatch):
    queries = [Query(source) for source in trained.sources]
    told, shapes = [], []
    run = system(trained, "greedy")
    usual = predict(run, queries, attention=True, passed=lambda *at: told.append(at))
    # On a busy machine a batch may be said not to be done yet.
    assert list(dict.fromkeys(told)) == [(0, 10), (4, 10), (7, 10), (10, 10)]
    assert run.config.decode.batch_size == 4

    def recorded(system, source, *arguments, **options):
        shapes.append(source.shape)
        return decode(system, source, *arguments, **options)

    monkeypatch.setattr(prediction, "decode", recorded)
    # Four rows of 8 symbols with outputs of 14 tokens, and two of 16 with 26.
    monkeypatch.setattr(predictor, "MOST_POSITIONS", 4 * (8 + 14))
    same(usual, predict(run, queries, attention=True))
    assert sorted(shapes) == [(2, 16)] * 2 + [(4, 8)] * 2

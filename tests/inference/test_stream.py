"""Streams: however they are cut, they say what the whole says, to the bit."""

import pathlib
from itertools import pairwise

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax import config as configs
from s2sjax import tasks
from s2sjax.commands.run import Run
from s2sjax.errors import UsageError
from s2sjax.inference.load import Trained
from s2sjax.inference.system import System
from s2sjax.models.architectures import build_model
from tests import copying

# More units than a product of one row sums in the order of one of several.
MODELS = {
    "gru": {"cell": "gru", "units": 130, "layers": 2, "embedding": 5},
    "lstm-ahead": {"cell": "lstm", "units": 9, "lookahead": 2, "embedding": 0},
    "mingru-of-two": {"cell": "mingru", "units": 7, "embedding": 3},
}
SYMBOLS = list(np.random.default_rng(0).integers(0, 5, 150).tolist())


def opened(model, count=1, **task):
    config = configs.resolve(
        {
            "task": {"name": "copy", "length": 8, "cardinality": 5, **task},
            "model": {"architecture": "aligned", **model},
            "train": {"steps": 1},
        }
    )
    task = tasks.create(config)
    sizes = len(task.source_vocabulary), len(task.target_vocabulary)
    model = build_model(config, *sizes)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    scale = config.model.units**-0.5
    params = tuple(copying.drawn(shapes, seed, scale) for seed in range(count))
    system = System((model,) * count, config, params)
    return Run(Trained(pathlib.Path("run"), config, task, system, 7), say=print)


@pytest.fixture(scope="module", params=MODELS)
def run(request):
    return opened(MODELS[request.param], 2 if request.param.endswith("two") else 1)


def read(stream, chunks):
    """What is said of the chunks, one after another, and at the end."""
    said = []
    for chunk in chunks:
        stream, now = stream.step(chunk)
        said += now
    return said + stream.finish()[1]


@pytest.fixture(scope="module")
def whole(run):
    return read(run.stream(), [SYMBOLS])


@settings(max_examples=20)
@given(cuts=st.sets(st.integers(0, len(SYMBOLS)), max_size=8))
def test_any_cutting_is_the_whole_to_the_bit(run, whole, cuts):
    places = [0, *sorted(cuts), len(SYMBOLS)]
    chunks = [SYMBOLS[a:b] for a, b in pairwise(places)]
    assert read(run.stream(), chunks) == whole


def test_one_by_one_is_the_whole_to_the_bit(run, whole):
    assert read(run.stream(), SYMBOLS) == whole


@settings(max_examples=10)
@given(
    batch=st.integers(2, 5),
    place=st.integers(0, 4),
    cuts=st.lists(st.integers(0, 150), min_size=5, max_size=5),
)
def test_any_batch_is_its_rows_alone_to_the_bit(run, whole, batch, place, cuts):
    """Whatever the others read, and how they are cut."""
    place, cuts = place % batch, cuts[:batch]
    rows = [SYMBOLS[::-1][row:] for row in range(batch)]
    rows[place] = SYMBOLS
    stream = run.stream(batch)
    halves = [each[:cut] for each, cut in zip(rows, cuts, strict=True)]
    stream, first = stream.step(halves)
    halves = [each[cut:] for each, cut in zip(rows, cuts, strict=True)]
    stream, then = stream.step(halves)
    stream, last = stream.finish()
    assert first[place] + then[place] + last[place] == whole


def test_the_whole_is_what_decoding_says(run, whole):
    decoded = run.decode(SYMBOLS)
    assert [answer.symbol for answer in whole] == decoded.output
    total = sum(answer.logprob for answer in whole)
    np.testing.assert_allclose(total, decoded.best.logprob, rtol=1e-5)


def test_a_stream_is_a_record(run):
    first = run.stream()
    second, _ = first.step(SYMBOLS[:70])
    assert second.step([1, 2]) is not second
    assert second.step([1, 2])[1] == second.step([1, 2])[1]
    assert repr(first) == "Stream(run: 0 inputs read)"
    assert repr(second) == "Stream(run: 70 inputs read)"
    begun, _ = second.finish()
    assert begun.step(SYMBOLS[:9])[1] == first.step(SYMBOLS[:9])[1]


def test_an_answer_comes_so_many_inputs_later():
    stream, counts = opened(MODELS["lstm-ahead"]).stream(), []
    for symbol in [3, 1, 4]:
        stream, said = stream.step(symbol)
        counts.append(len(said))
    assert counts == [0, 0, 1] and len(stream.finish()[1]) == 2
    short, said = opened(MODELS["lstm-ahead"]).stream().step([3])
    assert not said and len(short.finish()[1]) == 1


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"architecture": "encoder_decoder"}, "encoder_decoder answers when it has"),
        ({"architecture": "classifier"}, "classifier answers when it has read"),
        ({"bidirectional": True}, "reads from the end of a source too"),
    ],
)
def test_what_cannot_be_streamed_is_told(model, told):
    task = {"length": 1} if model.get("architecture") == "classifier" else {}
    with pytest.raises(UsageError, match=told):
        opened({"units": 4} | model, **task).stream()


def test_bad_input_is_told():
    run = opened(MODELS["lstm-ahead"])
    for x, told in (([1, 9], "symbol 9 is not among"), (None, "x is None")):
        with pytest.raises(UsageError, match=told):
            run.stream().step(x)
    with pytest.raises(UsageError, match="x has 1 rows; this stream is of 2"):
        run.stream(2).step([[1]])
    with pytest.raises(UsageError, match="batch=0 is not a number from 1"):
        run.stream(0)

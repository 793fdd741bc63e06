"""The PyTorch decoder writes what ours writes, for every kind of model."""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch")

from s2sjax.benchmark.examples import Chunk
from s2sjax.benchmark.peers import table
from s2sjax.benchmark.peers.run import Way
from s2sjax.benchmark.timing import Ours, decode_all
from s2sjax.config import Config, DecodeConfig, ModelConfig
from s2sjax.errors import UsageError
from s2sjax.inference.load import with_decode
from s2sjax.inference.system import System
from s2sjax.models.seq2seq import Seq2Seq
from s2sjax.types import EOS, Batch

pytestmark = pytest.mark.compat
SIZE, WIDTH, SOURCES, TARGETS = 24, 6, 9, 8
ONE = Way(threads=1, at_once=1)
# Every cell, bridge, number of directions and layers, attention and one-hot input.
MODELS = {
    "lstm-attention": ("lstm", "bahdanau", 5, 2, True, "dense"),
    "gru-attention": ("gru", "bahdanau", 0, 1, False, "copy"),
    "gru": ("gru", "none", 0, 2, True, "dense"),
    "rnn-attention": ("rnn", "bahdanau", 5, 1, True, "zero"),
    "lstm": ("lstm", "none", 5, 1, False, "copy"),
}
STRATEGIES = {
    "greedy": MODELS,
    "beam:size=3": ("lstm-attention", "gru"),
    "beam:size=20,alpha=1.0": ("rnn-attention",),
    "beam:size=4,alpha=-0.5,normaliser=gnmt": ("gru-attention",),
}


@pytest.fixture(scope="module")
def chunk():
    """Sources of 1 to 6 symbols, with noise behind their ends."""
    draw = np.random.default_rng(0)
    source = draw.integers(3, SOURCES, (SIZE, WIDTH)).astype(np.int32)
    lengths = draw.integers(1, WIDTH + 1, SIZE).astype(np.int32)
    target, ids = np.full((SIZE, 1), 2, np.int32), np.arange(SIZE, dtype=np.int32)
    columns = (source, lengths, target, np.ones(SIZE, np.int32), ids)
    batch = Batch(*map(jnp.asarray, columns), jnp.ones(SIZE))
    return Chunk(batch, np.arange(SIZE), SIZE)


def system(name):
    cell, attention, embedding, layers, both, bridge = MODELS[name]
    config = ModelConfig(
        cell=cell,
        units=6,
        layers=layers,
        embedding=embedding,
        bidirectional=both,
        attention=attention,
        bridge=bridge,
    )
    model = Seq2Seq(config, SOURCES, TARGETS)
    random = np.random.default_rng(1)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(
        lambda leaf: random.normal(0, 0.9 if leaf.ndim > 1 else 0.2, leaf.shape).astype(
            np.float32
        ),
        shapes,
    )
    params["decoder"]["output_bias"][EOS] = -3.0  # outputs of some length
    decode = DecodeConfig(length_ratio=1.0, length_extra=4)
    config = dataclasses.replace(Config(), model=config, decode=decode)
    return System.of(model, config, params)


@pytest.mark.parametrize(
    ("strategy", "name"),
    [(strategy, name) for strategy, names in STRATEGIES.items() for name in names],
)
def test_the_peer_writes_what_ours_writes(chunk, strategy, name):
    chosen = system(name)
    config = with_decode(chosen.config, strategy=strategy)
    chosen = System(chosen.models, config, chosen.params)
    ours = Ours(chosen, [chunk]).decode(chunk)
    theirs = table.implementations(chosen, strategy, [chunk], [ONE])
    assert set(theirs) == {"torch"} | ({"torch_loop"} if "beam" in strategy else set())
    for (implementation,) in theirs.values():
        tokens = implementation.decode(chunk)
        width = ours.tokens.shape[-1]
        tokens = np.pad(tokens, ((0, 0), (0, width - tokens.shape[1])))
        np.testing.assert_array_equal(tokens, ours.tokens[:, 0])
        # Outputs differ between sources, so that a mistake would be seen.
        assert len(np.unique(tokens, axis=0)) > SIZE / 4


def test_pytorch_may_decode_several_batches_at_once(chunk):
    (theirs,) = table.implementations(
        system("lstm"), "greedy", [chunk], [Way(1, 2)]
    ).values()
    one, other = decode_all(theirs[0], [chunk, chunk])
    np.testing.assert_array_equal(one, other)
    assert table.ways()[0].at_once == 1


@pytest.mark.parametrize(
    "strategy",
    ["sample", "beam:no_repeat=2", "beam:coverage=0.2", "greedy:min_extra=2"],
)
def test_what_has_no_counterpart_is_left_out(chunk, strategy):
    assert table.counterpart(strategy) is None
    assert table.implementations(system("lstm"), strategy, [chunk], [ONE]) == {}


def test_a_missing_pytorch_is_said_in_one_line(monkeypatch):
    table.check_installed()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r"s2sjax\[peers\]"):
        table.check_installed()


def test_an_empty_source_is_left_out(chunk):
    batch = chunk.batch._replace(source_lengths=jnp.zeros(SIZE, jnp.int32))
    empty = chunk._replace(batch=batch)
    assert table.implementations(system("lstm"), "greedy", [empty], [ONE]) == {}

"""Parameters before training: how many, how drawn, and what does not move them."""

import itertools
from functools import partial

import jax
import numpy as np
import pytest

from s2sjax.config import ModelConfig
from s2sjax.models.cells import build
from s2sjax.models.layer import Layer
from s2sjax.models.seq2seq import Seq2Seq, parameter_count

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
CHOICES = list(
    itertools.product(
        ("lstm", "gru", "rnn"),
        ("none", "bahdanau:units=7"),
        (0, 3),
        (1, 3),
        (False, True),
    )
)[::5]  # in which every two choices meet
QUICK = {"xla_backend_optimization_level": 0}


def layer(cell, units, inputs, context=0):
    extra = units if cell == "gru" else 0  # its recurrent bias
    return GATES[cell] * units * (inputs + units + context + 1) + extra


def expected_count(config, source, target):
    units, sides = config.units, 1 + config.bidirectional
    memory = units * sides
    first = (config.embedding or source, config.embedding or target)
    attends = config.attention != "none"
    count = (source + target) * config.embedding
    for depth in range(config.layers):
        read = memory if depth else first[0]
        count += sides * layer(config.cell, units, read)
        read, context = (units, 0) if depth else (first[1], memory * attends)
        count += layer(config.cell, units, read, context)
    if config.bridge == "dense":
        parts = 2 if config.cell == "lstm" else 1
        count += config.layers * parts * (memory + 1) * units
    if attends:
        count += 7 * (units + memory + 2)  # queries, keys, bias, score
        count += (units + memory + 1) * units  # the readout
    return count + target * (units + 1)


def test_the_number_of_parameters_follows_the_formula():
    for cell, attention, embedding, layers, bidirectional in CHOICES:
        for bridge in ("dense", "zero") if bidirectional else ("copy", "dense"):
            config = ModelConfig(
                cell=cell,
                units=5,
                layers=layers,
                embedding=embedding,
                bidirectional=bidirectional,
                attention=attention,
                bridge=bridge,
            )
            model = Seq2Seq(config, 6, 9)
            shapes = jax.eval_shape(model.init, jax.random.key(0))
            assert parameter_count(shapes) == expected_count(config, 6, 9), config


def test_a_count_done_by_hand():
    # LSTM of 2 units on one-hot input of 3, no attention: 4*2*(3+2+1) on each side,
    # and 3*(2+1) for the output.
    config = ModelConfig(cell="lstm", units=2, embedding=0)
    shapes = jax.eval_shape(Seq2Seq(config, 3, 3).init, jax.random.key(0))
    assert parameter_count(shapes) == 48 + 48 + 9


def drawn(embedding, source, target, cell="rnn"):
    config = ModelConfig(cell=cell, units=3, embedding=embedding)
    return Seq2Seq(config, source, target).init


@pytest.mark.parametrize("embedding", [0, 4], ids=["onehot", "embedding"])
def test_a_larger_vocabulary_changes_no_row_drawn(embedding):
    key = jax.random.key(3)
    sizes = ((6, 7), (9, 12))
    small, large = jax.jit(
        lambda key: [drawn(embedding, *size)(key) for size in sizes],
        compiler_options=QUICK,
    )(key)
    grown = 0
    for (path, one), other in zip(
        jax.tree_util.tree_leaves_with_path(small), jax.tree.leaves(large), strict=True
    ):
        grown += one.shape != other.shape
        np.testing.assert_array_equal(one, other[: len(one)], err_msg=str(path))
    assert grown == 4  # both inputs, the output's kernel and its bias


def test_initialisation_under_map_is_a_loop():
    keys = jax.random.split(jax.random.key(1), 2)
    one = jax.jit(drawn(0, 6, 7))
    together = jax.jit(lambda keys: jax.lax.map(drawn(0, 6, 7), keys))(keys)
    singles = [one(key) for key in keys]
    for index, single in enumerate(singles):
        for a, b in zip(
            jax.tree.leaves(together), jax.tree.leaves(single), strict=True
        ):
            np.testing.assert_array_equal(a[index], b)
    kernels = [params["encoder"]["forward_0"]["input_kernel"] for params in singles]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.1
    assert np.abs(kernels).max() <= 3**-0.5


def drawn_layer(cell):
    layer = Layer(build(cell, 3), 2)
    draw = jax.jit(partial(layer.init, method="parameters"), compiler_options=QUICK)
    return draw(jax.random.key(0))["params"]


def test_a_recurrent_kernel_is_one_orthogonal_block_for_each_gate():
    blocks = np.split(np.asarray(drawn_layer("lstm")["recurrent_kernel"]), 4, axis=1)
    for index, block in enumerate(blocks):
        np.testing.assert_allclose(block @ block.T, np.eye(3), atol=1e-5)
        assert all(np.abs(block - other).max() > 0.1 for other in blocks[:index])


def test_the_forget_gate_starts_open_and_no_other():
    bias = drawn_layer("lstm")["bias"]
    np.testing.assert_array_equal(bias, [0] * 3 + [1] * 3 + [0] * 6)
    for cell in ("gru", "rnn"):
        params = drawn_layer(cell)
        assert all((params[name] == 0).all() for name in params if "bias" in name)

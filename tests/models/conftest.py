"""Small models that cover every pair of choices, each compiled once for all tests."""

import types
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.config import ModelConfig
from s2sjax.models.dropout import Dropout, scales
from s2sjax.models.seq2seq import Seq2Seq
from tests import oracles

SOURCE_VOCABULARY, TARGET_VOCABULARY = 7, 8
UNITS, EMBEDDING = 4, 3
LENGTHS = (5, 1, 0, 3)  # full, one symbol, empty, between
STEPS = 4
# Compiling is what these tests cost.
QUICK = {"xla_backend_optimization_level": 0}
# Every two of (cell, attention, embedding, layers, directions) meet in some row.
# Every two of (cell, attention, embedding, layers, directions) meet in some row, and
# every context. All kinds of attention are looked at alone in `test_attention.py`.
ADDITIVE, HEADS = "bahdanau:units=5", "multi_head:heads=2"
LOCATION = "location_sensitive:width=3,filters=2,cumulative=true"
SHAPES = {
    "lstm-attention-bi-2": ("lstm", ADDITIVE, "cell", EMBEDDING, 2, True, "dense"),
    "lstm-onehot": ("lstm", "none", "cell", 0, 1, False, "copy"),
    "gru-attention-onehot-bi": ("gru", ADDITIVE, "cell", 0, 1, True, "dense"),
    "gru-2": ("gru", "none", "cell", EMBEDDING, 2, False, "copy"),
    "rnn-attention": ("rnn", ADDITIVE, "cell", EMBEDDING, 1, False, "zero"),
    "rnn-onehot-bi-2": ("rnn", "none", "cell", 0, 2, True, "dense"),
    "lstm-readout-2": ("lstm", HEADS, "readout", EMBEDDING, 2, False, "copy"),
    "gru-feeding-2": ("gru", LOCATION, "input_feeding", EMBEDDING, 2, True, "dense"),
    "rnn-feeding-onehot": ("rnn", "dot", "input_feeding", 0, 1, False, "copy"),
    "gru-before": ("gru:reset=before", ADDITIVE, "cell", EMBEDDING, 1, True, "mean"),
    "layernorm": ("layernorm_lstm", ADDITIVE, "cell", EMBEDDING, 1, False, "learned"),
    "mingru-2": ("mingru", ADDITIVE, "cell", 0, 2, True, "copy:direction=backward"),
    "tied": ("rnn", "none", "cell", UNITS, 1, False, "copy"),
    "tied-other-size": ("gru", ADDITIVE, "cell", EMBEDDING, 2, False, "dense"),
    "shared": ("lstm", "none", "cell", EMBEDDING, 1, True, "dense"),
    "constant-bi-2": ("lstm", "none", "constant", EMBEDDING, 2, True, "dense"),
    "constant-latent-2": ("lstm", "none", "constant", 0, 2, True, "copy"),
    "latent": ("gru", "none", "cell", EMBEDDING, 1, False, "copy"),
    "shared-tied": ("rnn", "dot", "input_feeding", EMBEDDING, 1, False, "copy"),
}


def shape_config(
    cell, attention, context, embedding, layers, bidirectional, bridge, **tables
):
    return ModelConfig(
        cell=cell,
        units=UNITS,
        layers=layers,
        embedding=embedding,
        bidirectional=bidirectional,
        attention=attention,
        context=context,
        bridge=bridge,
        **tables,
    )


def drawn_params(model, seed=0):
    """Parameters of which none is zero, so that none can be forgotten unnoticed."""
    random = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(
        lambda leaf: random.normal(0, 0.5, leaf.shape).astype(np.float32), shapes
    )


def inputs(lengths=LENGTHS, width=5, seed=1):
    """Source with random padding, lengths, gold inputs and weights of a loss."""
    random = np.random.default_rng(seed)
    batch = len(lengths)
    source = random.integers(2, SOURCE_VOCABULARY, (batch, width), np.int32)
    gold = random.integers(1, TARGET_VOCABULARY, (batch, STEPS), np.int32)
    weights = {
        "logits": random.normal(size=(batch, STEPS, TARGET_VOCABULARY)),
        "attention": random.normal(size=(batch, STEPS, width)),
    }
    return (
        source,
        np.array(lengths, np.int32),
        gold,
        jax.tree.map(np.float32, weights),
    )


def loss(output, weights):
    """A weighted sum of all that a decoder says."""
    finite = jnp.isfinite(output.logits)
    total = jnp.sum(jnp.where(finite, output.logits, 0) * weights["logits"])
    if "attention" in output.aux:
        total += jnp.sum(output.aux["attention"] * weights["attention"])
    return total


def forced(model, params, source, lengths, gold, dropout):
    return model.apply({"params": params}, source, lengths, gold, dropout)


def stepped(model, params, source, lengths, gold, dropout):
    apply = partial(model.apply, {"params": params})
    encoded = apply(source, lengths, dropout, method="encode")
    states, memory = apply(encoded, dropout, method="start")
    noise = apply(dropout, gold.shape[1], method="noise")

    def step(carry, x):
        time, states = carry
        now = jax.tree.map(lambda drawn: drawn[:, time], noise)
        states, output = apply(states, x, memory, now, method="step")
        return (time + 1, states), output

    _, outputs = jax.lax.scan(step, (jnp.int32(0), states), gold.T)
    return jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), outputs)


def freed(model, params, source, lengths, gold, dropout):
    """Free running that is fed the gold tokens all the same."""
    apply = partial(model.apply, {"params": params})
    state, memory = apply(
        apply(source, lengths, dropout, method="encode"), dropout, method="start"
    )
    noise = apply(dropout, gold.shape[1], method="noise")
    feed = lambda logits, gold, x: gold  # noqa: E731
    return apply(state, memory, gold, feed, (), noise, method="free")


def all_paths(model, params, source, lengths, gold, weights, seeds, rates):
    """Outputs and gradients of the forced, the stepped and the free-running path."""
    named = dict(zip(("embedding", "state", "output"), rates, strict=True))
    dropout = Dropout(jax.vmap(jax.random.key)(seeds), named)
    results = {}
    for name, path in (("forced", forced), ("stepped", stepped), ("free", freed)):

        def total(params, path=path):
            output = path(model, params, source, lengths, gold, dropout)
            return loss(output, weights), output

        gradient, output = jax.grad(total, has_aux=True)(params)
        results[name] = output, gradient
    return results


def dropout_of(config, seed, rates, width):
    """The dropout factors of one example by name, as `oracles.Model` takes them."""
    keys = jax.random.key(seed)[None]
    embedding, state, output = rates
    size = config.embedding or 1
    memory = config.units * (1 + config.bidirectional)
    wanted = {
        "source": (embedding, (width, size)),
        "target": (embedding, (STEPS, size)),
        "decoder": (output, (STEPS, config.layers, config.units)),
    }
    for depth in range(config.layers):
        wanted[f"encoder_{depth}"] = output, (width, memory)
        for part in range(oracles.state_parts(config.cell)):
            wanted[f"state_{depth}_{part}"] = state, (config.units,)
    return {
        name: np.asarray(scales(keys, name, rate, shape)[0])
        for name, (rate, shape) in wanted.items()
    }


@pytest.fixture(scope="session", params=SHAPES, ids=list(SHAPES))
def small(request):
    tables = {
        "share_embeddings": "shared" in request.param,
        "tie_output": "tied" in request.param,
        "latent": 3 if "latent" in request.param else 0,
    }
    config = shape_config(*SHAPES[request.param], **tables)
    # Shared, a source has what a target has, and may have more.
    more = "tied" in request.param
    source = TARGET_VOCABULARY + more if config.share_embeddings else SOURCE_VOCABULARY
    model = Seq2Seq(config, source, TARGET_VOCABULARY)
    params = drawn_params(model)
    return types.SimpleNamespace(
        config=config,
        model=model,
        params=params,
        run=jax.jit(partial(all_paths, model), compiler_options=QUICK),
        inputs=inputs,
        loss=loss,
        dropout_of=partial(dropout_of, config),
        seeds=np.arange(10, 10 + len(LENGTHS), dtype=np.uint32),
    )

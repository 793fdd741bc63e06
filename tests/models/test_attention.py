"""Every kind of attention alone: against numpy, autodiff and PyTorch; its edges."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax.config import ModelConfig
from s2sjax.errors import UsageError
from s2sjax.models.attention import (
    ATTENTIONS,
    Multiplicative,
    bahdanau,
    build_attention,
)
from s2sjax.models.attention.dot import DotAttention, DotMemory
from s2sjax.models.attention.softmax import masked_softmax
from s2sjax.models.base import Encoded
from s2sjax.models.cells.lstm import LSTM
from s2sjax.models.decoder import Decoder
from s2sjax.models.inputs import Embedding
from s2sjax.models.readout import Categorical
from s2sjax.models.scan import plain_scan, run_step, scan
from s2sjax.models.seq2seq import Seq2Seq
from tests import oracles

T, B, S, D, C = 3, 4, 5, 4, 6
LENGTHS = (5, 1, 0, 3)
MASK = np.arange(S)[None] < np.array(LENGTHS)[:, None]
QUICK = {"xla_backend_optimization_level": 0}
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
KINDS = (
    "bahdanau:units=3",
    "dot",
    "general",
    "scaled_dot:units=3",
    "location_sensitive:units=3,filters=2,width=3",
    "location_sensitive:filters=2,width=5,cumulative=true",
    "multi_head:heads=2",
    "multi_head:heads=3,units=6",
)


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    """A kind with drawn parameters, and what it looks at."""
    size = D if request.param == "dot" else C
    module = build_attention(request.param, D, size)
    random = np.random.default_rng(0)
    values = random.normal(size=(B, S, size)).astype(np.float32)
    queries = random.normal(size=(T, B, D)).astype(np.float32)
    shapes = jax.eval_shape(
        partial(module.init, method="memory"), jax.random.key(0), encoded(values)
    )
    params = jax.tree.map(
        lambda leaf: random.normal(size=leaf.shape).astype(np.float32), shapes
    )
    return request.param, module, params, queries, values


def encoded(values):
    return Encoded(values, MASK, ())


def looks(which, module, params, queries, values):
    """A look at each step: contexts [T, B, C], the last state, and the reports."""
    memory = module.apply(params, encoded(values), method="memory")
    weights = module.apply(params, memory, method="weights")

    def step(dot, state, query, memory):
        context, state, aux = module.look(dot, query, memory, state)
        return state, (context, aux)

    first = module.start(memory)
    last, (contexts, aux) = which(step, weights, {}, first, queries, memory)
    return contexts, last, aux


def test_a_kind_is_its_equation_in_numpy(kind):
    spec, module, params, queries, values = kind
    run = jax.jit(partial(looks, scan, module), compiler_options=QUICK)
    contexts, _, aux = run(params, queries, values)
    drawn = oracles.to_float64(params.get("params", {}))
    for row, length in enumerate(LENGTHS):
        last = None
        for time, query in enumerate(queries[:, row].astype(np.float64)):
            real = values[row, :length].astype(np.float64)
            context, heads, last = oracles.look(spec, drawn, query, real, last)
            close(contexts[time, row], context, rtol=1e-4, atol=1e-5)
            close(aux["attention"][time, row, :length], heads.mean(axis=0), rtol=1e-4)
            if len(heads) > 1:
                close(aux["heads"][time, row, :, :length], heads, rtol=1e-4)
    for looked in aux.values():
        padding = np.broadcast_to(
            ~np.expand_dims(MASK, tuple(range(1, looked.ndim - 2))), looked.shape[1:]
        )
        assert (np.asarray(looked)[:, padding] == 0).all()


def test_the_gradients_of_a_kind_are_those_of_autodiff(kind, monkeypatch):
    _, module, *arguments = kind
    monkeypatch.setattr(
        bahdanau,
        "additive_energies",
        lambda query, keys, score, powers: bahdanau.plain_energies(query, keys, score),
    )

    def total(which, *arguments):
        contexts, _, aux = looks(which, module, *arguments)
        ramp = jnp.arange(S, dtype=contexts.dtype)
        return jnp.sum(jnp.sin(contexts)) + sum(
            jnp.sum(jnp.expand_dims(ramp, range(looked.ndim - 1)) * looked**2)
            for looked in aux.values()
        )

    plain = jax.grad(partial(total, plain_scan), argnums=(0, 1, 2))
    expected = jax.jit(plain, compiler_options=QUICK)(*arguments)
    monkeypatch.undo()
    ours = jax.grad(partial(total, scan), argnums=(0, 1, 2))
    found = jax.jit(ours, compiler_options=QUICK)(*arguments)
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(found),
        jax.tree.leaves(expected),
        strict=True,
    ):
        # What is added to all keys alike adds nothing to a softmax.
        assert np.abs(b).max() > 1e-3 or "key_bias" in jax.tree_util.keystr(path)
        close(a, b, rtol=1e-4, atol=1e-5)


def test_padding_and_neighbours_change_nothing(kind):
    _, module, params, queries, values = kind

    @partial(jax.jit, compiler_options=QUICK)
    def run(params, query, values, mask):
        memory = module.apply(params, Encoded(values, mask, ()), method="memory")
        weights = module.apply(params, memory, method="weights")
        state = module.start(memory)
        step = lambda dot, state, query, memory: module.look(dot, query, memory, state)  # noqa: E731
        context, state, _ = run_step(step, weights, {}, state, query, memory)
        return run_step(step, weights, {}, state, query + context[:, :1], memory)[0]

    whole = run(params, queries[0], values, MASK)
    other = np.where(MASK[:, :, None], values, values + 1)
    wide = np.pad(other, ((0, 0), (0, 3), (0, 0)), constant_values=9.0)
    padded = run(params, queries[0], wide, np.pad(MASK, ((0, 0), (0, 3))))
    close(padded, whole)
    alone = run(params, queries[0, 3:], values[3:, :3], MASK[3:, :3])
    close(alone[0], whole[3])


REFUSED = {
    "luong": "unknown model.attention 'luong'",
    "bahdanu": "did you mean 'bahdanau'?",
    "bahdanau:unit=3": "did you mean 'units'?",
    "bahdanau:units=-1": "units=-1",
    "general:units=3": "units",
    "bahdanau:name=x": "name",
    "dot": "one size; 8 and 16 came; use attention=general",
    "multi_head:heads=3": "8 units do not divide into heads=3",
    "location_sensitive:width=4": "width=4 is even",
    "location_sensitive:filters=0": "filters=0",
}


@pytest.mark.parametrize("spec", REFUSED)
def test_what_cannot_be_is_refused_where_a_model_is_made(spec):
    with pytest.raises(UsageError) as error:
        Seq2Seq(
            ModelConfig(units=8, attention=spec, bidirectional=True, bridge="zero"),
            14,
            14,
        )
    assert REFUSED[spec] in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("context", ["readout", "input_feeding", "cel", "cell:size=3"])
def test_a_context_that_cannot_be_is_refused(context):
    with pytest.raises(UsageError, match=r"model\.context"):
        Seq2Seq(ModelConfig(units=8, context=context), 14, 14)


class Narrow(Multiplicative):
    """Its context is not what the readout takes."""

    def memory(self, encoded):
        values = encoded.memory[..., :2]
        return DotMemory(values.swapaxes(1, 2), values, encoded.mask)

    def look(self, dot, query, memory, state):
        return super().look(dot, query[:, :2], memory, state)


class Changing(DotAttention):
    def look(self, dot, query, memory, state):
        context, _, aux = super().look(dot, query, memory, state)
        return context, (aux["attention"],), aux


class Silent(DotAttention):
    def look(self, dot, query, memory, state):
        return (*super().look(dot, query, memory, state)[:2], {})


FOREIGN = {
    Narrow: "the context is float32[2, 2] for a batch of 2, and not float32[2, 8]",
    Changing: "the new state is (float32[2, 3],) for a batch of 2, and not ()",
    Silent: "aux['attention'] is None for a batch of 2",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_module_that_is_no_attention_is_refused_by_shape(kind):
    module = kind() if kind is Narrow else kind(8, 8)
    with pytest.raises(UsageError) as error:
        Decoder(Embedding(9, 8), Categorical(9), LSTM(8), 8, attention=module)
    assert f"{kind.__name__}: {FOREIGN[kind]}" in str(error.value)


def test_each_kind_is_tried():
    assert {spec.partition(":")[0] for spec in KINDS} == ATTENTIONS.keys() - {"none"}


@settings(max_examples=40, deadline=None)
@given(
    units=st.integers(1, 6),
    largest=st.sampled_from([1e-3, 1.0, 10.0, 21.0, 43.0]),
    seed=st.integers(0, 99),
)
def test_energies_by_powers_are_those_of_tanh(units, largest, seed):
    random = np.random.default_rng(seed)
    query, keys = (
        random.uniform(-largest, largest, shape).astype(np.float32)
        for shape in ((B, units), (B, S, units))
    )
    keys[0] = -query[:1]  # where two large numbers cancel
    score = random.normal(size=units).astype(np.float32)
    by_powers = jax.jit(bahdanau.additive_energies)
    energies = by_powers(query, keys, score, bahdanau.power(keys))
    wide = keys.astype(np.float64) + query.astype(np.float64)[:, None]
    np.testing.assert_allclose(
        energies, np.tanh(wide) @ score, atol=2e-6 * np.abs(score).sum()
    )


def test_energies_of_saturated_units_are_finite_and_those_of_nan_are_not():
    query = np.array([[100.0], [-100.0], [np.nan]], np.float32)
    keys = np.array([[[90.0], [-90.0]]] * 3, np.float32)
    powers, score = bahdanau.power(keys), np.ones(1, np.float32)
    by_powers = jax.jit(bahdanau.additive_energies)
    energies = np.asarray(by_powers(query, keys, score, powers))
    assert energies[0, 0] == 1 and energies[1, 1] == -1
    assert np.isfinite(energies[:2]).all() and np.isnan(energies[2]).all()


def test_a_masked_softmax_is_finite_at_any_size_of_energies():
    energies = np.array(
        [[1e4, 1e4, -1e4], [-3e38, 3e38, 1.0], [1.0, 2.0, 3.0], [7.0, 1.0, 2.0]],
        np.float32,
    )
    mask = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 0, 1]], bool)

    @jax.jit
    def both(energies):
        gradient = jax.grad(lambda e: jnp.sum(masked_softmax(e, mask)[:, 0]))
        return masked_softmax(energies, mask), gradient(energies)

    weights, gradient = both(energies)
    e = np.exp(-5.0)
    close(weights, [[0.5, 0.5, 0], [1, 0, 0], [0, 0, 0], [1 / (1 + e), 0, e / (1 + e)]])
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[~mask] == 0).all()


# Rows with a source: PyTorch has NaN for one without.
REAL = [row for row, length in enumerate(LENGTHS) if length]


@pytest.mark.compat
@pytest.mark.parametrize("heads", [1, 2])
def test_multi_head_is_that_of_pytorch(heads):
    torch = pytest.importorskip("torch")
    module = build_attention(f"multi_head:heads={heads},units=6", 6, C)
    random = np.random.default_rng(1)
    theirs = torch.nn.MultiheadAttention(6, heads, kdim=C, vdim=C, batch_first=True)
    names = {"query": "q", "key": "k", "value": "v"}
    params = {}
    for name, letter in names.items():
        weight = getattr(theirs, f"{letter}_proj_weight", None)
        if weight is None:  # all of one size are one matrix
            place = list(names).index(name)
            weight = theirs.in_proj_weight[place * 6 : place * 6 + 6]
        params[f"{name}_kernel"] = weight.detach().numpy().T
        params[f"{name}_bias"] = random.normal(size=6).astype(np.float32)
    biases = np.concatenate([params[f"{name}_bias"] for name in names])
    params["output_kernel"] = theirs.out_proj.weight.detach().numpy().T
    params["output_bias"] = random.normal(size=C).astype(np.float32)
    with torch.no_grad():
        theirs.in_proj_bias.copy_(torch.from_numpy(biases))
        theirs.out_proj.bias.copy_(torch.from_numpy(params["output_bias"]))
    values, queries = (
        random.normal(size=shape).astype(np.float32) for shape in ((B, S, C), (1, B, 6))
    )
    given = torch.from_numpy(values[REAL])
    with torch.no_grad():
        expected, weights = theirs(
            torch.from_numpy(queries[0, REAL])[:, None],
            given,
            given,
            key_padding_mask=torch.from_numpy(~MASK[REAL]),
            average_attn_weights=False,
        )
    contexts, _, aux = looks(scan, module, {"params": params}, queries, values)
    close(contexts[0, np.array(REAL)], expected[:, 0].numpy(), rtol=1e-4, atol=1e-5)
    close(aux["heads"][0, np.array(REAL)], weights[:, :, 0].numpy(), rtol=1e-4)


@pytest.mark.compat
def test_scaled_dot_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    module = build_attention("scaled_dot:units=3", D, C)
    random = np.random.default_rng(2)
    query_kernel, key_kernel, values, queries = (
        random.normal(size=shape).astype(np.float32)
        for shape in ((D, 3), (C, 3), (B, S, C), (1, B, D))
    )
    params = {"query_kernel": query_kernel, "key_kernel": key_kernel}
    contexts, _, _ = looks(scan, module, {"params": params}, queries, values)
    given = queries[0, REAL] @ query_kernel, values[REAL] @ key_kernel, values[REAL]
    query, keys, values = (torch.from_numpy(each) for each in given)
    expected = functional.scaled_dot_product_attention(
        query[:, None], keys, values, attn_mask=torch.from_numpy(MASK[REAL])[:, None]
    )
    close(contexts[0, np.array(REAL)], expected[:, 0].numpy(), rtol=1e-4, atol=1e-5)

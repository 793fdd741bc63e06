"""Encoders against the layers of PyTorch and of Keras, on the same weights."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.config import ModelConfig
from s2sjax.models.cells import build
from s2sjax.models.encoder import Encoder
from s2sjax.models.inputs import Embedding
from s2sjax.models.seq2seq import Seq2Seq
from s2sjax.training.by_hand import nll
from s2sjax.types import BOS, EOS, Batch
from tests import oracles

pytestmark = pytest.mark.compat
VOCABULARY, EMBEDDING, UNITS, LAYERS = 6, 3, 4, 2
LENGTHS = np.array([5, 1, 3], np.int32)
QUICK = {"xla_backend_optimization_level": 0}
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)


def random_like(shapes, seed=0):
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: random.normal(0, 0.4, leaf.shape).astype(np.float32), shapes
    )


def encoder_of(cell):
    encoder = Encoder(
        Embedding(VOCABULARY, EMBEDDING), build(cell, UNITS), LAYERS, True
    )
    source = np.random.default_rng(1).integers(0, VOCABULARY, (3, 5), np.int32)
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), source, LENGTHS)
    return encoder, source, random_like(shapes["params"])


def weighted_sum(memory, states, weights):
    """A scalar of all that an encoder returns; states are [B, D]."""
    total = (memory * weights[0]).sum()
    leaves = [part for sides in states for state in sides for part in state]
    for leaf, weight in zip(leaves, weights[1:], strict=True):
        total = total + (leaf * weight).sum()
    return total


def torch_layer(torch, cell, params):
    """The torch module that holds the parameters, and how to find them in it."""
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell]
    module = kind(
        EMBEDDING, UNITS, num_layers=LAYERS, bidirectional=True, batch_first=True
    )
    names = {}
    for depth in range(LAYERS):
        for side, suffix in (("forward", ""), ("backward", "_reverse")):
            names[f"{side}_{depth}"] = f"l{depth}{suffix}"
    with torch.no_grad():
        for ours, theirs in names.items():
            layer = params[ours]
            values = {
                "weight_ih": layer["input_kernel"].T,
                "weight_hh": layer["recurrent_kernel"].T,
                "bias_ih": layer["bias"],
                "bias_hh": np.zeros_like(layer["bias"]),
            }
            if cell == "gru":
                values["bias_hh"][2 * UNITS :] = layer["recurrent_bias"]
            for name, value in values.items():
                parameter = getattr(module, f"{name}_{theirs}")
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    return module, names


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_an_encoder_is_that_of_pytorch(cell):
    torch = pytest.importorskip("torch")
    encoder, source, params = encoder_of(cell)
    parts = 2 if cell == "lstm" else 1
    shapes = [(3, 5, 2 * UNITS), *[(3, UNITS)] * (LAYERS * 2 * parts)]
    random = np.random.default_rng(2)
    weights = [random.normal(size=shape).astype(np.float32) for shape in shapes]

    def ours(params):
        encoded = encoder.apply({"params": params}, source, LENGTHS)
        # PyTorch writes zeros at padded steps, where ours carries the state.
        memory = jnp.where(encoded.mask[:, :, None], encoded.memory, 0)
        total = weighted_sum(memory, encoded.states, weights)
        return total, (memory, encoded.states)

    gradient, (memory, states) = jax.jit(
        jax.grad(ours, has_aux=True), compiler_options=QUICK
    )(params)

    module, names = torch_layer(torch, cell, params)
    table = torch.tensor(params["embed"]["table"], requires_grad=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        table[torch.from_numpy(source).long()],
        torch.from_numpy(LENGTHS).long(),
        batch_first=True,
        enforce_sorted=False,
    )
    output, final = module(packed)
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=True)
    final = final if cell == "lstm" else (final,)
    their_states = [
        [tuple(part[2 * depth + side] for part in final) for side in range(2)]
        for depth in range(LAYERS)
    ]
    weighted_sum(
        output, their_states, [torch.from_numpy(weight) for weight in weights]
    ).backward()

    close(memory, output.detach().numpy())
    for a, b in zip(
        jax.tree.leaves(states), jax.tree.leaves(their_states), strict=True
    ):
        close(a, b.detach().numpy())
    close(gradient["embed"]["table"], table.grad.numpy())
    for our_name, their_name in names.items():
        layer = gradient[our_name]
        theirs = {
            name: getattr(module, f"{name}_{their_name}").grad.numpy()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        close(layer["input_kernel"], theirs["weight_ih"].T)
        close(layer["recurrent_kernel"], theirs["weight_hh"].T)
        close(layer["bias"], theirs["bias_ih"])
        if cell == "gru":
            close(layer["recurrent_bias"], theirs["bias_hh"][2 * UNITS :])


def as_keras(cell, kernel, recurrent_kernel, bias, recurrent_bias=None):
    """Our parameters of a layer as Keras has them."""
    if cell == "lstm":
        return kernel, recurrent_kernel, bias

    def reordered(a):
        r, u, n = np.split(a, 3, axis=-1)
        return np.concatenate([u, r, n], axis=-1)

    if recurrent_bias is None:
        return reordered(kernel), reordered(recurrent_kernel), reordered(bias)
    added = np.concatenate([np.zeros(2 * UNITS, np.float32), recurrent_bias])
    both = np.stack([reordered(bias), added])
    return reordered(kernel), reordered(recurrent_kernel), both


@pytest.fixture(scope="module", params=["lstm", "gru", "gru:reset=before"])
def layer(request):
    """A layer's outputs [B, T, D] and gradient on given inputs and weights."""
    cell = build(request.param, UNITS)
    gates = (4 if request.param == "lstm" else 3) * UNITS
    shapes = {
        "kernel": (EMBEDDING, gates),
        "recurrent_kernel": (UNITS, gates),
        "bias": (gates,),
    }
    if request.param == "gru":
        shapes["recurrent_bias"] = (UNITS,)
    params = random_like({n: np.zeros(s) for n, s in shapes.items()}, seed=3)
    random = np.random.default_rng(4)
    xs = random.normal(size=(2, 5, EMBEDDING)).astype(np.float32)
    weights = random.normal(size=(2, 5, UNITS)).astype(np.float32)

    def total(params):
        z = jnp.einsum("bti,ig->tbg", xs, params["kernel"]) + params["bias"][None, None]
        zeros = tuple(jnp.zeros((2, UNITS)) for _ in cell.names)
        _, outputs = cell.run(params, z, None, zeros)
        outputs = outputs.swapaxes(0, 1)
        return jnp.sum(outputs * weights), outputs

    run = jax.jit(jax.grad(total, has_aux=True), compiler_options=QUICK)
    return request.param, params, xs, weights, run(params)


def test_a_layer_has_the_equations_of_keras(layer):
    cell, params, xs, _, (_, outputs) = layer
    reference = {
        "lstm": oracles.keras_lstm,
        "gru": oracles.keras_gru,
        "gru:reset=before": oracles.keras_gru_reset_before,
    }[cell]
    given = as_keras(cell, **params)
    close(outputs, [reference(row, *given) for row in xs])


def test_a_layer_is_that_of_keras(layer):
    keras = pytest.importorskip("keras", exc_type=ImportError)
    if keras.backend.backend() != "jax":
        pytest.skip("takes Keras on jax: KERAS_BACKEND=jax")
    cell, params, xs, weights, (gradient, outputs) = layer
    kind = {
        "lstm": keras.layers.LSTM,
        "gru": keras.layers.GRU,
        "gru:reset=before": partial(keras.layers.GRU, reset_after=False),
    }[cell]
    theirs = kind(UNITS, return_sequences=True)
    with jax.numpy_rank_promotion("allow"):
        theirs.build(xs.shape)
        theirs.set_weights(as_keras(cell, **params))

    def total(variables):
        result, _ = theirs.stateless_call(variables, fixed, xs)
        return jnp.sum(result * weights), result

    variables = [variable.value for variable in theirs.trainable_variables]
    fixed = [variable.value for variable in theirs.non_trainable_variables]
    with jax.numpy_rank_promotion("allow"):
        given, result = jax.grad(total, has_aux=True)(variables)
    close(outputs, result)
    # Keras has every bias of a GRU twice; of the second, ours keeps the last block.
    kernel, recurrent_kernel, bias = as_keras(
        cell, **jax.tree.map(np.asarray, gradient)
    )
    close(kernel, given[0])
    close(recurrent_kernel, given[1])
    if cell == "gru":
        close(bias[0], given[2][0])
        close(bias[1][2 * UNITS :], given[2][1][2 * UNITS :])
    else:
        close(bias, given[2])


def test_a_constant_context_that_reads_nothing_is_the_repeated_vector_of_keras():
    """`Sequential([LSTM, RepeatVector, LSTM(return_sequences=True), Dense])`."""
    shape = {"units": UNITS, "embedding": EMBEDDING, "bridge": "zero"}
    config = ModelConfig(**shape, context="constant")
    model = Seq2Seq(config, VOCABULARY, VOCABULARY, reads=False)
    params = random_like(jax.eval_shape(model.init, jax.random.key(0)))
    source = np.array([[4, 5, 4]], np.int32)
    inputs = np.array([[BOS, 4, 5, 4]], np.int32)  # the last three are not looked at
    logits = model.apply({"params": params}, source, np.array([3]), inputs).logits
    reader, writer = params["encoder"], params["decoder"]

    def layer(xs, kernel, named, bias):
        return oracles.keras_lstm(xs, kernel, named["recurrent_kernel"], bias)

    first = reader["forward_0"]
    xs = reader["embed"]["table"][source[0]]
    vector = layer(xs, first["input_kernel"], first, first["bias"])[-1]
    second = writer["layer_0"]
    # What BOS enters at every step is a bias more.
    bias = second["bias"] + writer["embed"]["table"][BOS] @ second["input_kernel"]
    hs = layer(np.tile(vector, (4, 1)), second["context_kernel"], second, bias)
    wanted = hs @ writer["output_kernel"].T + writer["output_bias"]
    close(logits[0, :, EOS:], wanted[:, EOS:])


def test_a_layer_normalised_lstm_is_that_of_torch_norms():
    """`layer_norm` of PyTorch over all gates, in a loop, values and gradients."""
    torch = pytest.importorskip("torch")
    norm, cell = torch.nn.functional.layer_norm, build("layernorm_lstm", UNITS)
    draws = cell.parameters(EMBEDDING, 0, lambda key, shape: jnp.zeros(shape))
    shapes = {n: jax.eval_shape(draw, jax.random.key(0)) for n, draw in draws.items()}
    params = random_like(shapes, 3)
    xs = random_like(np.zeros((5, 2, EMBEDDING)), 4)
    weights = random_like(np.zeros((5, 2, UNITS)), 5)

    def total(params):
        z = jnp.einsum("tbi,ig->tbg", xs, params["input_kernel"])
        zeros = (jnp.zeros((2, UNITS)),) * 2
        _, outputs = cell.run(params, z, None, zeros)
        return jnp.sum(outputs * weights), outputs

    run = jax.jit(jax.grad(total, has_aux=True), compiler_options=QUICK)
    gradient, outputs = run(params)

    theirs = {n: torch.tensor(v, requires_grad=True) for n, v in params.items()}
    h, c, said = torch.zeros(2, UNITS), torch.zeros(2, UNITS), []
    for x in torch.from_numpy(xs):
        wide, size = (4 * UNITS,), (UNITS,)
        read = norm(x @ theirs["input_kernel"], wide, theirs["input_gain"])
        back = norm(h @ theirs["recurrent_kernel"], wide, theirs["recurrent_gain"])
        i, f, g, o = torch.chunk(read + back + theirs["bias"], 4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        n = norm(c, size, theirs["cell_gain"], theirs["cell_bias"])
        h = torch.sigmoid(o) * torch.tanh(n)
        said.append(h)
    said = torch.stack(said)
    (said * torch.from_numpy(weights)).sum().backward()
    close(outputs, said.detach().numpy())
    for name, value in gradient.items():
        np.testing.assert_allclose(value, theirs[name].grad, rtol=1e-4, atol=1e-4)


def test_one_table_that_reads_and_writes_is_that_of_pytorch():
    """Shared and tied: the loss, and the gradient that three places give the table."""
    torch = pytest.importorskip("torch")
    shape = {"cell": "rnn", "units": UNITS, "embedding": UNITS}
    tables = {"share_embeddings": True, "tie_output": True}
    model = Seq2Seq(ModelConfig(**shape, **tables), VOCABULARY, VOCABULARY)
    params = random_like(jax.eval_shape(model.init, jax.random.key(0)))
    random = np.random.default_rng(3)
    source, target = random.integers(3, VOCABULARY, (2, 3, 5), np.int32)
    target[:, -1] = EOS
    given = Batch(
        source,
        np.full(3, 5, np.int32),
        target,
        np.full(3, 5, np.int32),
        np.arange(3, dtype=np.int32),
        np.ones(3, np.float32),
    )
    loss, gradient = jax.jit(
        jax.value_and_grad(lambda params: nll(params, model, given)),
        compiler_options=QUICK,
    )(params)

    table = torch.tensor(params["embed"]["table"], requires_grad=True)
    state = None
    inputs = np.concatenate([np.full((3, 1), BOS), target[:, :-1]], axis=1)
    sides = ("encoder", "forward_0", source), ("decoder", "layer_0", inputs)
    for side, name, ids in sides:
        layer, module = params[side][name], torch.nn.RNN(UNITS, UNITS, batch_first=True)
        values = {
            "weight_ih_l0": layer["input_kernel"].T,
            "weight_hh_l0": layer["recurrent_kernel"].T,
            "bias_ih_l0": layer["bias"],
            "bias_hh_l0": np.zeros(UNITS, np.float32),
        }
        module.load_state_dict({k: torch.tensor(v) for k, v in values.items()})
        h, state = module(table[torch.from_numpy(ids).long()], state)
    bias = torch.tensor(params["decoder"]["output_bias"])
    logits = torch.nn.functional.linear(h, table, bias)
    logits[..., :EOS] = -torch.inf
    wanted = torch.from_numpy(target).long().flatten()
    theirs = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted)
    theirs.backward()
    close(loss, theirs.detach().numpy())
    close(gradient["embed"]["table"], table.grad.numpy())

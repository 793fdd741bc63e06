"""Each cell alone: its equation in numpy, masks, directions, gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.config import ModelConfig
from s2sjax.errors import UsageError
from s2sjax.models.cells import build
from s2sjax.models.cells.stepped import Additive
from s2sjax.models.decoder import Decoder
from s2sjax.models.encoder import Encoder
from s2sjax.models.inputs import Embedding
from s2sjax.models.layer import Layer
from s2sjax.models.readout import Categorical
from s2sjax.models.scan import product
from s2sjax.models.seq2seq import Seq2Seq
from tests import oracles

T, B, D, C, E = 4, 3, 3, 2, 5
QUICK = {"xla_backend_optimization_level": 0}
SPECS = list(oracles.CELLS)
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-6)
MASK = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 0, 0]], bool)


def random_like(tree, seed):
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: random.normal(0, 0.7, leaf.shape).astype(np.float32), tree
    )


def layer_of(spec, context=0):
    """A cell, its parameters, inputs, projected inputs and states, all drawn."""
    cell = build(spec, D)
    layer = Layer(cell, E, context)
    x, *state = random_like(
        [np.zeros((T, B, E)), *[np.zeros((B, D))] * len(cell.names)], 1
    )
    shapes = jax.eval_shape(partial(layer.init, method="parameters"), jax.random.key(0))
    params = random_like(shapes, 2)
    z = layer.apply(params, x, method="project")
    return cell, params["params"], x, z, tuple(state)


def stepped(cell, params, z, mask, state, reverse):
    """What `run` computes, one step after another, left to autodiff."""
    outputs = [None] * len(z)
    vectors, weights = cell.vectors(params), cell.weights(params)
    for time in reversed(range(len(z))) if reverse else range(len(z)):
        inputs, rest = cell.inputs(z[time])

        def dot(name, *lhs, inputs=inputs):
            return product(lhs, weights[name], inputs.get(name))

        new = cell.step(dot, vectors, rest, state, None)
        if mask is not None:
            pairs = zip(new, state, strict=True)
            new = tuple(jnp.where(mask[time][:, None], a, b) for a, b in pairs)
        state = new
        outputs[time] = state[0]
    return state, jnp.stack(outputs)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_a_layer_is_its_equation_and_holds_its_state_where_there_is_no_input(
    spec, reverse
):
    cell, params, x, z, state = layer_of(spec)
    run = jax.jit(cell.run, static_argnums=4, compiler_options=QUICK)
    final, outputs = run(params, z, MASK, state, reverse)
    expected = np.zeros((T, B, D))
    for row in range(B):
        now = tuple(part[row].astype(np.float64) for part in state)
        for time in reversed(range(T)) if reverse else range(T):
            if MASK[time, row]:
                now = oracles.cell_step(spec, params, x[time, row], now)
            expected[time, row] = now[0]
        for part, value in zip(final, now, strict=True):
            close(part[row], value)
    close(outputs, expected)


@pytest.mark.parametrize("spec", SPECS)
def test_a_layer_over_time_is_its_steps_values_and_gradients(spec):
    cell, params, _, z, state = layer_of(spec)

    @partial(jax.jit, compiler_options=QUICK)
    def both(params, z, state):
        def total(way, mask, reverse, *arguments):
            final, outputs = way(*arguments, mask=mask, reverse=reverse)
            ramp = jnp.cos(jnp.arange(outputs.size)).reshape(outputs.shape)
            return jnp.sum(outputs * ramp) + sum(jnp.sum(part**2) for part in final)

        def steps(params, z, state, mask, reverse):
            return stepped(cell, params, z, mask, state, reverse)

        def run(params, z, state, mask, reverse):
            return cell.run(params, z, mask, state, reverse)

        return [
            jax.value_and_grad(partial(total, way, mask, reverse), argnums=(0, 1, 2))(
                params, z, state
            )
            for mask, reverse in ((MASK, True), (None, False))
            for way in (run, steps)
        ]

    masked, masked_steps, whole, whole_steps = both(params, z, state)
    for ours, theirs in ((masked, masked_steps), (whole, whole_steps)):
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)
    read = {n for n in params if n not in ("input_kernel", "bias")}
    gradients = whole[1][0]
    assert all(np.abs(gradients[name]).max() > 1e-4 for name in read)


@pytest.mark.parametrize("spec", SPECS)
def test_a_context_enters_as_a_second_input(spec):
    cell, params, x, z, state = layer_of(spec, C)
    context = random_like(np.zeros((B, C)), 4)
    inputs, rest = cell.inputs(z[0])

    def dot(name, *lhs):
        return product(lhs, cell.weights(params)[name], inputs.get(name))

    new = cell.step(dot, cell.vectors(params), rest, state, context)
    for row in range(B):
        now = tuple(part[row].astype(np.float64) for part in state)
        second = context[row].astype(np.float64)
        expected = oracles.cell_step(spec, params, x[0, row], now, second)
        for part, value in zip(new, expected, strict=True):
            close(part[row], value)


REFUSED = {
    "mgu": "unknown model.cell 'mgu'; did you mean 'mingru'?",
    "gru:reset=befor": "model.cell 'gru:reset=befor': unknown reset 'befor'; did you",
    "gru:rest=before": "unknown argument of model.cell 'gru' 'rest'; did you mean",
    "lstm:reset=after": "model.cell 'lstm' takes no argument 'reset'",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_cell_is_refused_where_a_model_is_made(text):
    for make in (
        lambda: build(text, 3),
        lambda: Seq2Seq(ModelConfig(cell=text), 5, 5),
    ):
        with pytest.raises(UsageError) as error:
            make()
        assert REFUSED[text] in str(error.value)


class Widening(Additive):
    """Its state grows."""

    names, gates = ("h",), 2

    def activate(self, a, state):
        return (a,)


class Losing(Additive):
    """Its state loses a part."""

    names, gates = ("h", "c"), 1

    def activate(self, a, state):
        return (a,)


WRONG = {
    "lstm": "cell='lstm' has no names; see s2sjax.models.base.Cell",
    Widening(3): "step gave (float32[2, 6],) of a state (float32[2, 3],)",
    Losing(3): "step gave (float32[2, 3],) of a state (float32[2, 3], float32[2, 3])",
}


@pytest.mark.parametrize("cell", WRONG, ids=str)
def test_a_cell_of_ones_own_is_tried_where_it_is_given(cell):
    embed, readout = Embedding(5, 4), Categorical(5)
    for make in (
        lambda: Encoder(embed, cell),
        lambda: Decoder(embed, readout, cell, 3),
    ):
        with pytest.raises(UsageError) as error:
            make()
        assert WRONG[cell] in str(error.value)

"""Each cell alone: its equation in numpy, masks, directions, gradients."""

from functools import partial

import jax
import numpy as np
import pytest

from s2sjax.models.cells import CELLS, build
from s2sjax.models.layer import Layer
from tests import oracles

T, B, D, C, E = 4, 3, 3, 2, 5
QUICK = {"xla_backend_optimization_level": 0}
SPECS = list(CELLS)
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-6)
MASK = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 0, 0]], bool)


def random_like(tree, seed):
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: random.normal(0, 0.7, leaf.shape).astype(np.float32), tree
    )


def layer_of(spec, context=0):
    """A layer's parameters, states and projected inputs, all drawn."""
    cell = build(spec, D)
    layer = Layer(cell, E, context)
    x = random_like(np.zeros((T, B, E)), 1)

    def projected(params):
        return layer.apply(params, x, method="project")

    shapes = jax.eval_shape(partial(layer.init, method="parameters"), jax.random.key(0))
    params = random_like(shapes, 2)
    state = tuple(random_like([np.zeros((B, D)) for _ in cell.names], 3))
    return cell, params["params"], x, projected(params), state


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

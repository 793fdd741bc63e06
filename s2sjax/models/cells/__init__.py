"""Recurrent cells: the arithmetic of one step, and the parameters it needs.

Parameters of most: `input_kernel` [I, G], `recurrent_kernel` [D, G], `bias` [G], with
G = gates * units; `context_kernel` [C, G] where attention enters the cell.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import spec
from s2sjax.errors import UsageError
from s2sjax.models.base import Cell, State
from s2sjax.models.cells.gru import gru_cell
from s2sjax.models.cells.layernorm_lstm import LayerNormLSTM
from s2sjax.models.cells.lstm import LSTM
from s2sjax.models.cells.mingru import MinGRU
from s2sjax.models.cells.rnn import RNN
from s2sjax.models.scan import product
from s2sjax.types import described

CELLS: dict[str, Callable[..., Cell]] = {
    "lstm": LSTM,
    "gru": gru_cell,
    "rnn": RNN,
    "layernorm_lstm": LayerNormLSTM,
    "mingru": MinGRU,
}


def build(text: str, units: int) -> Cell:
    """The cell that a spec names, e.g. "gru:reset=before".

    Raises:
      UsageError: there is no such cell or argument.

    >>> build("lstm", 8)
    LSTM(units=8)
    """
    cell: Cell = spec.call("model.cell", text, CELLS, units)
    return cell


def initial_state(cell: Cell, batch: int, dtype: Any = jnp.float32) -> State:
    """The zero state, [batch, units] per part."""
    return tuple(jnp.zeros((batch, cell.units), dtype) for _ in cell.names)


@functools.cache
def check(cell: Cell) -> None:
    """Tries one step of a cell on shapes alone, with a context and without.

    Raises:
      UsageError: something that `Cell` has is missing, or its step gives another state
        than it was given.

    >>> check("lstm")
    Traceback (most recent call last):
    s2sjax.errors.UsageError: cell='lstm' has no names; see s2sjax.models.base.Cell
    """
    members = [name for name in vars(Cell) if not name.startswith("_")]
    for name in ("names", *members):
        if not hasattr(cell, name):
            raise UsageError(f"{cell=} has no {name}; see s2sjax.models.base.Cell")
    rows, inputs = 2, 3
    wanted = jax.eval_shape(lambda: initial_state(cell, rows))
    for context in (0, 4):
        draws = cell.parameters(inputs, context, lambda key, shape: jnp.zeros(shape))

        def step(
            draws: Any, key: Array, x: Array, state: State, second: Array | None
        ) -> State:
            # Some are float64 where jax has that for a default.
            params = {n: draw(key).astype(jnp.float32) for n, draw in draws.items()}
            added, rest = cell.inputs(product((x,), cell.projection(params)))
            weights = cell.weights(params)

            def dot(name: str, *lhs: Array) -> Array:
                return product(lhs, weights[name], added.get(name))

            return cell.step(dot, cell.vectors(params), rest, state, second)

        new = jax.eval_shape(
            functools.partial(step, draws),
            jax.random.key(0),
            jax.ShapeDtypeStruct((rows, inputs), jnp.float32),
            wanted,
            jax.ShapeDtypeStruct((rows, context), jnp.float32) if context else None,
        )
        if new != wanted:
            raise UsageError(
                f"{cell=}: step gave {described(new)} of a state {described(wanted)}"
            )

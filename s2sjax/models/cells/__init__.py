"""Recurrent cells: the arithmetic of one step, and the parameters it needs.

Parameters of most: `input_kernel` [I, G], `recurrent_kernel` [D, G], `bias` [G], with
G = gates * units; `context_kernel` [C, G] where attention enters the cell.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from s2sjax import spec
from s2sjax.models.base import Cell, State
from s2sjax.models.cells.gru import gru_cell
from s2sjax.models.cells.layernorm_lstm import LayerNormLSTM
from s2sjax.models.cells.lstm import LSTM
from s2sjax.models.cells.mingru import MinGRU
from s2sjax.models.cells.rnn import RNN

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

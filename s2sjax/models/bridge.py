"""The bridge: how the decoder's first states come from the encoder's last."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from s2sjax.models.base import Cell, State
from s2sjax.models.cells import initial_state

BRIDGES = ("copy", "dense", "zero")


class Bridge(nn.Module):
    """Encoder states to decoder states, layer by layer.

    `copy` hands them over; `dense` maps the directions side by side to the decoder's
    size, s = tanh(W [forward; backward] + b) as Bahdanau et al. (2015, A.2.2) for the
    output and without the tanh for an LSTM's cell; `zero` starts from nothing.
    """

    kind: str
    cell: Cell
    layers: int

    def setup(self) -> None:
        if self.kind == "dense":
            self.dense = [
                [
                    nn.Dense(self.cell.units, name=f"layer_{depth}_part_{part}")
                    for part in range(len(self.cell.names))
                ]
                for depth in range(self.layers)
            ]

    def __call__(
        self, states: tuple[tuple[State, ...], ...], batch: int
    ) -> tuple[State, ...]:
        """states per layer and direction -> one state per layer."""
        if self.kind == "zero":
            return (initial_state(self.cell, batch),) * self.layers
        if self.kind == "copy":
            return tuple(directions[0] for directions in states)
        return tuple(
            tuple(
                self._dense(depth, part, [state[part] for state in directions])
                for part in range(len(self.cell.names))
            )
            for depth, directions in enumerate(states)
        )

    def _dense(self, depth: int, part: int, sides: list[Array]) -> Array:
        mapped = self.dense[depth][part](jnp.concatenate(sides, axis=-1))
        return jnp.tanh(mapped) if part == 0 else mapped

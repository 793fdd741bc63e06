"""The encoder: layers of recurrent cells over the source, in one or two directions."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from s2sjax.models.base import Cell, Encoded, States
from s2sjax.models.cells import check, initial_state
from s2sjax.models.dropout import Dropout
from s2sjax.models.inputs import Inputs
from s2sjax.models.layer import Layer


class Encoder(nn.Module):
    """Reads the source.

    At padded steps the state is carried unchanged, so that a backward pass starts at
    the last symbol and the final states are those of the unpadded source.

    Attributes:
      embed: what it reads at a step, and how that enters.
      cell: the cell of every layer.
      layers: how many.
      bidirectional: every layer reads in both directions.
    """

    embed: Inputs
    cell: Cell
    layers: int = 1
    bidirectional: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.cell)

    def setup(self) -> None:
        directions = ("forward", "backward") if self.bidirectional else ("forward",)
        self.stack = [
            [
                Layer(
                    self.cell,
                    self.width if depth else self.embed.width,
                    one_hot=depth == 0 and self.embed.one_hot,
                    name=f"{direction}_{depth}",
                )
                for direction in directions
            ]
            for depth in range(self.layers)
        ]

    @property
    def width(self) -> int:
        """Size C of the memory."""
        return self.cell.units * (2 if self.bidirectional else 1)

    def __call__(
        self,
        source: Array,
        lengths: Array,
        dropout: Dropout | None = None,
        before: States | None = None,
    ) -> Encoded:
        """Encodes token ids [B, S], or rows of numbers [B, S, F], of the given lengths
        [B].

        `before` are the states that `source` goes on from, as `Encoded.states` has
        them, of one direction; None: it begins.
        """
        batch, time = source.shape[:2]
        mask = jnp.arange(time)[None] < lengths[:, None]
        x = source.swapaxes(0, 1)  # time-major; above the first layer [S, B, C]
        scale = None
        if dropout is not None:
            size = (time, self.embed.noise)
            scale = dropout.factors("embedding", "source", size).swapaxes(0, 1)
        states = []
        for depth, directions in enumerate(self.stack):
            final, outputs = [], []
            for backward, layer in enumerate(directions):
                z = layer.project(x) if depth else self.embed.project(layer, x, scale)
                state, h = self.cell.run(
                    layer.parameters(),
                    z,
                    mask.T,
                    before[depth][0]
                    if before is not None
                    else initial_state(self.cell, batch, z.dtype),
                    reverse=bool(backward),
                )
                final.append(state)
                outputs.append(h)
            states.append(tuple(final))
            x = jnp.concatenate(outputs, axis=-1)
            if dropout is not None:
                size = (time, self.width)
                x *= dropout.factors("output", f"encoder_{depth}", size).swapaxes(0, 1)
        return Encoded(x.swapaxes(0, 1), mask, tuple(states))

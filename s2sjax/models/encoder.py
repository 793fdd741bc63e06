"""The encoder: layers of recurrent cells over the source, in one or two directions."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from s2sjax.models.base import Cell, Encoded, States
from s2sjax.models.cells import check, initial_state
from s2sjax.models.dropout import Dropout
from s2sjax.models.layer import Embedding, Layer, project_tokens


class Encoder(nn.Module):
    """Reads the source.

    At padded steps the state is carried unchanged, so that a backward pass starts at
    the last symbol and the final states are those of the unpadded source.

    Attributes:
      vocabulary: size of the source vocabulary.
      cell: the cell of every layer.
      layers: how many.
      embedding: size of embeddings; 0: one-hot.
      bidirectional: every layer reads in both directions.
      shared: embeddings that are somebody else's too; None: its own.
    """

    vocabulary: int
    cell: Cell
    layers: int = 1
    embedding: int = 64
    bidirectional: bool = False
    shared: Embedding | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.cell)

    def setup(self) -> None:
        self.embed = self.shared or Embedding(self.vocabulary, self.embedding)
        directions = ("forward", "backward") if self.bidirectional else ("forward",)
        self.stack = [
            [
                Layer(
                    self.cell,
                    self.width if depth else self.embedding or self.vocabulary,
                    one_hot=depth == 0 and not self.embedding,
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
        """Encodes token ids [B, S] of the given lengths [B].

        `before` are the states that `source` goes on from, as `Encoded.states` has
        them, of one direction; None: it begins.
        """
        batch, time = source.shape
        mask = jnp.arange(time)[None] < lengths[:, None]
        x = source.T  # -> [S, B]; above the first layer [S, B, C]
        scale = None
        if dropout is not None:
            size = (time, self.embed.noise)
            scale = dropout.factors("embedding", "source", size).swapaxes(0, 1)
        states = []
        for depth, directions in enumerate(self.stack):
            final, outputs = [], []
            for backward, layer in enumerate(directions):
                if depth:
                    z = layer.project(x)
                else:
                    z = project_tokens(self.embed, layer, x, scale)
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

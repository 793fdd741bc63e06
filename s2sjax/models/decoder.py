"""The decoder: a column of stages, each a recurrence of its own.

A stage has what is known ahead (`prepare`), one step (`body`), and the decoder reads at
the end (`read`). Where all inputs are known, each stage runs over all of time before
the next one does, so that everything but the bodies is one product for all steps. Where
they are not, a step runs the bodies one after another; `free` scans that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers

from s2sjax.models import attention, cells
from s2sjax.models.base import Attention, Cell, Dot, Encoded, Memory, Weights
from s2sjax.models.bridge import Bottleneck, bridge_of
from s2sjax.models.context import (
    Context,
    DecoderState,
    Flow,
    IntoCell,
    Known,
    Recurrent,
    Stage,
    attentional,
    prefixed,
    run_stage,
)
from s2sjax.models.dropout import NONE, Dropout, Noise, drop
from s2sjax.models.layer import Embedding, Layer, at_once, symmetric
from s2sjax.models.scan import run_step, scan
from s2sjax.types import EOS, StepOutput

Feed = Callable[[Array, Array, Any], Array]
"""`feed(logits, gold_t, x_t) -> x`: what goes in at step t, token ids [B] or a
distribution [B, V], from the logits [B, V] of step t - 1, the gold input [B] of step t
and whatever is given for it. It closes over no traced array."""


class Decoder(nn.Module):
    """Writes the target.

    Layers read the layer below; `context` says where attention comes in (see its kinds
    in `CONTEXTS`). Without attention, logits_t = V h_t + d for the last layer's h. PAD
    and BOS can never be emitted: their logits are -inf.

    With a tied output V is the table of embeddings, E, which reads and writes (Press
    and Wolf 2017; Inan, Khosravi and Socher 2017); where embeddings are of another size
    than h, V = E P with a projection P.

    Attributes:
      vocabulary: size V of the target vocabulary.
      cell: the cell of every layer.
      memory: size of the encoder's outputs.
      layers: how many.
      embedding: size of embeddings; 0: one-hot.
      attention: what looks back at the source; None: nothing does.
      context: where its context goes.
      bridge: the spec of how it starts, see `bridge`.
      latent: numbers that all it knows of the source goes through; 0: as it is.
      tied: the output is the embeddings, transposed.
      shared: embeddings that are somebody else's too; None: its own.
    """

    vocabulary: int
    cell: Cell
    memory: int
    layers: int = 1
    embedding: int = 64
    attention: Attention | None = None
    context: Context = IntoCell()
    bridge: str = "copy"
    latent: int = 0
    tied: bool = False
    shared: Embedding | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        cells.check(self.cell)
        bridge_of(self.bridge)
        # Within a model that is running it was checked before.
        if (
            self.attention is not None
            and getattr(self.attention, "parent", None) is None
        ):
            attention.check(self.attention, self.cell.units, self.memory)

    def setup(self) -> None:
        units = self.cell.units
        self.embed = self.shared or Embedding(self.vocabulary, self.embedding)
        if self.latent:
            self.connect = Bottleneck(self.cell, self.layers, self.latent)
        else:
            self.connect = bridge_of(self.bridge)(self.cell, self.layers)
        enters = 0
        if self.attention or not self.context.looks:
            enters = self.context.enters(units, self.latent or self.memory)
        self.stack = [
            Layer(
                self.cell,
                units if depth else self.embedding or self.vocabulary,
                context=0 if depth else enters,
                one_hot=depth == 0 and not self.embedding,
                name=f"layer_{depth}",
            )
            for depth in range(self.layers)
        ]
        if self.attention:
            self.readout_kernel = self.param(
                "readout_kernel",
                initializers.glorot_uniform(),
                (units + self.memory, units),
            )
            self.readout_bias = self.param("readout_bias", initializers.zeros, (units,))
        if not self.tied:
            self.output_kernel = self.param(
                "output_kernel", symmetric(units**-0.5), (self.vocabulary, units)
            )
        elif self._projects:
            self.tied_kernel = self.param(
                "tied_kernel", initializers.glorot_uniform(), (units, self.embedding)
            )
        self.output_bias = self.param(
            "output_bias", initializers.zeros, (self.vocabulary,)
        )

    @property
    def _projects(self) -> bool:
        """Whether the readout is brought to the size of embeddings."""
        return self.tied and self.embedding != self.cell.units

    @property
    def _table(self) -> Array:
        """The embeddings of what it can write; a shared table may have more."""
        return self.embed.table[: self.vocabulary]

    def start(
        self, encoded: Encoded, dropout: Dropout | None = None
    ) -> tuple[DecoderState, Memory]:
        """The state before the first step, and what the steps look back at."""
        layers = self.connect(encoded)
        if dropout is not None:
            layers = tuple(
                tuple(
                    part
                    * dropout.factors("state", f"state_{depth}_{index}", part.shape[1:])
                    for index, part in enumerate(state)
                )
                for depth, state in enumerate(layers)
            )
        if not self.context.looks:
            return DecoderState(layers), self.connect.summary(encoded)
        if self.attention is None:
            return DecoderState(layers), ()
        memory = self.attention.memory(encoded)
        state = DecoderState(layers, self.attention.start(memory))
        return self.context.start(state), memory

    def code(self, encoded: Encoded) -> Array:
        """The numbers that all it knows of the source goes through, [B, latent]."""
        return self.connect.summary(encoded)

    def noise(self, dropout: Dropout | None, time: int) -> Noise:
        """Draws the dropout of `time` steps: all that is dropped within them."""
        if dropout is None:
            return {}
        size = (time, self.layers, self.cell.units)
        layers = dropout.factors("output", "decoder", size)
        return {
            "embedding": dropout.factors(
                "embedding", "target", (time, self.embed.noise)
            ),
            **{f"layer_{depth}": layers[:, :, depth] for depth in range(self.layers)},
        }

    def step(
        self,
        state: DecoderState,
        x: Array,
        memory: Memory,
        noise: Noise = NONE,
    ) -> tuple[DecoderState, StepOutput]:
        """One step from token ids [B] or a distribution [B, V]."""
        column = self._column(tabled=False)
        weights, operands = self._weights(memory, column), self._operands(memory)
        return run_step(column.step, weights, {}, state, (x, noise), operands)

    def __call__(
        self,
        state: DecoderState,
        inputs: Array,
        memory: Memory,
        noise: Noise = NONE,
    ) -> StepOutput:
        """All steps at once from known inputs [B, T]: the same function as `step`.

        Returns:
          Logits [B, T, V]; attention [B, T, S].
        """
        column = self._column(self._tabled(inputs, noise))
        weights, operands = self._weights(memory, column), self._operands(memory)
        params = {f"layer_{d}": x.parameters() for d, x in enumerate(self.stack)}
        noise = _time_major(noise)
        known = Known(at_once(weights), weights, operands, params, noise)
        return _time_major(column.forced(known, state, inputs.T))

    def free(
        self,
        state: DecoderState,
        memory: Memory,
        gold: Array,
        feed: Feed,
        xs: Any = (),
        noise: Noise = NONE,
    ) -> StepOutput:
        """All steps, each from what the last one said or from the gold token.

        The weights' gradients are one product each, as where all inputs are known.

        Args:
          state: the first.
          memory: what the steps look back at.
          gold: the gold inputs, [B, T] int32. The first step reads gold[:, 0].
          feed: chooses the input of each step but the first.
          xs: what `feed` is given for each step, leading axis T.
          noise: the dropout of all steps.

        Returns:
          The outputs of all steps, [B, T, ...].
        """
        column = self._column(self._tabled(gold, noise))
        weights, operands = self._weights(memory, column), self._operands(memory)
        logits = jax.ShapeDtypeStruct((len(gold), self.vocabulary), jnp.float32)
        first, given = jax.tree.map(lambda leaf: leaf[0], (gold.T, xs))
        fed = jax.eval_shape(feed, logits, first, given)
        if jnp.issubdtype(fed.dtype, jnp.inexact):
            first = jax.nn.one_hot(first, self.vocabulary, dtype=fed.dtype)

        def step(dot: Dot, carry: Any, now: Any, operands: Any) -> Any:
            state, x = carry
            noise, gold, given = now
            state, output = column.step(dot, state, (x, noise), operands)
            return (state, feed(output.logits, gold, given).astype(x.dtype)), output

        # What the last step feeds is never read.
        following = jax.tree.map(_shifted, (gold.T, xs))
        now = _time_major(noise), *following
        _, outputs = scan(step, weights, {}, (state, first), now, operands)
        return _time_major(outputs)

    def _tabled(self, tokens: Array, noise: Noise) -> bool:
        """Whether to project the table of embeddings, which is smaller than what is
        read, and to gather its rows. Dropout would come between."""
        smaller = self.vocabulary <= tokens.size
        return bool(self.embedding) and "embedding" not in noise and smaller

    def _column(self, tabled: bool) -> "Column":
        layers = [Recurrent(self.cell, depth) for depth in range(self.layers)]
        stages: tuple[Stage, ...] = tuple(layers)
        if self.attention is not None or not self.context.looks:
            stages = self.context.stages(layers, self.attention)
        embeds = bool(self.embedding) and not tabled
        return Column(stages, self.vocabulary, embeds, self._projects)

    def _weights(self, memory: Memory, column: "Column") -> Weights:
        """All that the steps multiply with."""
        kernel = self._table if self.tied else self.output_kernel
        weights: Weights = {"output": (kernel.T, self.output_bias)}
        if self._projects:
            weights["tied"] = (self.tied_kernel,)
        for depth, layer in enumerate(self.stack):
            params = layer.parameters()
            weights[f"input_{depth}"] = self.cell.projection(params)
            weights |= prefixed(f"layer_{depth}", self.cell.weights(params))
        if column.embeds:
            weights["embed"] = (self._table,)
        elif self.embedding:
            weights["input_0"] = (self.stack[0].project(self._table),)
        if self.attention is not None:
            weights |= prefixed("attention", self.attention.weights(memory))
            weights["readout"] = self.readout_kernel, self.readout_bias
        return weights

    def _operands(self, memory: Memory) -> dict[str, Any]:
        """What else they read."""
        operands: dict[str, Any] = {"attention": memory}
        for depth, layer in enumerate(self.stack):
            operands[f"layer_{depth}"] = self.cell.vectors(layer.parameters())
        return operands


@dataclass(frozen=True)
class Column:
    """The stages of a decoder over the tokens that enter the lowest.

    Attributes:
      stages: bottom first.
      vocabulary: its size V.
      embeds: tokens become embeddings; else they are one-hot for the lowest stage.
      projects: what is read is brought to the size of embeddings.
    """

    stages: tuple[Stage, ...]
    vocabulary: int
    embeds: bool
    projects: bool = False

    def step(
        self, dot: Dot, state: DecoderState, x: Any, operands: Any
    ) -> tuple[DecoderState, StepOutput]:
        """The bodies of all stages, once: for `run_step` and `scan`."""
        tokens, noise = x
        flow = self._enter(dot, tokens, noise)
        for stage in self.stages:
            state, flow = run_stage(stage, dot, state, flow, noise, operands)
        return state, self._read(dot, flow)

    def forced(self, known: Known, state: DecoderState, tokens: Array) -> StepOutput:
        """Each stage over all of time, one after another; tokens [T, B]."""
        flow = self._enter(known.dot, tokens, known.noise)
        for stage in self.stages:
            flow = stage.run(known, state, flow)
        return self._read(known.dot, flow)

    def _enter(self, dot: Dot, tokens: Array, noise: Noise) -> Flow:
        """What the lowest stage reads: embeddings, or ids or distributions."""
        if self.embeds:
            tokens = dot("embed", tokens)
        elif "embedding" in noise and jnp.issubdtype(tokens.dtype, jnp.integer):
            dtype = noise["embedding"].dtype
            tokens = jax.nn.one_hot(tokens, self.vocabulary, dtype=dtype)
        return Flow(drop(noise, "embedding", tokens))

    def _read(self, dot: Dot, flow: Flow) -> StepOutput:
        """The logits, of one step or of all."""
        read = attentional(dot, flow.h, flow.context)
        logits = dot("output", dot("tied", read) if self.projects else read)
        emitted = jnp.arange(self.vocabulary) >= EOS
        emitted = jnp.expand_dims(emitted, range(logits.ndim - 1))
        return StepOutput(jnp.where(emitted, logits, -jnp.inf), flow.aux)


def _time_major(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), tree)


def _shifted(leaf: Array) -> Array:
    """What each step is given for the one after it."""
    return jnp.concatenate([leaf[1:], leaf[:1]])

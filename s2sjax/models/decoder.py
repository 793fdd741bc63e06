"""The decoder: a column of stages, each a recurrence of its own.

A stage has what is known ahead (`prepare`), one step (`body`), and the decoder reads at
the end (`read`). Where all inputs are known, each stage runs over all of time before
the next one does, so that everything but the bodies is one product for all steps. Where
they are not, a step runs the bodies one after another; `free` scans that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
from s2sjax.models.dropout import NONE, Dropout, Noise
from s2sjax.models.inputs import Enter, Inputs
from s2sjax.models.layer import Layer, at_once
from s2sjax.models.readout.base import Readout
from s2sjax.models.scan import run_step, scan
from s2sjax.types import StepOutput

Feed = Callable[[Array, Array, Any], Array]
"""`feed(raw, gold_t, x_t) -> x`: what goes in at step t, token ids [B], a distribution
[B, V] or a row of numbers [B, F], from the raw values [B, P] of step t - 1, the gold
input of step t and whatever is given for it. It closes over no traced array."""


class Decoder(nn.Module):
    """Writes the target.

    Layers read the layer below; `context` says where attention comes in (see its kinds
    in `CONTEXTS`). Without attention, the readout reads the last layer's h_t.

    Attributes:
      embed: what it reads at a step, and how that enters.
      readout: what it writes.
      cell: the cell of every layer.
      memory: size of the encoder's outputs.
      layers: how many.
      attention: what looks back at the source; None: nothing does.
      context: where its context goes.
      bridge: the spec of how it starts, see `bridge`.
      latent: numbers that all it knows of the source goes through; 0: as it is.
    """

    embed: Inputs
    readout: Readout
    cell: Cell
    memory: int
    layers: int = 1
    attention: Attention | None = None
    context: Context = IntoCell()
    bridge: str = "copy"
    latent: int = 0

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
        make = bridge_of(self.bridge)
        if self.latent:
            make = partial(Bottleneck, size=self.latent)
        self.connect = make(self.cell, self.layers)
        enters = 0
        if self.attention or not self.context.looks:
            enters = self.context.enters(units, self.latent or self.memory)
        self.stack = [
            Layer(
                self.cell,
                units if depth else self.embed.width,
                context=0 if depth else enters,
                one_hot=depth == 0 and self.embed.one_hot,
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
        draws = self.readout.parameters(units)
        self.output = {name: self.param(name, draw) for name, draw in draws.items()}

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
        """One step from token ids [B], a distribution [B, V] or numbers [B, F]."""
        column, weights = self._column(memory)
        operands = self._operands(memory)
        return run_step(column.step, weights, {}, state, (x, noise), operands)

    def __call__(
        self,
        state: DecoderState,
        inputs: Array,
        memory: Memory,
        noise: Noise = NONE,
    ) -> StepOutput:
        """All steps at once from known inputs [B, T, ...]: the same function as `step`.

        Returns:
          Raw values [B, T, P], such as logits; attention [B, T, S].
        """
        column, weights = self._column(memory, inputs.size, noise)
        operands = self._operands(memory)
        params = {f"layer_{d}": x.parameters() for d, x in enumerate(self.stack)}
        noise = _time_major(noise)
        known = Known(at_once(weights), weights, operands, params, noise)
        return _time_major(column.forced(known, state, _time_major(inputs)))

    def free(
        self,
        state: DecoderState,
        memory: Memory,
        gold: Array,
        feed: Feed,
        xs: Any = (),
        noise: Noise = NONE,
    ) -> StepOutput:
        """All steps, each from what the last one said or from the gold input.

        The weights' gradients are one product each, as where all inputs are known.

        Args:
          state: the first.
          memory: what the steps look back at.
          gold: the gold inputs, [B, T] int32 or [B, T, F]. The first step reads
            gold[:, 0].
          feed: chooses the input of each step but the first.
          xs: what `feed` is given for each step, leading axis T.
          noise: the dropout of all steps.

        Returns:
          The outputs of all steps, [B, T, ...].
        """
        column, weights = self._column(memory, gold.size, noise)
        operands = self._operands(memory)
        raw = jax.ShapeDtypeStruct((len(gold), self.readout.size), jnp.float32)
        golds = _time_major(gold)
        first, given = jax.tree.map(lambda leaf: leaf[0], (golds, xs))
        first = self.embed.like(first, jax.eval_shape(feed, raw, first, given))

        def step(dot: Dot, carry: Any, now: Any, operands: Any) -> Any:
            state, x = carry
            noise, gold, given = now
            state, output = column.step(dot, state, (x, noise), operands)
            return (state, feed(output.logits, gold, given).astype(x.dtype)), output

        # What the last step feeds is never read.
        following = jax.tree.map(_shifted, (golds, xs))
        now = _time_major(noise), *following
        _, outputs = scan(step, weights, {}, (state, first), now, operands)
        return _time_major(outputs)

    def _column(
        self, memory: Memory, rows: int = 0, noise: Noise = NONE
    ) -> tuple["Column", Weights]:
        """The stages, and all that they multiply with; see `Inputs.enter`."""
        layers = [Recurrent(self.cell, depth) for depth in range(self.layers)]
        stages: tuple[Stage, ...] = tuple(layers)
        if self.attention is not None or not self.context.looks:
            stages = self.context.stages(layers, self.attention)
        weights = self.readout.weights(self.output, self.embed)
        for depth, layer in enumerate(self.stack):
            params = layer.parameters()
            weights[f"input_{depth}"] = self.cell.projection(params)
            weights |= prefixed(f"layer_{depth}", self.cell.weights(params))
        enter, entering = self.embed.enter(self.stack[0], rows, noise)
        weights |= entering
        if self.attention is not None:
            weights |= prefixed("attention", self.attention.weights(memory))
            weights["readout"] = self.readout_kernel, self.readout_bias
        return Column(stages, enter, self.readout), weights

    def _operands(self, memory: Memory) -> dict[str, Any]:
        """What else they read."""
        operands: dict[str, Any] = {"attention": memory}
        for depth, layer in enumerate(self.stack):
            operands[f"layer_{depth}"] = self.cell.vectors(layer.parameters())
        return operands


@dataclass(frozen=True)
class Column:
    """The stages of a decoder between what enters the lowest and what is read.

    Attributes:
      stages: bottom first.
      enter: what the lowest reads.
      readout: what is made of what the highest says.
    """

    stages: tuple[Stage, ...]
    enter: Enter
    readout: Readout

    def step(
        self, dot: Dot, state: DecoderState, x: Any, operands: Any
    ) -> tuple[DecoderState, StepOutput]:
        """The bodies of all stages, once: for `run_step` and `scan`."""
        entering, noise = x
        flow = Flow(self.enter(dot, entering, noise))
        for stage in self.stages:
            state, flow = run_stage(stage, dot, state, flow, noise, operands)
        return state, self._read(dot, flow)

    def forced(self, known: Known, state: DecoderState, x: Array) -> StepOutput:
        """Each stage over all of time, one after another; x [T, B, ...]."""
        flow = Flow(self.enter(known.dot, x, known.noise))
        for stage in self.stages:
            flow = stage.run(known, state, flow)
        return self._read(known.dot, flow)

    def _read(self, dot: Dot, flow: Flow) -> StepOutput:
        """The raw values, of one step or of all."""
        h = attentional(dot, flow.h, flow.context)
        return StepOutput(self.readout.read(dot, h), flow.aux)


def _time_major(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), tree)


def _shifted(leaf: Array) -> Array:
    """What each step is given for the one after it."""
    return jnp.concatenate([leaf[1:], leaf[:1]])

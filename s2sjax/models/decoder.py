"""The decoder: one pure step, and the same steps at once where the inputs are known."""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers

from s2sjax.models.attention import BahdanauAttention, Memory, attention_weights
from s2sjax.models.base import Cell, Dot, Encoded, State, Weights
from s2sjax.models.bridge import Bridge
from s2sjax.models.dropout import Dropout, scales
from s2sjax.models.layer import Embedding, Layer, affine, project_tokens, symmetric
from s2sjax.models.scan import Step, layer_step, run_step, scan
from s2sjax.types import EOS, StepOutput


class DecoderNoise(NamedTuple):
    """Dropout factors of the decoder, drawn before the recurrence."""

    embedding: Array  # [B, T, E]; [B, E] for one step
    outputs: Array  # [B, T, layers, D]; [B, layers, D] for one step


class Decoder(nn.Module):
    """Writes the target.

    With attention, the state of the first layer asks; the context enters that
    layer's cell and the readout:

        context_t = attend(h_{t-1}),    h_t = cell(y_{t-1}, context_t, h_{t-1})
        logits_t = V tanh(W [h_t; context_t] + b) + d

    Layers above read the layer below, and the readout reads the last. Without
    attention, logits_t = V h_t + d. PAD and BOS can never be emitted: their logits
    are -inf. (Bahdanau et al. 2015; that the bottom layer asks is from Wu et al.
    2016, section 3: the layers above then do not wait for one another.)

    Attributes:
      vocabulary: size V of the target vocabulary.
      cell: the cell of every layer.
      memory: size of the encoder's outputs.
      layers: how many.
      embedding: size of embeddings; 0: one-hot.
      attention_units: size of the attention layer; 0: no attention.
      bridge: see `Bridge`.
    """

    vocabulary: int
    cell: Cell
    memory: int
    layers: int = 1
    embedding: int = 64
    attention_units: int = 0
    bridge: str = "copy"

    def setup(self) -> None:
        units = self.cell.units
        self.embed = Embedding(self.vocabulary, self.embedding)
        self.connect = Bridge(self.bridge, self.cell, self.layers)
        self.stack = [
            Layer(
                self.cell,
                units if depth else self.embedding or self.vocabulary,
                context=self.memory if self.attention_units and not depth else 0,
                one_hot=depth == 0 and not self.embedding,
                name=f"layer_{depth}",
            )
            for depth in range(self.layers)
        ]
        if self.attention_units:
            self.attention = BahdanauAttention(self.attention_units, units, self.memory)
            self.readout_kernel = self.param(
                "readout_kernel",
                initializers.glorot_uniform(),
                (units + self.memory, units),
            )
            self.readout_bias = self.param("readout_bias", initializers.zeros, (units,))
        self.output_kernel = self.param(
            "output_kernel", symmetric(units**-0.5), (self.vocabulary, units)
        )
        self.output_bias = self.param(
            "output_bias", initializers.zeros, (self.vocabulary,)
        )

    def start(
        self, encoded: Encoded, dropout: Dropout | None = None
    ) -> tuple[tuple[State, ...], Memory | None]:
        """The states before the first step, and what the steps look back at."""
        batch = encoded.mask.shape[0]
        states = self.connect(encoded.states, batch)
        if dropout is not None:
            states = tuple(
                tuple(
                    part
                    * scales(
                        dropout.keys,
                        f"state_{depth}_{index}",
                        dropout.state,
                        part.shape[1:],
                    )
                    for index, part in enumerate(state)
                )
                for depth, state in enumerate(states)
            )
        if not self.attention_units:
            return states, None
        return states, self.attention.memory(encoded.memory, encoded.mask)

    def noise(self, dropout: Dropout, time: int) -> DecoderNoise:
        """Draws the dropout of `time` steps."""
        keys, units = dropout.keys, self.cell.units
        return DecoderNoise(
            scales(keys, "target", dropout.embedding, (time, self.embed.noise)),
            scales(keys, "decoder", dropout.output, (time, self.layers, units)),
        )

    def step(
        self,
        states: tuple[State, ...],
        x: Array,
        memory: Memory | None,
        noise: DecoderNoise | None = None,
    ) -> tuple[tuple[State, ...], StepOutput]:
        """One step from token ids [B] or a distribution [B, V]."""
        aux: dict[str, Array] = {}
        context, new = None, []
        step: Step
        below = self.embed(x)
        scale = None if noise is None else noise.embedding
        for depth, (layer, state) in enumerate(zip(self.stack, states, strict=True)):
            params = layer.parameters()
            weights = self.cell.weights(params)
            vectors = self.cell.vectors(params)
            inputs, rest = self.cell.inputs(params, layer.project(below, scale))
            if depth == 0 and memory is not None:
                weights |= self._looks(memory)
                step = partial(_attention_step, self.cell)
                operands = vectors, (*_looked_at(memory), memory.powers)
                state, (below, context, aux["attention"]) = run_step(
                    step, weights, inputs, state, rest, operands
                )
            else:
                step = partial(layer_step, self.cell)
                state, below = run_step(
                    step, weights, inputs, state, (rest, None), vectors
                )
            if noise is not None:
                below = below * noise.outputs[:, depth]
            new.append(state)
            scale = None
        return tuple(new), StepOutput(self._logits(below, context), aux)

    def __call__(
        self,
        states: tuple[State, ...],
        inputs: Array,
        memory: Memory | None,
        noise: DecoderNoise | None = None,
    ) -> StepOutput:
        """All steps at once from known inputs [B, T]: the same function as `step`.

        What does not depend on the recurrence is one product: before it the input
        projections, after it the readout and the vocabulary.

        Returns:
          Logits [B, T, V]; attention [B, T, S].
        """
        aux, context = {}, None
        below = inputs.T
        scale = None if noise is None else noise.embedding.swapaxes(0, 1)
        for depth, (layer, state) in enumerate(zip(self.stack, states, strict=True)):
            params = layer.parameters()
            if depth:
                z = layer.project(below)
            else:
                z = project_tokens(self.embed, layer, inputs.T, scale)
            if depth == 0 and memory is not None:
                weights = self.cell.weights(params) | self._looks(memory)
                added, rest = self.cell.inputs(params, z)
                step = partial(_attention_step, self.cell)
                operands = self.cell.vectors(params), _looked_at(memory)
                _, (below, context, attention) = scan(
                    step, weights, added, state, rest, operands
                )
                aux["attention"] = attention.swapaxes(0, 1)
            else:
                _, below = self.cell.run(params, z, None, state)
            if noise is not None:
                below = below * noise.outputs[:, :, depth].swapaxes(0, 1)
        return StepOutput(self._logits(below, context).swapaxes(0, 1), aux)

    def _looks(self, memory: Memory) -> Weights:
        """The matrices of attention; the values are one for each example."""
        return {"query": (self.attention.query_kernel,), "values": (memory.values,)}

    def _logits(self, h: Array, context: Array | None) -> Array:
        if context is not None:
            read = jnp.concatenate([h, context], axis=-1)
            h = jnp.tanh(affine(read, self.readout_kernel, self.readout_bias))
        logits = affine(h, self.output_kernel.T, self.output_bias)
        emitted = jnp.arange(self.vocabulary) >= EOS
        emitted = jnp.expand_dims(emitted, range(logits.ndim - 1))
        return jnp.where(emitted, logits, -jnp.inf)


def _looked_at(memory: Memory) -> tuple[Array, Array, Array]:
    return memory.keys, memory.mask, memory.score


def _attention_step(
    cell: Cell, dot: Dot, state: State, rest: Any, operands: Any
) -> tuple[State, tuple[Array, Array, Array]]:
    vectors, looked_at = operands
    query = dot("query", state[0])
    weights = attention_weights(query, *looked_at)
    context = dot("values", weights)
    state = cell.step(dot, vectors, rest, state, context)
    return state, (state[0], context, weights)

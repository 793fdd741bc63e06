"""Encoder and decoder together, and the step function that decoding takes."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.config import Config, ModelConfig
from s2sjax.models import cells
from s2sjax.models.attention import Memory
from s2sjax.models.base import Cell, Encoded, State
from s2sjax.models.decoder import Decoder, DecoderNoise
from s2sjax.models.dropout import Dropout
from s2sjax.models.encoder import Encoder
from s2sjax.types import BOS, StepFn, StepOutput


class Seq2Seq(nn.Module):
    """A recurrent sequence-to-sequence model (Sutskever et al. 2014; Cho et al. 2014).

    Attributes:
      config: its shape.
      source_vocabulary: size of the source vocabulary.
      target_vocabulary: size of the target vocabulary.
    """

    config: ModelConfig
    source_vocabulary: int
    target_vocabulary: int

    @property
    def cell(self) -> Cell:
        """The cell of every layer."""
        return cells.build(self.config.cell, self.config.units)

    def setup(self) -> None:
        config = self.config
        self.encoder = Encoder(
            self.source_vocabulary,
            self.cell,
            config.layers,
            config.embedding,
            config.bidirectional,
        )
        attention = config.attention_units or config.units
        self.decoder = Decoder(
            self.target_vocabulary,
            self.cell,
            config.units * (2 if config.bidirectional else 1),
            config.layers,
            config.embedding,
            attention if config.attention == "bahdanau" else 0,
            config.bridge,
        )

    def encode(
        self, source: Array, lengths: Array, dropout: Dropout | None = None
    ) -> Encoded:
        """Reads the source: token ids [B, S] of the given lengths [B]."""
        return self.encoder(source, lengths, dropout)

    def start(
        self, encoded: Encoded, dropout: Dropout | None = None
    ) -> tuple[tuple[State, ...], Memory | None]:
        """The decoder's first states, and what it looks back at."""
        return self.decoder.start(encoded, dropout)

    def noise(self, dropout: Dropout, time: int) -> DecoderNoise:
        """The decoder's dropout of `time` steps."""
        return self.decoder.noise(dropout, time)

    def step(
        self,
        states: tuple[State, ...],
        x: Array,
        memory: Memory | None,
        noise: DecoderNoise | None = None,
    ) -> tuple[tuple[State, ...], StepOutput]:
        """One decoder step; see `Decoder.step`."""
        return self.decoder.step(states, x, memory, noise)

    def __call__(
        self,
        source: Array,
        lengths: Array,
        inputs: Array,
        dropout: Dropout | None = None,
    ) -> StepOutput:
        """All decoder steps from known inputs [B, T]: logits [B, T, V]."""
        states, memory = self.start(self.encode(source, lengths, dropout), dropout)
        noise = None if dropout is None else self.noise(dropout, inputs.shape[1])
        return self.decoder(states, inputs, memory, noise)


def build_model(
    config: Config, source_vocabulary: int, target_vocabulary: int
) -> Seq2Seq:
    """The model of a config for vocabularies of these sizes."""
    return Seq2Seq(config.model, source_vocabulary, target_vocabulary)


def initialise(model: Seq2Seq, key: Array) -> Any:
    """The parameters before training, a nested dict."""
    tokens = jnp.full((1, 1), BOS, jnp.int32)
    return model.init(key, tokens, jnp.ones(1, jnp.int32), tokens)["params"]


def apply(
    model: Seq2Seq, params: Any, *arguments: Any, method: str = "__call__"
) -> Any:
    """Calls a method of the model with these parameters."""
    return model.apply({"params": params}, *arguments, method=method)


def decoder_steps(
    model: Seq2Seq, params: Any, source: Array, lengths: Array
) -> tuple[StepFn, tuple[State, ...], Encoded]:
    """Encodes a source and gives the step function over it, its first carry too.

    Called inside a compiled function, whose arguments `params` and `source` are.
    """
    encoded = apply(model, params, source, lengths, method="encode")
    states, memory = apply(model, params, encoded, method="start")

    def step(carry: Any, x: Array) -> tuple[Any, StepOutput]:
        return apply(model, params, carry, x, memory, method="step")

    return step, states, encoded


def parameter_count(params: Any) -> int:
    """How many numbers the parameters are."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))

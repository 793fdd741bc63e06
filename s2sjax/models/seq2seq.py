"""Encoder and decoder together, and the step function that decoding takes."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import spec
from s2sjax.config import Config, ModelConfig
from s2sjax.errors import Problems, UsageError
from s2sjax.models import cells
from s2sjax.models.attention import build_attention, check
from s2sjax.models.base import Attention, Cell, Encoded, Memory
from s2sjax.models.bridge import bridge_of
from s2sjax.models.context import (
    CONTEXTS,
    Context,
    DecoderNoise,
    DecoderState,
    IntoCell,
)
from s2sjax.models.decoder import Decoder, Feed
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

    def __post_init__(self) -> None:
        super().__post_init__()
        problems = Problems()
        with problems:
            cells.build(self.config.cell, self.config.units)
        with problems:
            bridge_of(self.config.bridge, self.config.bidirectional)
        with problems:
            attention_of(self.config)
        problems.tell()

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
        attention, context = attention_of(self.config)
        self.decoder = Decoder(
            self.target_vocabulary,
            self.cell,
            config.units * (2 if config.bidirectional else 1),
            config.layers,
            config.embedding,
            attention,
            context,
            config.bridge,
        )

    def encode(
        self, source: Array, lengths: Array, dropout: Dropout | None = None
    ) -> Encoded:
        """Reads the source: token ids [B, S] of the given lengths [B]."""
        return self.encoder(source, lengths, dropout)

    def start(
        self, encoded: Encoded, dropout: Dropout | None = None
    ) -> tuple[DecoderState, Memory]:
        """The decoder's first state, and what it looks back at."""
        return self.decoder.start(encoded, dropout)

    def noise(self, dropout: Dropout, time: int) -> DecoderNoise:
        """The decoder's dropout of `time` steps."""
        return self.decoder.noise(dropout, time)

    def step(
        self,
        state: DecoderState,
        x: Array,
        memory: Memory,
        noise: DecoderNoise | None = None,
    ) -> tuple[DecoderState, StepOutput]:
        """One decoder step; see `Decoder.step`."""
        return self.decoder.step(state, x, memory, noise)

    def free(
        self,
        state: DecoderState,
        memory: Memory,
        gold: Array,
        feed: Feed,
        xs: Any = (),
        noise: DecoderNoise | None = None,
    ) -> StepOutput:
        """All decoder steps, each from the last one's output; see `Decoder.free`."""
        return self.decoder.free(state, memory, gold, feed, xs, noise)

    def __call__(
        self,
        source: Array,
        lengths: Array,
        inputs: Array,
        dropout: Dropout | None = None,
    ) -> StepOutput:
        """All decoder steps from known inputs [B, T]: logits [B, T, V]."""
        state, memory = self.start(self.encode(source, lengths, dropout), dropout)
        noise = None if dropout is None else self.noise(dropout, inputs.shape[1])
        return self.decoder(state, inputs, memory, noise)


def attention_of(config: ModelConfig) -> tuple[Attention | None, Context]:
    """The attention that a config names, and where its context goes.

    Raises:
      UsageError: there is no such kind or argument, or they do not fit.
    """
    memory = config.units * (2 if config.bidirectional else 1)
    attention = build_attention(config.attention, config.units, memory)
    if attention is not None:
        check(attention, config.units, memory)
    context: Context = spec.call("model.context", config.context, CONTEXTS)
    if attention is None and not isinstance(context, IntoCell):
        raise UsageError(
            f"model.context={config.context} means nothing without attention; "
            "use model.attention=general"
        )
    return attention, context


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
) -> tuple[StepFn, DecoderState, Encoded]:
    """Encodes a source and gives the step function over it, its first carry too.

    Called inside a compiled function, whose arguments `params` and `source` are.
    """
    encoded = apply(model, params, source, lengths, method="encode")
    state, memory = apply(model, params, encoded, method="start")

    def step(carry: Any, x: Array) -> tuple[Any, StepOutput]:
        return apply(model, params, carry, x, memory, method="step")

    return step, state, encoded


def parameter_count(params: Any) -> int:
    """How many numbers the parameters are."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))

"""Encoder and decoder together, and the step function that decoding takes."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from s2sjax import config as configs
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
    DecoderState,
)
from s2sjax.models.decoder import Decoder, Feed
from s2sjax.models.dropout import NONE, Dropout, Noise
from s2sjax.models.encoder import Encoder
from s2sjax.models.inputs import Embedding, blank, build_inputs
from s2sjax.models.readout import Readout, build_readout
from s2sjax.types import SYMBOLS, Carry, Numbers, Side, StepFn, StepOutput


class Seq2Seq(nn.Module):
    """A recurrent sequence-to-sequence model (Sutskever et al. 2014; Cho et al. 2014).

    p(y | x) = prod_t p(y_t | y_1 .. y_{t-1}, x), of which an encoder reads x and a
    decoder gives one factor after the other.

    Attributes:
      config: its shape.
      source: size of the source vocabulary, the `SYMBOLS` special ids counted; or how
        many numbers are read at a step.
      target: size of the target vocabulary, or the numbers that are written.
      attention: a kind of one's own in place of the config's: a Linen module with the
        methods of `models.base.Attention`, made as `attention(state, values)` for
        queries of size `state` and a memory of size `values`.

    Raises:
      UsageError: a field of the config, or a size, that cannot be.

    >>> model = Seq2Seq(ModelConfig(units=8), source=14, target=14)
    >>> params = model.init(jax.random.key(0))
    >>> step, carry = model.decoder(params, jnp.array([[4, 5, 6]]), jnp.array([3]))
    >>> carry, output = step(carry, jnp.array([BOS]))
    >>> output.logits.shape
    (1, 14)
    """

    config: ModelConfig
    source: Side
    target: Side
    attention: Callable[..., Attention] | None = None

    def __post_init__(self) -> None:
        problems = Problems()
        with problems:
            configs.check_model(self.config)
        with problems:
            _build_kinds(self.config)
        for name in ("source", "target"):
            with problems:
                _check_size(name, getattr(self, name))
        with problems:
            _check_symbols(self.config, self.source, self.target)
        problems.tell()
        super().__post_init__()

    @property
    def cell(self) -> Cell:
        """The cell of every layer."""
        return cells.build(self.config.cell, self.config.units)

    @property
    def readout(self) -> Readout:
        """What it writes at a step, and how that is read at the next."""
        return build_readout(self.config, self.target)

    def setup(self) -> None:
        config = self.config
        reads = build_inputs(self.source, config.embedding)
        writes = build_inputs(self.target, config.embedding)
        if config.share_embeddings:
            source, target = map(vocabulary, (self.source, self.target))
            shared = Embedding(source, config.embedding, name="embed")
            reads = shared
            writes = Embedding(target, config.embedding, shared, parent=None)
        self.reader = Encoder(
            reads,
            self.cell,
            config.layers,
            config.bidirectional,
            name="encoder",
        )
        attention, context = attention_of(self.config)
        if self.attention is not None:
            width = config.units * (2 if config.bidirectional else 1)
            attention = self.attention(config.units, width, parent=None)
        self.writer = Decoder(
            writes,
            self.readout,
            self.cell,
            config.units * (2 if config.bidirectional else 1),
            config.layers,
            attention,
            context,
            config.bridge,
            name="decoder",
        )

    @nn.nowrap
    def init(self, key: Array) -> Any:  # type: ignore[override]
        """The parameters before training, a nested dict of float32 arrays."""
        length = jnp.ones(1, jnp.int32)
        return super().init(key, blank(self.source), length, blank(self.target))[
            "params"
        ]

    @nn.nowrap
    def decoder(
        self, params: Any, source: ArrayLike, lengths: ArrayLike
    ) -> tuple[StepFn, Carry]:
        """The step function over an encoded source, and its first carry.

        Args:
          params: the parameters.
          source: [B, S] int32, token ids without EOS; padding is anything.
          lengths: [B] int32, of each row.

        Raises:
          UsageError: another shape or type.
        """
        step, carry, _ = decoder_steps(
            self,
            params,
            _ids("source", source, "[B, S]"),
            _ids("lengths", lengths, "[B]"),
        )
        return step, carry

    def encode(
        self, source: Array, lengths: Array, dropout: Dropout | None = None
    ) -> Encoded:
        """Reads the source, token ids [B, S] or numbers [B, S, F], of given lengths."""
        return self.reader(source, lengths, dropout)

    def start(
        self, encoded: Encoded, dropout: Dropout | None = None
    ) -> tuple[DecoderState, Memory]:
        """The decoder's first state, and what it looks back at."""
        return self.writer.start(encoded, dropout)

    def noise(self, dropout: Dropout | None, time: int) -> Noise:
        """The decoder's dropout of `time` steps."""
        return self.writer.noise(dropout, time)

    def step(
        self,
        state: DecoderState,
        x: Array,
        memory: Memory,
        noise: Noise = NONE,
    ) -> tuple[DecoderState, StepOutput]:
        """One decoder step; see `Decoder.step`."""
        return self.writer.step(state, x, memory, noise)

    def free(
        self,
        state: DecoderState,
        memory: Memory,
        gold: Array,
        feed: Feed,
        xs: Any = (),
        noise: Noise = NONE,
    ) -> StepOutput:
        """All decoder steps, each from the last one's output; see `Decoder.free`."""
        return self.writer.free(state, memory, gold, feed, xs, noise)

    def __call__(
        self,
        source: Array,
        lengths: Array,
        inputs: Array,
        dropout: Dropout | None = None,
    ) -> StepOutput:
        """All decoder steps from known inputs [B, T, ...]: raw values [B, T, P]."""
        state, memory = self.start(self.encode(source, lengths, dropout), dropout)
        noise = self.noise(dropout, inputs.shape[1])
        return self.writer(state, inputs, memory, noise)


def vocabulary(read: Side) -> int:
    """The size of the vocabulary that one side of a model has.

    Raises:
      UsageError: it has none: it is numbers.
    """
    if isinstance(read, Numbers):
        raise UsageError("this takes symbols; one side of the model is numbers")
    return read


def _check_size(name: str, size: Any) -> None:
    sizes = [size]
    if isinstance(size, Numbers):
        sizes = [size.size, size.known + 1]
    if any(type(each) is not int or each < 1 for each in sizes):
        raise UsageError(f"{name}={size!r} is not a vocabulary's size, or Numbers(..)")


def _check_symbols(config: ModelConfig, source: Side, target: Side) -> None:
    """Refuses tables of symbols where numbers are."""
    numbers = {
        name: size
        for name, size in {"source": source, "target": target}.items()
        if isinstance(size, Numbers)
    }
    of_side = {
        "share_embeddings": "target" if "target" in numbers else "source",
        "embedding_file": "source",
        "tie_output": "target",
        "target_embedding_file": "target",
    }
    found = [
        f"model.{field}={getattr(config, field)} is of symbols; the {side} is numbers"
        for field, side in of_side.items()
        if getattr(config, field) and side in numbers
    ]
    ends = not numbers and config.share_embeddings
    if ends and vocabulary(source) < vocabulary(target):
        found.append(
            f"model.share_embeddings=True: target={target} is more than "
            f"source={source}; what is written are the first of the symbols that are "
            f"read"
        )
    if found:
        raise UsageError(*found)


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
    return attention, context


def build_model(config: Config, source: Side, target: Side) -> Seq2Seq:
    """The model of a config for vocabularies of these sizes, or for numbers."""
    return Seq2Seq(config.model, source, target)


def check_kinds(config: ModelConfig) -> None:
    """Tries what a config names; of a user's own each by itself, with usual kinds.

    Nothing is computed: shapes alone are looked at.

    Raises:
      UsageError: a kind or argument that is not there or does not fit, whatever a
        user's code raises, or what it returns where something else is wanted.
    """
    usual = ModelConfig(bidirectional=config.bidirectional, bridge=config.bridge)
    for field in ("cell", "attention"):
        text = getattr(config, field)
        if spec.parse(text).file:
            one = dataclasses.replace(usual, **{field: text})
            spec.tried(f"model.{field}", text, partial(_try, one))
    _build_kinds(config)


def _build_kinds(config: ModelConfig) -> None:
    problems = Problems()
    with problems:
        cells.build(config.cell, config.units)
    with problems:
        bridge_of(config.bridge, config.bidirectional)
    with problems:
        attention_of(config)
    problems.tell()


def _try(config: ModelConfig) -> None:
    model = Seq2Seq(config, SYMBOLS, SYMBOLS)
    jax.eval_shape(model.init, jax.random.key(0))


def _ids(name: str, value: ArrayLike, axes: str) -> Array:
    """Whole numbers as an array with these axes."""
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError):
        raise UsageError(
            f"{name} is no array {axes}: rows of several lengths are padded by batch()"
        ) from None
    is_whole = jnp.issubdtype(array.dtype, jnp.integer)
    if array.ndim != len(axes.split(",")) or not is_whole:
        raise UsageError(
            f"{name} is {array.dtype}{list(array.shape)}; it is int32 {axes}"
        )
    return array


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

"""Encoder and decoder together, and the step function that decoding takes."""

from collections.abc import Callable
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from s2sjax import config as configs
from s2sjax import spec
from s2sjax.config import ModelConfig
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
from s2sjax.models.sides import check_size, check_symbols, vocabulary
from s2sjax.types import BOS, Carry, Numbers, Side, StepFn, StepOutput


class Seq2Seq(nn.Module):
    """A recurrent sequence-to-sequence model (Sutskever et al. 2014; Cho et al. 2014).

    p(y | x) = prod_t p(y_t | y_1 .. y_{t-1}, x), of which an encoder reads x and a
    decoder gives one factor after the other.

    Attributes:
      config: its shape.
      source: size of the source vocabulary, the `SYMBOLS` special ids counted; or how
        many numbers are read at a step.
      target: size of the target vocabulary, or the numbers that are written.
      reads: whether its decoder reads what was written; else BOS at every step, so that
        all it knows is what it started from, and of the source (`train.feeding=none`).
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
    reads: bool = True
    ends: ClassVar[bool] = True  # whether the end of an output is a token of it

    def __post_init__(self) -> None:
        problems = Problems()
        with problems:
            configs.check_model(self.config)
        with problems:
            build_kinds(self.config)
        for name in ("source", "target"):
            with problems:
                check_size(name, getattr(self, name))
        with problems:
            check_symbols(self.config, self.source, self.target)
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
            config.latent,
            name="decoder",
        )

    @property
    def rolls(self) -> bool:
        """Whether what it writes depends on what it wrote before."""
        return self.reads and not self.config.direct

    @nn.nowrap
    def _blind(self, inputs: Array) -> Array:
        """Inputs of which nothing is known that was written: BOS, or what is known
        ahead beside zeros."""
        if isinstance(self.target, Numbers):
            own = jnp.arange(inputs.shape[-1]) < self.target.size
            return jnp.where(jnp.expand_dims(own, range(inputs.ndim - 1)), 0, inputs)
        return jnp.full_like(inputs, BOS)

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

    def code(self, encoded: Encoded) -> Array:
        """The bottleneck of `model.latent`, [B, latent]."""
        return self.writer.code(encoded)

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
        if not self.rolls:
            x = (
                self._blind(x)
                if isinstance(self.target, Numbers)
                else jnp.full(len(x), BOS)
            )
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
        if not self.rolls:
            return self.writer(state, self._blind(gold), memory, noise)
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
        if not self.rolls:
            inputs = self._blind(inputs)
        return self.writer(state, inputs, memory, noise)


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


def build_kinds(config: ModelConfig) -> None:
    """Makes what a config names, to see whether it can be made.

    Raises:
      UsageError: a kind or argument that is not there or does not fit.
    """
    problems = Problems()
    with problems:
        cells.build(config.cell, config.units)
    with problems:
        bridge_of(config.bridge, config.bidirectional and not config.latent)
    with problems:
        attention_of(config)
    problems.tell()


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
    model: nn.Module, params: Any, *arguments: Any, method: str = "__call__"
) -> Any:
    """Calls a method of the model with these parameters."""
    return model.apply({"params": params}, *arguments, method=method)


def started(
    model: Any,
    params: Any,
    source: Array,
    lengths: Array,
    dropout: Dropout | None = None,
) -> tuple[DecoderState, Memory, Encoded]:
    """Encodes a source: the decoder's first state over it, what it looks back at, and
    all that the encoder says.

    Called inside a compiled function, whose arguments `params` and `source` are.
    """
    encoded = apply(model, params, source, lengths, dropout, method="encode")
    state, memory = apply(model, params, encoded, dropout, method="start")
    return state, memory, encoded


def decoder_steps(
    model: Any, params: Any, source: Array, lengths: Array
) -> tuple[StepFn, DecoderState, Encoded]:
    """Encodes a source and gives the step function over it, its first carry too.

    Called as `started`.
    """
    state, memory, encoded = started(model, params, source, lengths)
    return step_over(model, params, memory), state, encoded


def step_over(model: Any, params: Any, memory: Memory) -> StepFn:
    """The step function of a decoder that looks back at this."""

    def step(carry: Any, x: Array) -> tuple[Any, StepOutput]:
        stepped: tuple[Any, StepOutput] = apply(
            model, params, carry, x, memory, method="step"
        )
        return stepped

    return step


def parameter_count(params: Any) -> int:
    """How many numbers the parameters are."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))

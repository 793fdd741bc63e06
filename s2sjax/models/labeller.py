"""Models without a decoder: what they say is read off the encoder's states.

Of what they say nothing is fed back, so that all of it comes of one pass over the
source, and its length is known before: there is no token that ends it. Of symbols the
logits past the last output say EOS with probability 1, which costs nothing, and does
not count.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from s2sjax import config as configs
from s2sjax.config import ModelConfig
from s2sjax.errors import Problems, UsageError
from s2sjax.models import cells
from s2sjax.models.attention.softmax import masked_softmax
from s2sjax.models.base import Cell, Encoded, States
from s2sjax.models.dropout import Dropout
from s2sjax.models.encoder import Encoder
from s2sjax.models.inputs import blank, build_inputs
from s2sjax.models.layer import at_once, symmetric
from s2sjax.models.readout import Readout, build_readout
from s2sjax.models.sides import check_size, check_symbols
from s2sjax.types import EOS, Numbers, Side, StepOutput

Lengths = TypeVar("Lengths", int, Array)


class Labeller(nn.Module):
    """Reads the source, and says something of what it has read.

    Attributes:
      config: its shape.
      source: size of the source vocabulary, the `SYMBOLS` special ids counted; or how
        many numbers are read at a step.
      target: size of the target vocabulary, or the numbers that are said.

    Raises:
      UsageError: a field of the config, or a size, that cannot be.
    """

    config: ModelConfig
    source: Side
    target: Side
    architecture: ClassVar[str]
    rolls: ClassVar[bool] = False  # see `Seq2Seq.rolls`

    def __post_init__(self) -> None:
        problems = Problems()
        with problems:
            configs.check_model(self.config)
        with problems:
            cells.build(self.config.cell, self.config.units)
        for name in ("source", "target"):
            with problems:
                check_size(name, getattr(self, name))
        with problems:
            check_symbols(self.config, self.source, self.target)
        problems.tell()
        if self.config.architecture != self.architecture:
            raise UsageError(
                f"model.architecture={self.config.architecture} is not that of "
                f"{type(self).__name__}, {self.architecture}"
            )
        super().__post_init__()

    @property
    def ends(self) -> bool:
        """Whether all of a target is said, its end too: of symbols it is not, and
        numbers have none."""
        return isinstance(self.target, Numbers)

    @property
    def cell(self) -> Cell:
        """The cell of every layer."""
        return cells.build(self.config.cell, self.config.units)

    @property
    def width(self) -> int:
        """Size C of what outputs are read from."""
        return self.config.units * (2 if self.config.bidirectional else 1)

    @property
    def readout(self) -> Readout:
        """What is made of what outputs are read from."""
        return build_readout(self.config, self.target)

    def setup(self) -> None:
        config = self.config
        inputs = build_inputs(self.source, config.embedding)
        self.encoder = Encoder(inputs, self.cell, config.layers, config.bidirectional)
        draws = self.readout.parameters(self.width)
        self.output = {name: self.param(name, draw) for name, draw in draws.items()}

    @nn.nowrap
    def init(self, key: Array) -> Any:  # type: ignore[override]
        """The parameters before training, a nested dict of float32 arrays."""
        length = jnp.ones(1, jnp.int32)
        return super().init(key, blank(self.source), length, blank(self.target))[
            "params"
        ]

    @nn.nowrap
    def outputs(self, symbols: Lengths) -> Lengths:
        """How many symbols are said of a source of so many."""
        raise NotImplementedError

    def encode(
        self, source: Array, lengths: Array, dropout: Dropout | None = None
    ) -> Encoded:
        """Reads the source, token ids [B, S] or numbers [B, S, F], of given lengths."""
        return self.encoder(source, lengths, dropout)

    def read(self, encoded: Encoded) -> tuple[Array, dict[str, Array]]:
        """What outputs are read from, [B, T, C], and what is reported of it."""
        raise NotImplementedError

    def __call__(
        self,
        source: Array,
        lengths: Array,
        inputs: Array,
        dropout: Dropout | None = None,
    ) -> StepOutput:
        """All that is said, raw values [B, T, P]; of `inputs` [B, T, ...] the width
        alone counts."""
        h, aux = self.read(self.encode(source, lengths, dropout))
        return StepOutput(self.within(self.said(h), lengths, inputs.shape[1]), aux)

    def said(self, h: Array) -> Array:
        """What is said of the source: raw values [B, T, P] of h [B, T, C]."""
        dot = at_once(self.readout.weights(self.output, self.encoder.embed))
        return self.readout.read(dot, h)

    @nn.nowrap
    def within(self, raw: Array, lengths: Array, time: int) -> Array:
        """What is said in `time` places, which of symbols past the end is EOS."""
        raw = jnp.pad(raw[:, :time], ((0, 0), (0, max(time - raw.shape[1], 0)), (0, 0)))
        if isinstance(self.target, Numbers):
            return raw
        within = jnp.arange(time)[None] < self.outputs(lengths)[:, None]
        ended = jnp.where(jnp.arange(self.target) == EOS, 0.0, -jnp.inf)
        return jnp.where(within[..., None], raw, ended[None, None])


class Aligned(Labeller):
    """An output for each input (Graves 2012, chapter 3; Chollet 2017's trivial case).

        logits_t = V m_{t+N} + d

    of the encoder's outputs m, N = `config.lookahead`; of numbers it is whatever their
    readout makes of m. A model of one direction knows of the source what comes up to
    t + N; past its end EOS is read N times, of numbers rows of zeros.

    >>> import jax
    >>> config = ModelConfig(architecture="aligned", units=8)
    >>> model = Aligned(config, source=14, target=14)
    >>> params = model.init(jax.random.key(0))
    >>> source, lengths = jnp.array([[4, 5, 6]]), jnp.array([3])
    >>> model.apply({"params": params}, source, lengths, source).logits.shape
    (1, 3, 14)
    """

    architecture = "aligned"

    @nn.nowrap
    def outputs(self, symbols: Lengths) -> Lengths:
        return symbols

    def encode(
        self, source: Array, lengths: Array, dropout: Dropout | None = None
    ) -> Encoded:
        ahead, time = self.config.lookahead, source.shape[1]
        if not ahead:
            return self.encoder(source, lengths, dropout)
        longer = self.extended(source, lengths, time + ahead)
        encoded = self.encoder(longer, lengths + ahead, dropout)
        mask = jnp.arange(time)[None] < lengths[:, None]
        return encoded._replace(memory=encoded.memory[:, ahead:], mask=mask)

    @nn.nowrap
    def extended(self, source: Array, lengths: Array, width: int) -> Array:
        """The source in `width` places, with what is read past its end."""
        filler: Any = 0.0 if isinstance(self.source, Numbers) else EOS
        rest = [(0, 0)] * (source.ndim - 2)
        longer = jnp.pad(source, [(0, 0), (0, width - source.shape[1]), *rest])
        beyond = jnp.arange(width)[None] >= lengths[:, None]
        beyond = jnp.expand_dims(beyond, range(2, source.ndim))
        return jnp.where(beyond, filler, longer)

    def read(self, encoded: Encoded) -> tuple[Array, dict[str, Array]]:
        return encoded.memory, {}

    @nn.nowrap
    def start(self, batch: int) -> States:
        """The states before the first input, of one direction."""
        layers = range(self.config.layers)
        return tuple((cells.initial_state(self.cell, batch),) for _ in layers)

    def advance(
        self,
        before: States,
        source: Array,
        lengths: Array,
        dropout: Dropout | None = None,
    ) -> tuple[States, Array]:
        """Reads on in one direction: the states after these inputs [B, S, ...], and
        the raw values [B, S, P] at each of them, of the output N inputs before."""
        encoded = self.encoder(source, lengths, dropout, before)
        return encoded.states, self.said(encoded.memory)


class Classifier(Labeller):
    """One symbol of the whole source: logits = V p + d, of the pooled p of `POOLINGS`.

    >>> import jax
    >>> config = ModelConfig(architecture="classifier", units=8)
    >>> model = Classifier(config, source=14, target=6)
    >>> params = model.init(jax.random.key(0))
    >>> source, lengths = jnp.array([[4, 5, 6]]), jnp.array([3])
    >>> model.apply({"params": params}, source, lengths, source[:, :1]).logits.shape
    (1, 1, 6)
    """

    architecture = "classifier"

    def setup(self) -> None:
        super().setup()
        self.pool = POOLINGS[self.config.pooling](self.width, name="pooling")

    @nn.nowrap
    def outputs(self, symbols: Lengths) -> Lengths:
        return 0 * symbols + 1

    def read(self, encoded: Encoded) -> tuple[Array, dict[str, Array]]:
        pooled, aux = self.pool(encoded)
        return pooled[:, None], aux


class Last(nn.Module):
    """The last layer's h after the end, of both directions side by side."""

    size: int

    def __call__(self, encoded: Encoded) -> tuple[Array, dict[str, Array]]:
        """-> [B, C], and nothing."""
        return jnp.concatenate([state[0] for state in encoded.states[-1]], -1), {}


class Mean(nn.Module):
    """The mean of the encoder's outputs; 0 for an empty source."""

    size: int

    def __call__(self, encoded: Encoded) -> tuple[Array, dict[str, Array]]:
        """-> [B, C], and nothing."""
        mask = encoded.mask[..., None]
        count = jnp.maximum(jnp.sum(mask, axis=1), 1)
        return jnp.sum(jnp.where(mask, encoded.memory, 0), axis=1) / count, {}


class Attentive(nn.Module):
    """A mean of the encoder's outputs m, weighted (Yang et al. 2016, section 2.2):

        a = softmax_t(u . tanh(W m_t + b)),    p = sum_t a_t m_t

    0 for an empty source.
    """

    size: int

    @nn.compact
    def __call__(self, encoded: Encoded) -> tuple[Array, dict[str, Array]]:
        """-> [B, C], and attention [B, 1, S]."""
        keys = jnp.tanh(nn.Dense(self.size, name="key")(encoded.memory))
        score = self.param("score", symmetric(self.size**-0.5), (self.size,))
        weights = masked_softmax(keys @ score, encoded.mask)
        pooled = jnp.einsum("bs,bsc->bc", weights, encoded.memory)
        return pooled, {"attention": weights[:, None]}


POOLINGS: dict[str, Callable[..., nn.Module]] = {
    "last": Last,
    "mean": Mean,
    "attention": Attentive,
}

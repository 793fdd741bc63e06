"""The stages of a decoder, and where attention's context comes in.

A stage is a recurrence of its own. It knows sizes and names but no array: `dot` has its
matrices, `operands` the vectors of each layer and the memory of attention, by the
stage's `parts`. The same stage runs over all of time at once or step by step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import jax.numpy as jnp
from jax import Array

from s2sjax.models.base import (
    Attention,
    Cell,
    Dot,
    Inputs,
    Parameters,
    State,
    Weights,
)
from s2sjax.models.dropout import Noise, drop
from s2sjax.models.scan import scan


class DecoderState(NamedTuple):
    """All that one step leaves to the next; leading axis B throughout."""

    layers: tuple[State, ...]  # of each layer, [B, D] a part
    attention: Any = ()  # the attention's own
    attentional: Any = ()  # h~ [B, D], where it is fed


class Flow(NamedTuple):
    """What a stage hands to the next, of one step or of all, [..., size]."""

    h: Array  # what the next stage reads
    context: Array | None = None  # what the readout reads besides
    aux: dict[str, Array] = {}

    def then(self, new: "Flow") -> "Flow":
        """This, after a stage has said something new."""
        context = self.context if new.context is None else new.context
        return Flow(new.h, context, self.aux | new.aux)


class Known(NamedTuple):
    """What all stages read, where they run over all of time."""

    dot: Dot  # the products of all steps at once
    weights: Weights  # of every part, `layer_0.recurrent`
    operands: dict[str, Any]  # of every part
    params: dict[str, Parameters]  # of every layer
    noise: Noise  # [T, B, size]


class Stage(Protocol):
    """A part of the decoder that is a recurrence of its own."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Whose matrices and operands the body takes, e.g. `layer_0`."""

    def own(self, state: DecoderState) -> Any:
        """What the body carries."""

    def put(self, state: DecoderState, own: Any) -> DecoderState:
        """The state after the body."""

    def run(self, known: Known, state: DecoderState, flow: Flow) -> Flow:
        """All steps at once, from what is below."""

    def prepare(
        self, dot: Dot, flow: Flow, noise: Noise, operands: Any
    ) -> tuple[Inputs, Any]:
        """What does not wait for the step before: what is added to the body's products,
        and what the body reads besides."""

    def body(self, dot: Dot, own: Any, x: Any, operands: Any) -> tuple[Any, Flow]:
        """One step."""

    def finish(self, flow: Flow, noise: Noise) -> Flow:
        """The dropout of what it says."""


def within(part: str, dot: Dot) -> Dot:
    """The products of one part of a step."""
    return lambda name, *lhs: dot(f"{part}.{name}", *lhs)


def prefixed(part: str, named: dict[str, Any]) -> dict[str, Any]:
    """What one part of a step has, by the names of the whole."""
    return {f"{part}.{name}": value for name, value in named.items()}


def run_stage(
    stage: Stage,
    dot: Dot,
    state: DecoderState,
    flow: Flow,
    noise: Noise,
    operands: Any,
) -> tuple[DecoderState, Flow]:
    """One step of one stage, nothing of which is known ahead."""
    added, x = stage.prepare(dot, flow, noise, operands)

    def with_added(name: str, *lhs: Array) -> Array:
        product = dot(name, *lhs)
        return product + added[name] if name in added else product

    own, new = stage.body(with_added, stage.own(state), x, operands)
    return stage.put(state, own), stage.finish(flow.then(new), noise)


def over_time(stage: Stage, known: Known, state: DecoderState, flow: Flow) -> Flow:
    """All steps of one stage: what is known ahead, then its bodies."""
    noise = known.noise
    added, xs = stage.prepare(known.dot, flow, noise, known.operands)
    weights, operands = (
        {name: value for name, value in named.items() if _part(name) in stage.parts}
        for named in (known.weights, known.operands)
    )
    _, new = scan(stage.body, weights, added, stage.own(state), xs, operands)
    return stage.finish(flow.then(new), noise)


def _part(name: str) -> str:
    """`layer_0` of `layer_0.recurrent`."""
    return name.partition(".")[0]


@dataclass(frozen=True)
class Recurrent:
    """A layer: h' = cell(below, h)."""

    cell: Cell
    depth: int

    @property
    def name(self) -> str:
        """What its matrices and operands are called by."""
        return f"layer_{self.depth}"

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.name,)

    def own(self, state: DecoderState) -> Any:
        return state.layers[self.depth]

    def put(self, state: DecoderState, own: Any) -> DecoderState:
        layers = list(state.layers)
        layers[self.depth] = own
        return state._replace(layers=tuple(layers))

    def prepare(
        self, dot: Dot, flow: Flow, noise: Noise, operands: Any
    ) -> tuple[Inputs, Any]:
        z = dot(f"input_{self.depth}", flow.h)
        added, rest = self.cell.inputs(z)
        return prefixed(self.name, added), rest

    def run(self, known: Known, state: DecoderState, flow: Flow) -> Flow:
        # As in the encoder: a cell may have its own way over time.
        z = known.dot(f"input_{self.depth}", flow.h)
        params, first = known.params[self.name], state.layers[self.depth]
        _, h = self.cell.run(params, z, None, first)
        return self.finish(flow.then(Flow(h)), known.noise)

    def body(self, dot: Dot, own: Any, x: Any, operands: Any) -> tuple[Any, Flow]:
        new = self.advance(dot, own, x, operands, None)
        return new, Flow(new[0])

    def advance(
        self, dot: Dot, state: State, x: Any, operands: Any, second: Array | None
    ) -> State:
        """The cell's step; `second` is what enters it besides."""
        dot, vectors = within(self.name, dot), operands[self.name]
        return self.cell.step(dot, vectors, x, state, second)

    def finish(self, flow: Flow, noise: Noise) -> Flow:
        return flow._replace(h=drop(noise, self.name, flow.h))


@dataclass(frozen=True)
class Asking(Recurrent):
    """A layer whose last output asks, and into whose cell the context goes."""

    attention: Attention

    @property
    def parts(self) -> tuple[str, ...]:
        return self.name, "attention"

    def own(self, state: DecoderState) -> Any:
        return super().own(state), state.attention

    def put(self, state: DecoderState, own: Any) -> DecoderState:
        return super().put(state, own[0])._replace(attention=own[1])

    def run(self, known: Known, state: DecoderState, flow: Flow) -> Flow:
        return over_time(self, known, state, flow)

    def body(self, dot: Dot, own: Any, x: Any, operands: Any) -> tuple[Any, Flow]:
        state, looked = own
        context, looked, aux = self.attention.look(
            within("attention", dot), state[0], operands["attention"], looked
        )
        new = self.advance(dot, state, x, operands, context)
        return (new, looked), Flow(new[0], context, aux)


@dataclass(frozen=True)
class Told(Recurrent):
    """A layer into whose cell the same goes at every step."""

    @property
    def parts(self) -> tuple[str, ...]:
        return self.name, "attention"

    def run(self, known: Known, state: DecoderState, flow: Flow) -> Flow:
        return over_time(self, known, state, flow)

    def body(self, dot: Dot, own: Any, x: Any, operands: Any) -> tuple[Any, Flow]:
        new = self.advance(dot, own, x, operands, operands["attention"])
        return new, Flow(new[0])


@dataclass(frozen=True)
class Looking:
    """Attention by itself: what is below asks."""

    attention: Attention
    parts: tuple[str, ...] = ("attention",)

    def own(self, state: DecoderState) -> Any:
        return state.attention

    def put(self, state: DecoderState, own: Any) -> DecoderState:
        return state._replace(attention=own)

    def prepare(
        self, dot: Dot, flow: Flow, noise: Noise, operands: Any
    ) -> tuple[Inputs, Any]:
        return {}, flow.h

    def run(self, known: Known, state: DecoderState, flow: Flow) -> Flow:
        return over_time(self, known, state, flow)

    def body(self, dot: Dot, own: Any, x: Any, operands: Any) -> tuple[Any, Flow]:
        context, looked, aux = self.attention.look(
            within("attention", dot), x, operands["attention"], own
        )
        return looked, Flow(x, context, aux)

    def finish(self, flow: Flow, noise: Noise) -> Flow:
        return flow


@dataclass(frozen=True)
class Fed(Recurrent):
    """A layer that reads besides what the decoder last said."""

    def own(self, state: DecoderState) -> Any:
        return super().own(state), state.attentional

    def run(self, known: Known, state: DecoderState, flow: Flow) -> Flow:
        return over_time(self, known, state, flow)

    def body(self, dot: Dot, own: Any, x: Any, operands: Any) -> tuple[Any, Flow]:
        state, attentional = own
        new = self.advance(dot, state, x, operands, attentional)
        return new, Flow(new[0])


@dataclass(frozen=True)
class Loop:
    """Stages that wait for one another, since the last feeds the first."""

    bottom: Fed
    above: tuple[Stage, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        inputs = [f"input_{depth}" for depth in range(1, len(self.above))]
        above = [part for stage in self.above for part in stage.parts]
        return (*self.bottom.parts, *above, *inputs, "readout")

    def own(self, state: DecoderState) -> Any:
        return state

    def put(self, state: DecoderState, own: Any) -> DecoderState:
        return own

    def prepare(
        self, dot: Dot, flow: Flow, noise: Noise, operands: Any
    ) -> tuple[Inputs, Any]:
        added, rest = self.bottom.prepare(dot, flow, noise, operands)
        return added, (rest, noise)

    def run(self, known: Known, state: DecoderState, flow: Flow) -> Flow:
        return over_time(self, known, state, flow)

    def body(self, dot: Dot, own: Any, x: Any, operands: Any) -> tuple[Any, Flow]:
        rest, noise = x
        layer, flow = self.bottom.body(dot, self.bottom.own(own), rest, operands)
        state, flow = self.bottom.put(own, layer), self.bottom.finish(flow, noise)
        for stage in self.above:
            state, flow = run_stage(stage, dot, state, flow, noise, operands)
        vector = attentional(dot, flow.h, flow.context)
        return state._replace(attentional=vector), Flow(vector, None, flow.aux)

    def finish(self, flow: Flow, noise: Noise) -> Flow:
        return flow


def attentional(dot: Dot, h: Array, context: Array | None) -> Array:
    """h~ = tanh(W [h; c] + b); h where there is no context."""
    if context is None:
        return h
    return jnp.tanh(dot("readout", jnp.concatenate([h, context], axis=-1)))


class Context(Protocol):
    """Where what is known of the source comes in."""

    looks: ClassVar[bool]  # whether attention finds it; else the bridge's summary is it

    def enters(self, units: int, memory: int) -> int:
        """Size of what enters the first layer's cell besides its input; 0: nothing."""

    def start(self, state: DecoderState) -> DecoderState:
        """The first state, with what this kind carries."""

    def stages(self, layers: Sequence[Recurrent], attention: Any) -> tuple[Stage, ...]:
        """The column, bottom first."""


@dataclass(frozen=True)
class IntoCell:
    """The state of the first layer asks; the context enters its cell and the readout.

        c_t = attend(h_{t-1}),    h_t = cell([y_{t-1}; c_t], h_{t-1})
        logits_t = V tanh(W [h_t; c_t] + b) + d

    Layers above read the layer below, and the readout reads the last. (Bahdanau et al.
    2015; that the bottom layer asks is from Wu et al. 2016, section 3: the layers above
    then do not wait for one another.)
    """

    looks: ClassVar[bool] = True

    def enters(self, units: int, memory: int) -> int:
        return memory

    def start(self, state: DecoderState) -> DecoderState:
        return state

    def stages(
        self, layers: Sequence[Recurrent], attention: Attention
    ) -> tuple[Stage, ...]:
        return Asking(layers[0].cell, 0, attention), *layers[1:]


@dataclass(frozen=True)
class IntoReadout:
    """The new state of the last layer asks; the context enters the readout alone.

        h_t = cell(y_{t-1}, h_{t-1}),    c_t = attend(h_t)
        logits_t = V tanh(W [h_t; c_t] + b) + d

    (Luong, Pham and Manning 2015, section 3.)
    """

    looks: ClassVar[bool] = True

    def enters(self, units: int, memory: int) -> int:
        return 0

    def start(self, state: DecoderState) -> DecoderState:
        return state

    def stages(
        self, layers: Sequence[Recurrent], attention: Attention
    ) -> tuple[Stage, ...]:
        return *layers, Looking(attention)


@dataclass(frozen=True)
class InputFeeding:
    """As `readout`, and what the vocabulary sees is fed beside the next input.

        h_t = cell([y_{t-1}; h~_{t-1}], h_{t-1}),    c_t = attend(h_t)
        h~_t = tanh(W [h_t; c_t] + b),    logits_t = V h~_t + d,    h~_0 = 0

    so that each step knows where those before it looked. (Luong, Pham and Manning 2015,
    section 3.3.) h_t of the last layer asks, and all layers wait for the step before.
    """

    looks: ClassVar[bool] = True

    def enters(self, units: int, memory: int) -> int:
        return units

    def start(self, state: DecoderState) -> DecoderState:
        return state._replace(attentional=jnp.zeros_like(state.layers[-1][0]))

    def stages(
        self, layers: Sequence[Recurrent], attention: Attention
    ) -> tuple[Stage, ...]:
        bottom = Fed(layers[0].cell, 0)
        return (Loop(bottom, (*layers[1:], Looking(attention))),)


@dataclass(frozen=True)
class Constant:
    """A summary c of the source enters the first layer's cell at every step.

        h_t = cell([y_{t-1}; c], h_{t-1}),    logits_t = V h_t + d

    c is the h of the encoder's last layer after the end, of both directions side by
    side, or the code of `model.latent`. (Cho et al. 2014, section 2.2, whose output
    reads c too; the RepeatVector of Keras.)
    """

    looks: ClassVar[bool] = False

    def enters(self, units: int, memory: int) -> int:
        return memory

    def start(self, state: DecoderState) -> DecoderState:
        return state

    def stages(self, layers: Sequence[Recurrent], attention: Any) -> tuple[Stage, ...]:
        return Told(layers[0].cell, 0), *layers[1:]


CONTEXTS: dict[str, Callable[[], Context]] = {
    "cell": IntoCell,
    "readout": IntoReadout,
    "input_feeding": InputFeeding,
    "constant": Constant,
}

"""The bridge: how the decoder's first states come from what the encoder read.

A kind is a module of a decoder's cell and number of layers, that makes of `Encoded` one
state for each layer. With s the encoder's states after the end, of both directions side
by side where there are two, and M its outputs:

    copy      state = s, of the encoder's layer at the same height
    dense     h = tanh(W s_h + b), and W s_c + b without the tanh for an LSTM's c, layer
              by layer (Bahdanau et al. 2015, A.2.2)
    mean      h = tanh(W mean_t M_t + b), c without the tanh, over the real symbols (Xu
              et al. 2015, section 3.1.2; Sennrich et al. 2017, Nematus)
    zero      state = 0
    learned   state = a parameter, the same for every source, that starts at 0

With `model.latent` the states come from a code z of so many numbers, and it from those
of the encoder: z = W [s_1; ..; s_L] + b, h = tanh(W z + b), c without the tanh.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers

from s2sjax import spec
from s2sjax.errors import UsageError, unknown
from s2sjax.models.base import Cell, Encoded, State
from s2sjax.models.cells import initial_state

DIRECTIONS = ("forward", "backward")


class Bridge(nn.Module):
    """Encoded source to the decoder's first states.

    Attributes:
      cell: the decoder's cell.
      layers: how many it has.
    """

    cell: Cell
    layers: int

    def __call__(self, encoded: Encoded) -> tuple[State, ...]:
        """One state per layer, each part [B, D]."""
        raise NotImplementedError

    def summary(self, encoded: Encoded) -> Array:
        """What a constant context tells of the source, [B, C]: the last layer's h."""
        return jnp.concatenate([state[0] for state in encoded.states[-1]], axis=-1)

    def _check(self, encoded: Encoded) -> None:
        """Refuses an encoder with other layers or with another kind of state."""
        parts = {len(state) for sides in encoded.states for state in sides}
        if (len(encoded.states), parts) != (self.layers, {len(self.cell.names)}):
            raise UsageError(
                f"bridge: {len(encoded.states)} layers came with states of "
                f"{sorted(parts)} parts; {self.layers} with "
                f"{len(self.cell.names)} were wanted; use bridge=mean"
            )


class Copy(Bridge):
    """The states of one direction, as they are."""

    direction: str | None

    def __call__(self, encoded: Encoded) -> tuple[State, ...]:
        self._check(encoded)
        sides = len(encoded.states[0])
        _check_direction(self.direction, sides == 2)
        side = DIRECTIONS.index(self.direction or "forward")
        states = tuple(directions[side] for directions in encoded.states)
        sizes = {part.shape[1] for state in states for part in state}
        if sizes != {self.cell.units}:
            raise UsageError(
                f"bridge=copy: states of {sorted(sizes)} units came, "
                f"{self.cell.units} were wanted; use bridge=dense"
            )
        return states


class Zero(Bridge):
    """Nothing, so that all the decoder knows comes through attention."""

    def __call__(self, encoded: Encoded) -> tuple[State, ...]:
        return (initial_state(self.cell, len(encoded.mask)),) * self.layers


class Learned(Bridge):
    """Parameters, whatever the source."""

    @nn.compact
    def __call__(self, encoded: Encoded) -> tuple[State, ...]:
        shape, batch = (self.cell.units,), len(encoded.mask)

        def first(depth: int, name: str) -> Array:
            value = self.param(f"layer_{depth}_{name}", initializers.zeros, shape)
            return jnp.broadcast_to(value, (batch, *shape))

        return tuple(
            tuple(first(depth, name) for name in self.cell.names)
            for depth in range(self.layers)
        )


class _Mapped(Bridge):
    """A dense layer for each part of each state."""

    def setup(self) -> None:
        self.dense = [
            [
                nn.Dense(self.cell.units, name=f"layer_{depth}_part_{part}")
                for part in range(len(self.cell.names))
            ]
            for depth in range(self.layers)
        ]

    def _map(self, depth: int, part: int, x: Array) -> Array:
        mapped = self.dense[depth][part](x)
        return jnp.tanh(mapped) if part == 0 else mapped


class Dense(_Mapped):
    """Layer by layer, of both directions side by side."""

    def __call__(self, encoded: Encoded) -> tuple[State, ...]:
        self._check(encoded)
        return tuple(
            tuple(
                self._map(depth, part, jnp.concatenate(sides, axis=-1))
                for part, sides in enumerate(zip(*directions, strict=True))
            )
            for depth, directions in enumerate(encoded.states)
        )


class Mean(_Mapped):
    """Of the mean of the encoder's outputs; 0 for an empty source."""

    def __call__(self, encoded: Encoded) -> tuple[State, ...]:
        mask = encoded.mask[:, :, None]
        count = jnp.maximum(jnp.sum(mask, axis=1), 1)
        mean = jnp.sum(jnp.where(mask, encoded.memory, 0), axis=1) / count
        return tuple(
            tuple(self._map(depth, part, mean) for part in range(len(self.cell.names)))
            for depth in range(self.layers)
        )


class Bottleneck(_Mapped):
    """A code, and of it what the decoder starts from."""

    size: int

    def setup(self) -> None:
        super().setup()
        self.bottleneck = nn.Dense(self.size, name="code")

    def summary(self, encoded: Encoded) -> Array:
        """The code, [B, size]."""
        parts = [part for side in encoded.states for state in side for part in state]
        return self.bottleneck(jnp.concatenate(parts, axis=-1))

    def __call__(self, encoded: Encoded) -> tuple[State, ...]:
        code = self.summary(encoded)
        return tuple(
            tuple(self._map(depth, part, code) for part in range(len(self.cell.names)))
            for depth in range(self.layers)
        )


def _copy(direction: str | None = None) -> Callable[[Cell, int], Bridge]:
    if direction not in (None, *DIRECTIONS):
        raise unknown("direction", str(direction), DIRECTIONS)
    return partial(Copy, direction=direction)


BRIDGES: dict[str, Callable[..., Callable[[Cell, int], Bridge]]] = {
    "copy": _copy,
    "dense": lambda: Dense,
    "zero": lambda: Zero,
    "mean": lambda: Mean,
    "learned": lambda: Learned,
}


def bridge_of(
    text: str, bidirectional: bool | None = None
) -> Callable[[Cell, int], Bridge]:
    """What makes the bridge that a spec names, of a cell and a number of layers.

    Args:
      text: the spec, e.g. "copy:direction=backward".
      bidirectional: what the encoder is; None: not known here.

    Raises:
      UsageError: there is no such bridge or argument, or it would drop states.
    """
    make: Any = spec.call("model.bridge", text, BRIDGES)
    if bidirectional is not None and isinstance(make, partial):
        _check_direction(make.keywords["direction"], bidirectional)
    bridge: Callable[[Cell, int], Bridge] = make
    return bridge


def _check_direction(direction: str | None, bidirectional: bool) -> None:
    if bidirectional and direction is None:
        raise UsageError(
            "model.bridge=copy would drop the states of one direction; with "
            "model.bidirectional=true use model.bridge=dense, or say which one: "
            "copy:direction=forward"
        )
    if direction == "backward" and not bidirectional:
        raise UsageError(
            "model.bridge=copy:direction=backward needs model.bidirectional=true"
        )

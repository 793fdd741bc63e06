"""Cells that run step after step, and what they are made of."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers

from s2sjax import platforms
from s2sjax.models.base import (
    Cell,
    Dot,
    Draw,
    Inputs,
    Kernel,
    Parameters,
    State,
    Weights,
)
from s2sjax.models.scan import run_layer


@dataclass(frozen=True)
class Stepped:
    """A `Cell` that takes one step after another, without vectors.

    W and b of z = x W + b are the parameters `input_kernel` [I, G] and `bias` [G]; the
    recurrent product is one by itself, and so is that of the context, which is part of
    the input (`read`). Left to say: `names`, `parameters` and `step`.
    """

    units: int
    names: ClassVar[tuple[str, ...]]

    def projection(self, params: Parameters) -> tuple[Array, ...]:
        """See `Cell`."""
        return params["input_kernel"], params["bias"]

    def weights(self, params: Parameters) -> Weights:
        """See `Cell`."""
        kernels = {name: f"{name}_kernel" for name in ("recurrent", "context")}
        return {
            name: (params[kernel],)
            for name, kernel in kernels.items()
            if kernel in params
        }

    def vectors(self, params: Parameters) -> Parameters:
        """None."""
        return {}

    def inputs(self, z: Array) -> tuple[Inputs, Any]:
        """Nothing is added to the products."""
        return {}, z

    def run(
        self: Cell,
        params: Parameters,
        z: Array,
        mask: Array | None,
        state: State,
        reverse: bool = False,
    ) -> tuple[State, Array]:
        """See `Cell`."""
        return run_layer(self, params, z, mask, state, reverse)


class Additive(Stepped):
    """A cell whose pre-activation is one sum, z + h U + context C.

    Left to say: `names`; `gates`, how many blocks of size D the pre-activation has; and
    `activate`.
    """

    gates: ClassVar[int]

    def parameters(self, inputs: int, context: int, kernel: Kernel) -> dict[str, Draw]:
        """See `Cell`."""
        matrices = kernels(self.units, self.gates, inputs, context, kernel)
        return matrices | {"bias": zeros(self.gates * self.units)}

    def weights(self, params: Parameters) -> Weights:
        """See `Cell`."""
        if "context_kernel" not in params:
            return {"recurrent": (params["recurrent_kernel"],)}
        return {"recurrent": (params["recurrent_kernel"], params["context_kernel"])}

    def inputs(self, z: Array) -> tuple[Inputs, Any]:
        """See `Cell`."""
        return {"recurrent": z}, ()

    def step(
        self,
        dot: Dot,
        vectors: Parameters,
        rest: Any,
        state: State,
        context: Array | None,
    ) -> State:
        """See `Cell`."""
        return self.activate(dot("recurrent", *reads(state[0], context)), state)

    def activate(self, a: Array, state: State) -> State:
        """The pre-activation [B, gates D] and the state to the new state."""
        raise NotImplementedError


def kernels(
    units: int, gates: int, inputs: int, context: int, kernel: Kernel
) -> dict[str, Draw]:
    """How the matrices of a cell are drawn, [.., gates units].

    The recurrent kernel is one orthogonal block for each gate (Saxe et al. 2014).
    """
    width = gates * units

    def recurrent(key: Array) -> Array:
        orthogonal = initializers.orthogonal()
        keys = [jax.random.fold_in(key, gate) for gate in range(gates)]
        blocks = [orthogonal(key, (units, units)) for key in keys]
        return jnp.concatenate(blocks, axis=1)

    draws: dict[str, Draw] = {
        "input_kernel": lambda key: kernel(key, (inputs, width)),
        "recurrent_kernel": recurrent,
    }
    if context:
        draws["context_kernel"] = lambda key: glorot(key, (context, width))
    return draws


glorot = initializers.glorot_uniform()


def zeros(size: int) -> Draw:
    """A vector that starts at 0."""
    return lambda key: jnp.zeros(size)


def ones(size: int) -> Draw:
    """A vector that starts at 1."""
    return lambda key: jnp.ones(size)


def read(dot: Dot, z: Array, context: Array | None) -> Array:
    """The projected input, z + context C."""
    return z if context is None else z + dot("context", context)


def reads(h: Array, context: Array | None) -> tuple[Array, ...]:
    """What a product reads: the state, and the context where there is one."""
    return (h,) if context is None else (h, context)


def split(a: Array, blocks: int) -> tuple[Array, ...]:
    """Splits the last axis of an array that is computed before, not on the way."""
    return tuple(jnp.split(platforms.settled(a), blocks, axis=-1))

"""The contracts that the parts of a model meet in, with the axes of every field.

A recurrence is one step scanned over time, and all matrix products of a step go through
the function `dot` that it is given:

    dot(name, *lhs) = sum_i lhs_i @ weights[name][i] + inputs[name]

so that `scan.scan` knows every product and takes each weight's gradient at once. The
rest of a step is elementwise. What a step reads besides is an argument, never closed
over: a parameter, a mask, a key is an operand.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from jax import Array

Parameters = dict[str, Array]
State = tuple[Array, ...]  # of a layer, each [B, D]; the first part is the output h
Weights = dict[str, tuple[Array, ...]]
"""What `dot` multiplies with, by name: matrices [I, O], or one for each example (and
head), [B, .., I, O]; a vector [O] at the end is added and has no left-hand side."""
Inputs = dict[str, Array]  # what is added to the products, [..., O] by name
Dot = Callable[..., Array]
"""`dot(name, *lhs)`, each name once a step. A lhs is [..., I]; integers [...] are
one-hot vectors, whose product is a row of the weight."""


class Encoded(NamedTuple):
    """An encoded source."""

    memory: Array  # [B, S, C], the last layer's outputs, directions side by side
    mask: Array  # [B, S] bool, False on padding
    states: tuple[tuple[State, ...], ...]  # per layer, per direction, after the end


Memory = (
    Any  # what an attention makes of a source: a pytree of arrays, never looked into
)


class Attention(Protocol):
    """A kind of attention, e.g. a Linen module. Only `memory` and `weights` may read
    its parameters: `start` and `look` are functions of their arguments and of what is
    fixed, and find parameters that are no matrices in the memory.
    """

    def memory(self, encoded: Encoded) -> Memory:
        """What is computed once a source: keys, values, the mask, vectors."""

    def weights(self, memory: Memory) -> Weights:
        """The matrices that every look multiplies with, by name."""

    def start(self, memory: Memory) -> Any:
        """The state before the first look, leading axis B; () where there is none."""

    def look(
        self, dot: Dot, query: Array, memory: Memory, state: Any
    ) -> tuple[Array, Any, dict[str, Array]]:
        """One look from `query` [B, D]: the context [B, C], the new state, and what is
        reported: "attention" [B, S], exactly 0 on padding, and whatever else there is,
        e.g. "heads" [B, H, S].
        """

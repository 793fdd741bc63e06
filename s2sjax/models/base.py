"""The contracts that the parts of a model meet in, with the axes of every field.

A recurrence is one step scanned over time, and all matrix products of a step go through
the function `dot` that it is given:

    dot(name, *lhs) = sum_i lhs_i @ weights[name][i] + inputs[name]

so that `scan.scan` knows every product and takes each weight's gradient at once. The
rest of a step is elementwise. What a step reads besides is an argument, never closed
over: a parameter, a mask, a key is an operand.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol

from jax import Array

Parameters = dict[str, Array]
State = tuple[Array, ...]  # of a layer, each [B, D]; the first part is the output h
States = tuple[tuple[State, ...], ...]  # of an encoder: per layer, per direction
Weights = dict[str, tuple[Array, ...]]
"""What `dot` multiplies with, by name: matrices [I, O], or one for each example (and
head), [B, .., I, O]; a vector [O] at the end is added and has no left-hand side."""
Inputs = dict[str, Array]  # what is added to the products, [..., O] by name
Dot = Callable[..., Array]
"""`dot(name, *lhs)`, each name once a step. A lhs is [..., I]; integers [...] are
one-hot vectors, whose product is a row of the weight."""

Draw = Callable[[Array], Array]  # a parameter before training, from its key
Kernel = Callable[[Array, tuple[int, ...]], Array]  # the same, from key and shape


class Cell(Protocol):
    """A recurrent cell: its parameters, and the arithmetic of one step.

    It is split where the speed is. What depends on no state is one product for all
    steps at once (`projection`). What does is the products `dot`, whose weights'
    gradients `scan.scan` takes at once, and the elementwise rest of `step`. A cell is
    hashable: it is static in compiled code. Most are a `cells.stepped.Stepped`.
    """

    names: ClassVar[tuple[str, ...]]  # of the parts of a state, e.g. ("h", "c")

    def __hash__(self) -> int: ...

    @property
    def units(self) -> int:
        """Size D of every part of a state."""

    def parameters(self, inputs: int, context: int, kernel: Kernel) -> dict[str, Draw]:
        """Every parameter by name, and how it is drawn; each has a key of its own.

        Args:
          inputs: size I of the input.
          context: size C of the context that enters as a second input; 0: none.
          kernel: draws the matrices that read the input.
        """

    def projection(self, params: Parameters) -> tuple[Array, ...]:
        """What the input is multiplied with: a matrix [I, G], and a bias [G] if any.

        z = x W + b, [..., G], is computed for all steps at once.
        """

    def weights(self, params: Parameters) -> Weights:
        """The matrices that every step multiplies with."""

    def vectors(self, params: Parameters) -> Parameters:
        """The gains and biases that every step reads."""

    def inputs(self, z: Array) -> tuple[Inputs, Any]:
        """Splits z [..., G] into what is added to the products, and the rest."""

    def step(
        self,
        dot: Dot,
        vectors: Parameters,
        rest: Any,
        state: State,
        context: Array | None,
    ) -> State:
        """One step.

        Args:
          dot: the products; it takes each name once, and a product may depend on
            another.
          vectors: as `vectors` has them.
          rest: this step's rest of `inputs`.
          state: each part [B, D].
          context: [B, C]; None where there is none.
        """

    def run(
        self,
        params: Parameters,
        z: Array,
        mask: Array | None,
        state: State,
        reverse: bool = False,
    ) -> tuple[State, Array]:
        """All steps of a layer without context.

        Args:
          params: its parameters.
          z: projected inputs, [T, B, G].
          mask: [T, B], where there is input; elsewhere the state is carried unchanged.
            None: everywhere.
          state: before the first step.
          reverse: from the last step to the first.

        Returns:
          The state after the last step, and the outputs [T, B, D].
        """


class Encoded(NamedTuple):
    """An encoded source."""

    memory: Array  # [B, S, C], the last layer's outputs, directions side by side
    mask: Array  # [B, S] bool, False on padding
    states: States  # after the end


Memory = (
    Any  # what an attention makes of a source: a pytree of arrays, never looked into
)


class Attention(Protocol):
    """A kind of attention, e.g. a Linen module. Only `memory` and `weights` may read
    its parameters: `start` and `look` are functions of their arguments and of what is
    fixed, and find parameters that are no matrices in the memory.
    """

    def __hash__(self) -> int: ...

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

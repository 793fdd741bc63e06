"""What a cell or an attention returned, against what its contract says.

The checks read shapes alone, so that they cost a trace and no step. They stand where
the model calls a kind, which may be a user's own.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.errors import UsageError
from s2sjax.models.base import Attention, Cell, Dot, Memory, Parameters, State


def advance(
    cell: Cell,
    dot: Dot,
    vectors: Parameters,
    rest: Any,
    state: State,
    context: Array | None,
) -> State:
    """One step of a cell.

    Raises:
      UsageError: the new state is not like the old one.
    """
    new = cell.step(dot, vectors, rest, state, context)
    if shapes(new) != shapes(state):
        raise _wrong(cell, "step", f"the state {shapes(new)}", shapes(state))
    return new


@dataclass(frozen=True)
class Checked:
    """An attention whose looks are held to the contract.

    Attributes:
      attention: the attention.
      width: size C of the context.
    """

    attention: Attention
    width: int

    def look(
        self, dot: Dot, query: Array, memory: Memory, state: Any
    ) -> tuple[Array, Any, dict[str, Array]]:
        """See `Attention.look`.

        Raises:
          UsageError: what comes back is something else.
        """
        returned = self.attention.look(dot, query, memory, state)
        if not isinstance(returned, tuple) or len(returned) != 3:
            wanted = "(context, state, aux)"
            raise _wrong(self.attention, "look", shapes(returned), wanted)
        context, new, aux = returned
        came = (
            ("the context", context, f"{query.dtype}[{len(query)}, {self.width}]"),
            ("the state", new, shapes(state)),
        )
        for name, value, wanted in came:
            if shapes(value) != wanted:
                raise _wrong(self.attention, "look", f"{name} {shapes(value)}", wanted)
        if not isinstance(aux, dict) or jnp.ndim(aux.get("attention", 0)) != 2:
            wanted = f'{{"attention": float[{len(query)}, S]}}'
            raise _wrong(self.attention, "look", f"aux {shapes(aux)}", wanted)
        return context, new, aux


def shapes(tree: Any) -> str:
    """A tree with the type and shape of each array, e.g. `(float32[2, 7], {})`."""

    def shown(leaf: Any) -> str:
        try:
            return f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}"
        except TypeError:
            return type(leaf).__name__

    return str(jax.tree.map(shown, tree)).replace("'", "")


def _wrong(kind: Any, method: str, came: str, wanted: str) -> UsageError:
    return UsageError(
        f"{type(kind).__name__}.{method} returned {came}; wanted {wanted}"
    )

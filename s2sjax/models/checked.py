"""What an attention returned, held against its contract when it is traced."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from s2sjax.errors import UsageError
from s2sjax.models.base import Attention, Dot, Memory
from s2sjax.types import described


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
            raise _wrong(self.attention, "look", described(returned), wanted)
        context, new, aux = returned
        came = (
            ("the context", context, f"{query.dtype}[{len(query)}, {self.width}]"),
            ("the state", new, described(state)),
        )
        for name, value, wanted in came:
            if described(value) != wanted:
                raise _wrong(
                    self.attention, "look", f"{name} {described(value)}", wanted
                )
        if not isinstance(aux, dict) or jnp.ndim(aux.get("attention", 0)) != 2:
            wanted = f'{{"attention": float[{len(query)}, S]}}'
            raise _wrong(self.attention, "look", f"aux {described(aux)}", wanted)
        return context, new, aux


def _wrong(kind: Any, method: str, came: str, wanted: str) -> UsageError:
    return UsageError(
        f"{type(kind).__name__}.{method} returned {came}; wanted {wanted}"
    )

"""The plain cell."""

from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from s2sjax.models.base import State
from s2sjax.models.cells.stepped import Additive


class RNN(Additive):
    """The plain cell (Elman 1990): h' = tanh(z + h U)."""

    names: ClassVar[tuple[str, ...]] = ("h",)
    gates: ClassVar[int] = 1

    def activate(self, a: Array, state: State) -> State:
        """See `Additive`."""
        return (jnp.tanh(a),)

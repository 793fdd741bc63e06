"""The minGRU, whose states can be computed for all of time at once."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.models.base import Dot, Draw, Kernel, Parameters, State
from s2sjax.models.cells.stepped import Stepped, glorot, read, split, zeros


class MinGRU(Stepped):
    """The minimal GRU in its linear form (Feng et al. 2024, section 3.1).

        z_u, n = split(z),    u = sigmoid(z_u),    h' = (1 - u) h + u n

    Neither gate nor candidate reads the state: there is no recurrent matrix, and all
    states together are the solution of a linear recurrence (`run`). An attention's
    context is part of the input, z + context C.
    """

    names: ClassVar[tuple[str, ...]] = ("h",)

    def parameters(self, inputs: int, context: int, kernel: Kernel) -> dict[str, Draw]:
        """See `Cell`."""
        width = 2 * self.units
        draws: dict[str, Draw] = {"input_kernel": lambda k: kernel(k, (inputs, width))}
        if context:
            draws["context_kernel"] = lambda key: glorot(key, (context, width))
        return draws | {"bias": zeros(width)}

    def step(
        self,
        dot: Dot,
        vectors: Parameters,
        rest: Any,
        state: State,
        context: Array | None,
    ) -> State:
        """See `Cell`."""
        z_u, n = split(read(dot, rest, context), 2)
        return (state[0] + jax.nn.sigmoid(z_u) * (n - state[0]),)

    def run(
        self,
        params: Parameters,
        z: Array,
        mask: Array | None,
        state: State,
        reverse: bool = False,
    ) -> tuple[State, Array]:
        """See `Cell`.

        h_t = a_t h_{t-1} + b_t, with a = 1 - u and b = u n, or 1 and 0 where there is
        no input. Two steps are one of the same form, (a, b) then (a', b') is
        (a a', a' b + b'), so that all of them take about 2 log2 T rounds. That is for
        accelerators: on two busy cores stepping was three times as fast (T = 40,
        B = 64, D = 128; 2 and 6 ms for a gradient).
        """
        z_u, n = split(z, 2)
        u = jax.nn.sigmoid(z_u)
        if mask is not None:
            u = jnp.where(mask[:, :, None], u, 0)
        a, b = lax.associative_scan(_both, (1 - u, u * n), reverse=reverse)
        outputs = a * state[0][None] + b
        return (outputs[0 if reverse else -1],), outputs


def _both(first: Any, second: Any) -> tuple[Array, Array]:
    (a, b), (a_next, b_next) = first, second
    return a * a_next, a_next * b + b_next

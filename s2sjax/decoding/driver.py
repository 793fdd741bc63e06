"""Ways to drive a search: until every input is done, or a fixed number of steps."""

from collections.abc import Callable
from typing import TypeVar

from jax import Array, lax

State = TypeVar("State")

Driver = Callable[
    [Callable[[State], State], Callable[[State], Array], State, int], State
]
"""`drive(extend, unfinished, first, most)`: the state after at most `most` steps."""


def until_done(
    extend: Callable[[State], State],
    unfinished: Callable[[State], Array],
    first: State,
    most: int,
) -> State:
    """Ends with the last unfinished input. `unfinished(state)` must say no by then.

    `extend` changes nothing that is returned of a finished one, so that this and
    `every_step` agree.
    """
    return lax.while_loop(unfinished, extend, first)


def every_step(
    extend: Callable[[State], State],
    unfinished: Callable[[State], Array],
    first: State,
    most: int,
) -> State:
    """Always `most` steps: under `vmap` or a gradient as cheap as the other."""
    last, _ = lax.scan(lambda state, _: (extend(state), None), first, None, most)
    return last

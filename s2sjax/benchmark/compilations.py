"""Counting what the compiler is asked for."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

_EVENT = "/jax/core/compile/backend_compile_duration"


class Compilations:
    """How many programs were compiled (or read from the compiler's cache) so far."""

    def __init__(self) -> None:
        self.count = 0

    def heard(self, event: str, duration_secs: float, **_: Any) -> None:
        """Takes an event of jax's."""
        self.count += event == _EVENT


@contextlib.contextmanager
def counted() -> Iterator[Compilations]:
    """Counts every compilation of this process while it lasts.

    >>> with counted() as compilations:
    ...     _ = jax.jit(lambda: 1).lower().compile()
    >>> compilations.count
    1
    """
    compilations = Compilations()
    listener = compilations.heard
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        yield compilations
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)

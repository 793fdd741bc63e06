"""Observers of a run: consoles, trackers, callbacks of the user's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2sjax.inference.kind import Sample


class Observer:
    """Does nothing; an observer overrides what it wants to hear.

    >>> class Losses(Observer):
    ...     def __init__(self):
    ...         self.losses = []
    ...
    ...     def logged(self, step, values):
    ...         self.losses.append((step, values["loss"]))
    """

    def started(self, step: int, steps: int, about: str) -> None:
        """Training goes on from `step` of `steps`."""

    def compiling(self, what: str) -> None:
        """The next dispatch is the first of its shapes, and compiles first."""

    def advanced(self, step: int, loss: float) -> None:
        """A dispatch has ended; loss per token, in nats."""

    def logged(self, step: int, values: dict[str, Any]) -> None:
        """A line of training metrics was written."""

    def evaluating(self, step: int, done: int, all_: int) -> None:
        """An evaluation is under way: so many validation examples of all are done."""

    def evaluated(
        self, step: int, values: dict[str, Any], samples: Sequence[Sample], best: bool
    ) -> None:
        """A free-running evaluation on the validation examples; `best` where the
        metric, or at an equal one the nll, is better than ever before."""

    def message(self, line: str) -> None:
        """A line for a person."""

    def ended(self, step: int, reason: str) -> None:
        """Training has ended: "done", "patience" or "signal"."""

    def tested(self, values: dict[str, Any]) -> None:
        """The best checkpoint on test data, as `test.json` has it."""

    def drawn(self, picture: Path) -> None:
        """A picture of the run was drawn into a file."""

    def close(self) -> None:
        """Nothing more is told; without `ended` before, the run has failed."""


class Relay(Observer):
    """Hands all that it is told to `tell`."""

    def tell(self, event: str, *args: Any, **named: Any) -> None:
        """Takes the name of a method of `Observer` and its arguments."""
        raise NotImplementedError


def _relayed(event: str) -> Any:
    def hand_on(self: Relay, *args: Any, **named: Any) -> None:
        self.tell(event, *args, **named)

    return hand_on


for _event in [name for name in vars(Observer) if not name.startswith("_")]:
    setattr(Relay, _event, _relayed(_event))


class Observers(Relay):
    """Tells several observers, in order."""

    def __init__(self, observers: Sequence[Observer]):
        self._observers = tuple(observers)

    def tell(self, event: str, *args: Any, **named: Any) -> None:
        """Tells each of them."""
        for observer in self._observers:
            getattr(observer, event)(*args, **named)

"""Who is told how a run goes: consoles, TensorBoard, tests."""

from collections.abc import Sequence
from typing import Any

from s2sjax.inference.evaluate import Sample


class Observer:
    """Does nothing; an observer overrides what it wants to hear."""

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

    def said(self, line: str) -> None:
        """A line for a person."""

    def ended(self, step: int, reason: str) -> None:
        """Training has ended."""


class Observers(Observer):
    """Tells several observers, in order."""

    def __init__(self, observers: Sequence[Observer]):
        self._observers = tuple(observers)

    def started(self, step: int, steps: int, about: str) -> None:
        for observer in self._observers:
            observer.started(step, steps, about)

    def compiling(self, what: str) -> None:
        for observer in self._observers:
            observer.compiling(what)

    def advanced(self, step: int, loss: float) -> None:
        for observer in self._observers:
            observer.advanced(step, loss)

    def logged(self, step: int, values: dict[str, Any]) -> None:
        for observer in self._observers:
            observer.logged(step, values)

    def evaluating(self, step: int, done: int, all_: int) -> None:
        for observer in self._observers:
            observer.evaluating(step, done, all_)

    def evaluated(
        self, step: int, values: dict[str, Any], samples: Sequence[Sample], best: bool
    ) -> None:
        for observer in self._observers:
            observer.evaluated(step, values, samples, best)

    def said(self, line: str) -> None:
        for observer in self._observers:
            observer.said(line)

    def ended(self, step: int, reason: str) -> None:
        for observer in self._observers:
            observer.ended(step, reason)

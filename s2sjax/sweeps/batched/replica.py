"""A replica: one of the trials that share a program, as the host sees it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from s2sjax.runs import code, slices
from s2sjax.runs.progress import Progress
from s2sjax.sweeps.trials import Trial
from s2sjax.tasks.task import Task
from s2sjax.training.book import Book, Dispatch, Report
from s2sjax.training.order import Order


class Rows:
    """The examples of each step of a run with one bucket, in order.

    As `Order.chunk` gives them, but on over the end of an epoch, so that replicas with
    training sets of different sizes take the same number of steps in a call.
    """

    def __init__(self, order: Order):
        self._order = order
        self._first = 0  # the step of the first row of `_rows`
        self._rows = np.zeros((0, order.batch_size), np.int32)

    def take(self, step: int, count: int) -> np.ndarray:
        """The rows of `count` steps from `step` on, [count, B]."""
        epoch = self._order.steps_per_epoch
        if epoch is None:
            return self._order.chunk(step, count).rows
        parts = []
        while count:
            if not self._first <= step < self._first + len(self._rows):
                # The rest of its epoch at once: drawing one costs as much.
                self._first, self._rows = step, self._order.chunk(step, epoch).rows
            part = self._rows[step - self._first :][:count]
            parts.append(part)
            step, count = step + len(part), count - len(part)
        return np.concatenate(parts)


@dataclasses.dataclass
class Replica:
    """A trial that is a replica of one program."""

    trial: Trial
    book: Book
    rows: Rows
    # How it ended: done, patience, failed, pruned, or over, where another group did.
    ended: str = ""
    identity: str = ""  # of its config; see `slices`

    @classmethod
    def of(cls, trial: Trial, folder: Path, task: Task) -> "Replica":
        """A trial before its first step, whose run is there.

        Raises:
          UsageError: the run's copy of a file of the user's is damaged.
        """
        book = Book(folder, code.of_run(folder, trial.config), task)
        return cls(trial, book, Rows(book.order), identity=slices.identity(folder))

    def to_json(self) -> dict[str, Any]:
        """As the stacked checkpoint has it."""
        about = {"step": self.book.step, "ended": self.ended, "config": self.identity}
        return {**about, **self.book.progress.to_json()}

    def is_in(self, saved: dict[str, Any]) -> bool:
        """Whether it is of this trial that a stacked checkpoint says something."""
        return bool(self.ended) or saved["config"] == self.identity

    def restore(self, saved: dict[str, Any], report: Report) -> None:
        """The inverse of `to_json`; lines of later steps leave the journal.

        Args:
          saved: by the stacked checkpoint.
          report: takes one line for a person, where the journal is damaged.
        """
        self.book.begin(saved["step"], Progress.from_json(saved), report)
        self.ended = saved["ended"] or self.ended

    def advance(self, dispatch: Dispatch) -> str:
        """Takes in some steps; why the trial has failed, if it has."""
        error = self.book.advance(dispatch)
        self.ended = "failed" if error else ""
        return error

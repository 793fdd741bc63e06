"""One trial among those that are trained together: what the host knows of it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from s2sjax import tasks
from s2sjax.config import Config
from s2sjax.inference import summary
from s2sjax.inference.evaluate import spread
from s2sjax.metrics import Outcomes
from s2sjax.runs import journal, logged, run_files
from s2sjax.runs.journal import Journal
from s2sjax.runs.progress import Progress
from s2sjax.sweeps.trials import Trial
from s2sjax.tasks.task import Task
from s2sjax.training import loop
from s2sjax.training.dispatch import Dispatch


class Rows:
    """The examples of each step of a run with one bucket, in order.

    As `Order.chunk` gives them, but on over the end of an epoch, so that replicas with
    training sets of different sizes take the same number of steps in a call.
    """

    def __init__(self, config: Config, task: Task):
        self.order = loop.training_order(config, task)
        self._first = 0  # the step of the first row that is kept
        self._kept = np.zeros((0, config.train.batch_size), np.int32)

    def take(self, step: int, count: int) -> np.ndarray:
        """The rows of `count` steps from `step` on, [count, B]."""
        epoch = self.order.steps_per_epoch
        if epoch is None:
            return self.order.chunk(step, count).rows
        parts = []
        while count:
            if not self._first <= step < self._first + len(self._kept):
                # The rest of its epoch at once: drawing one costs as much.
                self._first, self._kept = step, self.order.chunk(step, epoch).rows
            part = self._kept[step - self._first :][:count]
            parts.append(part)
            step, count = step + len(part), count - len(part)
        return np.concatenate(parts)


@dataclasses.dataclass
class Member:
    """A trial that is a replica."""

    trial: Trial
    directory: Path
    task: Task
    rows: Rows
    step: int = 0
    progress: Progress = dataclasses.field(default_factory=Progress)
    # How it ended: done, patience, failed, pruned, or over, where another group did.
    ended: str = ""
    identity: str = ""  # of its config; see `slices`

    @classmethod
    def of(cls, trial: Trial, directory: Path) -> "Member":
        """A trial before its first step.

        Raises:
          UsageError: files that its examples come from cannot be used any more.
        """
        task = tasks.create(trial.config, directory / run_files.DATA)
        return cls(trial, directory, task, Rows(trial.config, task))

    def to_json(self) -> dict[str, Any]:
        """As the stacked checkpoint keeps it."""
        about = {"step": self.step, "ended": self.ended, "config": self.identity}
        return {**about, **self.progress.to_json()}

    def is_in(self, kept: dict[str, Any]) -> bool:
        """Whether it is of this trial that a stacked checkpoint keeps something."""
        kept_of = kept.get("config") or self.identity
        return bool(self.ended) or kept_of == self.identity

    def restore(self, kept: dict[str, Any], say: Callable[[str], None]) -> None:
        """The inverse of `to_json`; lines of later steps leave the journal.

        Args:
          kept: by the stacked checkpoint.
          say: takes one line for a person, where the journal is damaged.
        """
        progress = Progress.from_json(kept)
        self.step, self.ended = kept["step"], kept["ended"]
        self.progress = logged.cut_back(self._journal, self.step, progress, say)

    def begin(self) -> None:
        """From the first step on, whatever the journal held."""
        self.progress = self.progress.marked(journal.truncate_after(self._journal, -1))

    def advanced(self, dispatch: Dispatch, steps: int) -> str:
        """Takes in some steps; why the trial has failed, if it has.

        Args:
          dispatch: what they reported.
          steps: of the whole run.
        """
        error = dispatch.divergence(self.step)
        self.step += len(dispatch.steps.loss)
        if error:
            # Sums that are not finite are no JSON, and nobody asks for them again.
            self.ended = "failed"
            return error
        self.progress = dispatch.added_to(self.progress)
        if self.step % self.trial.config.train.log_every == 0 or self.step == steps:
            line = dispatch.line(self.progress, self.rows.order.epoch(self.step))
            self._write({"kind": "train", **line})
            self.progress = self.progress.logged()
        return ""

    def evaluated(self, outcomes: Outcomes, sources: list[list[int]]) -> bool:
        """Adds lines of validation metrics and samples; whether this step is best."""
        values = summary.measured(self.task, outcomes, self.trial.config.train.metric)
        metric = self.trial.config.train.metric_name
        self.progress = self.progress.after_evaluation(self.step, metric, values)
        self._write({"kind": "valid", **values})
        count = self.trial.config.train.samples
        samples = spread(self.task, count, outcomes, sources)
        if samples:
            self._write({"kind": "samples", "samples": samples})
        return self.progress.best_step == self.step

    def tested(self, outcomes: Outcomes, sources: list[list[int]]) -> None:
        """Writes `test.json`, as `s2sjax train` does.

        Raises:
          RunError: it could not be written.
        """
        config, best = self.trial.config, self.progress.best_step
        step = best if best >= 0 else self.step
        result = summary.evaluation(self.task, config, step, "test", outcomes, sources)
        summary.write(self.directory, result)

    @property
    def _journal(self) -> Path:
        return self.directory / run_files.METRICS

    def _write(self, values: dict[str, Any]) -> None:
        # Opened for a line: a thousand trials would be a thousand open files.
        with Journal(self._journal, self.progress.mark) as journal_:
            journal_.write(self.step, values)
        self.progress = self.progress.marked(journal_.mark)

"""What the host knows of a run: its step, its progress, and what its journal says.

The book of a run alone and that of a replica are the same: it takes in what compiled
steps and evaluations report, and writes `metrics.jsonl` and `test.json`.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from s2sjax.config import Config
from s2sjax.inference import summary
from s2sjax.inference.evaluate import kind_of
from s2sjax.models.readout import readout_of
from s2sjax.runs import logged, run_files
from s2sjax.runs.journal import Journal
from s2sjax.runs.progress import Progress
from s2sjax.tasks.task import Task
from s2sjax.training.cadence import Cadence, total_steps
from s2sjax.training.hosts import Hosts
from s2sjax.training.observer import Observer
from s2sjax.training.order import Order
from s2sjax.training.state import StepMetrics

Report = Callable[[str], None]


class Dispatch(NamedTuple):
    """Some steps that were taken in one call; columns on the host."""

    steps: StepMetrics  # of each, [N]
    param_norm: float  # of the parameters after the last
    seconds: float  # that the call took

    def divergence(self, before: int) -> str:
        """Where training left the finite numbers; empty where it did not.

        Args:
          before: steps that were taken before this call.
        """
        steps = self.steps
        finite = np.isfinite(steps.loss) & np.isfinite(steps.grad_norm)
        finite[-1] &= np.isfinite(self.param_norm)
        if finite.all():
            return ""
        index = int(np.argmin(finite))
        message = (
            f"training diverged at step {before + index + 1}: loss "
            f"{steps.loss[index]}, gradient norm {steps.grad_norm[index]}"
        )
        if index:
            message += f" ({steps.grad_norm[index - 1]:.3g} a step earlier)"
        if index == len(finite) - 1 and not np.isfinite(self.param_norm):
            message += f", norm of the parameters {self.param_norm}"
        return message


@dataclasses.dataclass
class Book:
    """The book of one run.

    Args:
      folder: the run's directory.
      config: of the run.
      task: where the examples come from.
      observer: is told what is written.
      hosts: the processes of the run, of which the first writes.
    """

    folder: Path
    config: Config
    task: Task
    observer: Observer = dataclasses.field(default_factory=Observer)
    hosts: Hosts = dataclasses.field(default_factory=Hosts)
    step: int = 0
    progress: Progress = dataclasses.field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.kind = kind_of(readout_of(self.config))
        self.order = Order.of(self.config, self.task)
        self.cadence = Cadence(self.config.train, total_steps(self.config, self.order))

    @property
    def evaluates(self) -> bool:
        """Whether an evaluation is due."""
        return self.cadence.evaluates(self.step, self.progress)

    @property
    def saves(self) -> bool:
        """Whether a checkpoint is due, evaluations aside."""
        return self.cadence.saves(self.step)

    @property
    def end(self) -> str:
        """Why the run takes no more steps; empty where it does."""
        return self.cadence.end(self.step, self.progress)

    @property
    def journal(self) -> Path:
        """The file of its lines."""
        return self.folder / run_files.METRICS

    def begin(self, step: int, progress: Progress, report: Report) -> None:
        """Goes on from a checkpoint, or from the start; later lines are taken away.

        Args:
          step: of the checkpoint; -1: there is none.
          progress: that it kept.
          report: takes one line for a person, where the journal is damaged.
        """
        self.step, self.progress = max(step, 0), progress
        if self.hosts.leads:
            logged.cut_back(self.journal, step, progress, report)

    def advance(self, dispatch: Dispatch) -> str:
        """Takes in some steps; why training cannot go on, if it cannot.

        Sums that are not finite are left out: they are no JSON, and nobody asks.
        """
        error = dispatch.divergence(self.step)
        steps = dispatch.steps
        self.step += len(steps.loss)
        if error:
            return error
        self.progress = dataclasses.replace(
            self.progress,
            loss=self.progress.loss + float(steps.loss.sum(dtype=np.float64)),
            tokens=self.progress.tokens + float(steps.tokens.sum(dtype=np.float64)),
            seconds=self.progress.seconds + dispatch.seconds,
        )
        last = float(steps.loss[-1]) / (float(steps.tokens[-1]) or 1.0)
        self.observer.advanced(self.step, last)
        if self.cadence.logs(self.step):
            values = self._line(dispatch)
            self._write({"kind": "train", **values})
            self.observer.logged(self.step, values)
            self.progress = self.progress.logged()
        return ""

    def evaluate(self, results: Any, sources: list[Any]) -> dict[str, Any]:
        """Takes in an evaluation on validation examples; its numbers."""
        train = self.config.train
        values = self.kind.measured(self.task, results, sources, train.metric)
        # On other hosts the last bit may differ, and patience must not.
        for name in dict.fromkeys((train.metric_name, "nll")):
            if name in values:
                values[name] = self.hosts.of_first(values[name])
        before = self.progress
        self.progress = before.after_evaluation(self.step, train.metric_name, values)
        better = self.progress.improves_on(before)
        self._write({"kind": "valid", **values})
        samples = self.kind.spread(self.task, train.samples, results, sources)
        if samples:
            self._write({"kind": "samples", "samples": samples})
        self.observer.evaluated(self.step, values, samples, better)
        return values

    def test(self, results: Any, sources: list[Any]) -> None:
        """Writes `test.json`: what the best parameters make of test data.

        Raises:
          RunError: it could not be written.
        """
        best = self.progress.best_step
        step = best if best >= 0 else self.step
        about = (self.task, self.config, step, "test")
        summary.write(self.folder, self.kind.evaluation(*about, results, sources))

    def _line(self, dispatch: Dispatch) -> dict[str, Any]:
        """The metrics of training since the last such line."""
        progress, epoch = self.progress, self.order.epoch(self.step)
        values = {
            "loss": progress.loss / (progress.tokens or 1),
            "grad_norm": float(dispatch.steps.grad_norm[-1]),
            "param_norm": dispatch.param_norm,
            "learning_rate": float(dispatch.steps.learning_rate[-1]),
            "seconds": round(progress.seconds, 3),
        }
        return values if epoch is None else {**values, "epoch": epoch}

    def _write(self, values: dict[str, Any]) -> None:
        if not self.hosts.leads:
            return
        # Opened for a line: a thousand replicas would be a thousand open files.
        with Journal(self.journal, self.progress.mark) as journal:
            journal.write(self.step, values)
        self.progress = self.progress.marked(journal.mark)

"""What is due at a step of a run: a pure function of its config and its progress.

A run alone and one among replicas ask the same rules, so that both evaluate, save,
log and end at the same steps.
"""

from dataclasses import dataclass

from s2sjax.config import Config, TrainConfig
from s2sjax.errors import UsageError
from s2sjax.runs.progress import Progress
from s2sjax.schema import COUNT
from s2sjax.training.order import Order

DISPATCH_SECONDS = 0.5  # a dispatch is sized to this, so that signals are noticed


def total_steps(config: Config, order: Order) -> int:
    """The steps of a run.

    Raises:
      UsageError: epochs of an endless training set, or more steps than are counted.
    """
    if config.train.steps is not None:
        return config.train.steps
    if order.steps_per_epoch is None:
        raise UsageError(
            f"train.epochs={config.train.epochs} needs a finite training set; "
            f"set task.num_train, or train.steps"
        )
    assert config.train.epochs is not None
    steps = config.train.epochs * order.steps_per_epoch
    if steps > COUNT:
        raise UsageError(
            f"train.epochs={config.train.epochs} of {order.steps_per_epoch} steps each "
            f"are more than {COUNT} steps"
        )
    return steps


@dataclass(frozen=True)
class Cadence:
    """When a run evaluates, saves, logs and ends.

    >>> from s2sjax.config import resolve
    >>> train = resolve({"train": {"steps": 250, "eval_every": 100}}).train
    >>> cadence = Cadence(train, 250)
    >>> [step for step in range(251) if cadence.evaluates(step, Progress(0))]
    [100, 200, 250]
    """

    train: TrainConfig
    steps: int  # of the whole run

    def evaluates(self, step: int, progress: Progress) -> bool:
        """Whether an evaluation is due that has not been made."""
        due = step % self.train.eval_every == 0 or step >= self.steps
        return due and progress.evaluated < step

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is due, evaluations aside."""
        return step % self.train.save_every == 0

    def logs(self, step: int) -> bool:
        """Whether a line of training metrics is due."""
        return step % self.train.log_every == 0 or step == self.steps

    def end(self, step: int, progress: Progress) -> str:
        """Why the run takes no more steps: "patience" or "done"; empty if it does."""
        if self.train.patience and progress.waited >= self.train.patience:
            return "patience"
        return "done" if step >= self.steps and progress.evaluated == step else ""

    def count(
        self, step: int, available: int, seconds_per_step: float | None = None
    ) -> int:
        """How many steps the next dispatch takes: up to what is due, or half a second.

        Args:
          step: before it.
          available: steps that can run in one call.
          seconds_per_step: None: not measured yet, so that a single one is tried.

        >>> from s2sjax.config import resolve
        >>> config = resolve({"train": {"steps": 1000, "log_every": 30}})
        >>> cadence = Cadence(config.train, 1000)
        >>> cadence.count(20, 100), cadence.count(20, 100, 1e-6)
        (1, 10)
        """
        train = self.train
        edges = [
            every - step % every
            for every in (train.log_every, train.eval_every, train.save_every)
        ]
        paced = 1
        if seconds_per_step is not None:
            paced = max(1, int(DISPATCH_SECONDS / max(seconds_per_step, 1e-9)))
        return min(available, self.steps - step, paced, *edges)

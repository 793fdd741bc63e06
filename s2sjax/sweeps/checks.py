"""Tries what trials name, optimisers and tasks among them, before any of them runs."""

from collections.abc import Sequence
from typing import Any

from s2sjax import tasks
from s2sjax.config import Config
from s2sjax.sweeps.trial import Trial, TrialProblems
from s2sjax.training import loop


def check(trials: Sequence[Trial]) -> None:
    """Tries each optimiser, schedule, strategy and task once.

    A task of files or of a user's function, which takes long to read, is tried for one
    of the trials that name the same file.

    Raises:
      UsageError: those that cannot be, each with the number of its first trial.
    """
    tried: set[Any] = set()
    problems = TrialProblems()
    for trial in trials:
        config = trial.config
        for what, attempt in (
            ((config.train, config.decode), loop.check),
            ((config.task, config.train.metric), tasks.check),
            ((_task(config), config.train.epochs is None), _build),
        ):
            if what in tried:
                continue
            tried.add(what)
            with problems.of(trial.index):
                attempt(config)
    problems.tell()


def _task(config: Config) -> Any:
    task = config.task
    is_slow = task.name not in tasks.TASKS or task.path
    return (task.name, task.path) if is_slow else task


def _build(config: Config) -> None:
    task = tasks.create(config)
    loop.total_steps(config, loop.training_order(config, task))

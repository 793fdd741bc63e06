"""Whether a config can be trained, tried before anything is written."""

from collections.abc import Collection

import jax

from s2sjax import tasks
from s2sjax.config import Config, data_files
from s2sjax.errors import Problems, UsageError
from s2sjax.inference import vectors
from s2sjax.training import loop
from s2sjax.training.cadence import total_steps
from s2sjax.training.objectives.weights import symbol_weights
from s2sjax.training.order import Order


def check(config: Config, *, is_new: bool = True, draws: bool = True) -> None:
    """Tries a config as training does before it begins; writes nothing.

    Beside what it names, of a task that reads no files whether its examples and steps
    can be.

    Args:
      config: of a run.
      is_new: whether it is of a new run; one that is there has what it needs.
      draws: whether that draws its parameters, and so reads files of vectors.

    Raises:
      UsageError: all that was found.
    """
    problems = Problems()
    with problems:
        check_names(config, is_new=is_new)
    if is_new and draws:
        with problems:
            vectors.check(config.model)
    with problems:
        _check_devices(config)
    problems.tell()
    if is_new and not data_files(config) and config.task.name != "text":
        task = tasks.create(config)
        total_steps(config, Order.of(config, task))
        symbol_weights(config.train.symbol_weights, task.target_vocabulary)


def _check_devices(config: Config) -> None:
    count = jax.device_count()
    if config.train.tbptt and count > 1:
        raise UsageError(
            f"train.tbptt={config.train.tbptt} carries states on one device, and there "
            f"are {count}; leave one, e.g. by CUDA_VISIBLE_DEVICES=0"
        )


def check_names(
    config: Config, wrong: Collection[str] = (), *, is_new: bool = True
) -> None:
    """Tries the optimiser, schedule, strategy and task that a config names.

    Args:
      config: of a run; something else may be wrong with it.
      wrong: fields whose values were none, and that have their defaults here.
      is_new: see `check`.

    Raises:
      UsageError: all that was found.
    """
    problems = Problems()
    with problems:
        loop.check(config)
    # A task tells which fields it uses, from its name and from what they are.
    if is_new and not any(field.startswith("task.") for field in wrong):
        with problems:
            tasks.check(config)
    problems.tell()

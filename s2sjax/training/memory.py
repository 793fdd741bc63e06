"""What the devices hold, and whether a model can be trained there at all."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.models.architectures import build_model
from s2sjax.tasks.task import Task
from s2sjax.training.recipe import recipe
from s2sjax.training.state import first_state, numbers


def memory(devices: Sequence[Any]) -> int:
    """Bytes that the devices have, together; of the CPU those of the machine."""
    if devices[0].platform != "cpu":
        stats = [device.memory_stats() or {} for device in devices]
        return sum(each.get("bytes_limit", 16 << 30) for each in stats)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no limit, or not Linux
        return machine


def check(config: Config, task: Task) -> None:
    """Looks whether the parameters, and what the optimiser keeps of them, fit.

    What a step needs besides is not counted. On the CPU a first state that does not
    fit would be waited for without an end, instead of an error.

    Raises:
      UsageError: they do not.
    """
    model = build_model(config, *task.sides)
    chosen = recipe(config.train, 1, model.readout)  # the number changes no shape
    state = jax.eval_shape(lambda: first_state(model, chosen, numbers(config)))
    needed = sum(
        math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)
    )
    room = memory(jax.local_devices()[:1])
    if needed > room:
        raise UsageError(
            f"the parameters and what train.optimizer keeps of them take "
            f"{needed / 2**30:,.1f} GiB, and there are {room / 2**30:,.1f}; lower "
            f"model.units={config.model.units}, model.layers={config.model.layers}, "
            f"model.embedding={config.model.embedding} or the vocabularies "
            f"({len(task.source_vocabulary):,} and {len(task.target_vocabulary):,} "
            f"symbols)"
        )

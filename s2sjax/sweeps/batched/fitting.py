"""Groups of trials in parts that fit the memory of the devices."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from s2sjax.errors import UsageError
from s2sjax.sweeps import preflight
from s2sjax.sweeps.batched.grouping import Group, group
from s2sjax.sweeps.batched.programs import padded_size
from s2sjax.sweeps.trials import Trial
from s2sjax.training.memory import memory

SHARE = 0.6  # of the memory that is there; the rest is for what nobody counted
SAVING = 2  # copies of the state while it is saved


def fit(trials: Sequence[Trial], limit: int | None = None) -> list[Group]:
    """The programs of a sweep: its groups, in parts that fit.

    Args:
      trials: all of them.
      limit: bytes for all replicas; None: what the devices have.

    Raises:
      UsageError: a trial that does not fit by itself.
    """
    devices = jax.devices()
    limit = int(SHARE * memory(devices)) if limit is None else limit
    return [part for each in group(trials) for part in _parts(each, devices, limit)]


def _parts(whole: Group, devices: Sequence[Any], limit: int) -> list[Group]:
    lasting, working = _needs(whole)
    at_once = min(len(devices), len(whole.trials))
    if devices[0].platform == "cpu":
        # A device of the CPU takes its replicas one after another.
        most = (limit - at_once * working) // lasting
    else:
        most = limit // (lasting + working)
    if most < 1:
        needed, room = (f"{n / 2**30:.3g} GiB" for n in (lasting + working, limit))
        raise UsageError(
            f"trial {whole.trials[0].index}: backend=batched needs {needed} for one "
            f"trial of this size, and may take {room} here; make it smaller "
            f"(model.units, task.length, train.batch_size)"
        )
    if most >= padded_size(len(whole.trials), len(devices)):
        return [whole]
    most = max(most // len(devices) * len(devices), 1)
    count = -(-len(whole.trials) // most)
    size = -(-len(whole.trials) // count)  # evenly, so that they compile once
    return [
        Group(whole.trials[start : start + size])
        for start in range(0, len(whole.trials), size)
    ]


def _needs(whole: Group) -> tuple[int, int]:
    """Bytes that a replica keeps, and what a step of one needs besides."""
    cost = preflight.estimate(whole.widest)
    best = cost.parameters * np.dtype(np.float32).itemsize
    lasting = SAVING * (cost.state + best) + cost.data
    return lasting, cost.memory - cost.state - cost.data

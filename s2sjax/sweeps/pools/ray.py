"""Trials as tasks of Ray, on a cluster that runs or on a local one. Extra `ray`.

A task does nothing but start the trial's command in a process of its own, so that
jax's flags and memory never pass from one trial to the next.
"""

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from s2sjax.errors import UsageError
from s2sjax.sweeps.pools.remote import Control, RemoteCommand
from s2sjax.sweeps.protocols import Ended


class RayCluster:
    """A pool of tasks; the directory of the sweep is on a file system of all nodes.

    Args:
      address: of the cluster; empty: start a local one.
      size: tasks at a time; None: as many as the cluster holds now.
      cpus: cores of one trial.
      gpus: GPUs of one trial, also a part of one.

    Raises:
      UsageError: Ray is not installed, or the address does not answer.
    """

    def __init__(
        self, address: str, size: int | None, cpus: float = 1.0, gpus: float = 0.0
    ):
        self._ray = ray = _ray()
        try:
            _knock(address)
            ray.init(
                address=address or None, log_to_driver=False, logging_level="error"
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            reason = (str(error).strip().splitlines() or ["no reason"])[0]
            raise UsageError(
                f"ray_address={address} does not answer: {reason}"
            ) from None
        # One process per trial, and a lost node is for our own budgets to count.
        self._task = ray.remote(
            num_cpus=cpus, num_gpus=gpus, max_calls=1, max_retries=0
        )(_run)
        total = ray.cluster_resources()
        fits = [total.get("CPU", 0) / cpus] if cpus else []
        fits += [total.get("GPU", 0) / gpus] if gpus else []
        self.size = size or max(1, int(min(fits, default=1)))

    def start(self, command: Sequence[str], log: Path, slot: int) -> "RayJob":
        """Starts a command; see `Pool`."""
        job = Control(log)
        remote = RemoteCommand(list(command), str(log.absolute()), str(Path.cwd()))
        return RayJob(self._ray, self._task.remote(remote), job)

    def adopt(self, directory: Path) -> None:
        """See `Pool`; the tasks of a launcher that is gone have ended."""

    def waiting(self) -> str:
        """See `Pool`."""
        return ""

    def close(self) -> None:
        """Leaves the cluster; a local one ends."""
        self._ray.shutdown()


class RayJob:
    """A task as a job."""

    def __init__(self, ray: ModuleType, task: Any, control: Control):
        self._ray, self._result = ray, task
        self.stop, self.kill = control.stop, control.kill
        self.since = time.time()

    def poll(self) -> Ended | None:
        """See `Job`; a node that was lost reads as a worker that was killed."""
        ready, _ = self._ray.wait([self._result], timeout=0)
        if not ready:
            return None
        try:
            return Ended(*self._ray.get(self._result))
        except self._ray.exceptions.RayTaskError as error:
            return Ended(1, str(error.cause))
        except self._ray.exceptions.RayError as error:
            return Ended(-9, (str(error).strip().splitlines() or [""])[0])

    def __str__(self) -> str:
        return "a task of Ray"


def _knock(address: str) -> None:
    """Tries whether somebody is there, which Ray takes minutes to give up."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=5).close()


def _run(remote: RemoteCommand) -> Ended:
    return remote()


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError:
        raise UsageError("backend=ray needs Ray; pip install 's2sjax[ray]'") from None
    return ray

"""Trials as jobs of Slurm through submitit, requeued when preempted. Extra `slurm`."""

import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from s2sjax.errors import RunError, UsageError
from s2sjax.sweeps.pools.remote import Control, RemoteCommand
from s2sjax.sweeps.protocols import Ended

# What the cluster did, and not the trial.
_TAKEN = ("PREEMPTED", "NODE_FAIL", "TIMEOUT", "CANCELLED", "REQUEUED")


class Slurm:
    """A pool of jobs; the directory of the sweep is on a file system of all nodes.

    Args:
      folder: where submitit keeps its files.
      size: jobs in the queue at a time.
      partition: of the cluster; empty: its default.
      cpus: cores of one trial.
      gpus: GPUs of one trial.
      memory: GiB of one trial; 0: the cluster's default.
      minutes: the longest that a trial may take before it is requeued.
      cluster: `slurm`, or `local` to try it without one.

    Raises:
      UsageError: submitit is not installed, or there is no such cluster.
    """

    def __init__(
        self,
        folder: Path,
        size: int | None,
        partition: str = "",
        cpus: int = 1,
        gpus: int = 0,
        memory: float = 0.0,
        minutes: int = 60,
        cluster: str = "slurm",
    ):
        submitit = _submitit()
        self.size = size or 100
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        except (RuntimeError, ValueError, KeyError) as error:
            raise UsageError(f"backend=slurm: {error}") from None
        given = {
            "slurm_partition": partition,
            "mem_gb": memory,
            "gpus_per_node": gpus,
        }
        self._executor.update_parameters(
            name="s2sjax",
            timeout_min=minutes,
            cpus_per_task=cpus,
            **{key: value for key, value in given.items() if value},
        )

    def start(self, command: Sequence[str], log: Path, slot: int) -> "SlurmJob":
        """Queues a command; see `Pool`."""
        control = Control(log)
        remote = RemoteCommand(list(command), str(log.absolute()), str(Path.cwd()))
        try:
            return SlurmJob(self._executor.submit(remote), control)
        except Exception as error:  # submitit's own, and those of sbatch
            reason = (str(error).strip().splitlines() or ["no reason"])[-1]
            raise RunError(f"Slurm takes no job: {reason}") from None

    def adopt(self, directory: Path) -> None:
        """See `Pool`."""

    def waiting(self) -> str:
        """See `Pool`."""
        return ""

    def close(self) -> None:
        """Nothing is held."""


class SlurmJob:
    """A job of Slurm's as a job."""

    def __init__(self, job: Any, control: Control):
        self._job, self._control = job, control
        self.since = time.time()

    def poll(self) -> Ended | None:
        """See `Job`; a job that the cluster ended reads as one that was killed."""
        if not self._job.done():
            return None
        try:
            return Ended(*self._job.result())
        except Exception:  # submitit's own, which say what Slurm said
            state = self._job.state.split(" ")[0]
            return Ended(-9 if state in _TAKEN else 1, state)

    def stop(self) -> None:
        """See `Job`; one that still waits in the queue leaves it."""
        self._control.stop()
        if self._job.state == "PENDING":
            self._job.cancel()

    def kill(self) -> None:
        """See `Job`."""
        self._control.kill()

    def __str__(self) -> str:
        return f"job {self._job.job_id} of Slurm"


def _submitit() -> ModuleType:
    try:
        import submitit
    except ImportError:
        raise UsageError(
            "backend=slurm needs submitit; pip install 's2sjax[slurm]'"
        ) from None
    return submitit

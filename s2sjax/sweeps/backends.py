"""The ways to run the trials of a sweep, by spec: `processes`, `ray`, `slurm`.

All of them run the same command for a trial. `batched`, which trains many trials in
one program of this process, is in `batched.py`.
"""

from collections.abc import Callable
from pathlib import Path

from s2sjax import spec
from s2sjax.errors import UsageError
from s2sjax.sweeps.pool import Pool

BATCHED = "batched"
_MOST = 10**6  # cores, GPUs or GiB of one trial


def name(text: str) -> str:
    """Which backend a spec names.

    Raises:
      UsageError: an unknown one, or an argument that it does not have.

    >>> name("ray:cpus=2")
    'ray'
    """
    spec.call("backend", text, _makers(Path(), None, ""))
    return spec.parse(text).name


def make_pool(text: str, sweep: Path, workers: int | None, ray_address: str) -> Pool:
    """The pool of a spec.

    Args:
      text: `processes`, `ray:cpus=1,gpus=0` or `slurm:partition=gpu,gpus=1,minutes=60`.
      sweep: the directory of the sweep.
      workers: trials at a time; None: what the machine or the cluster holds.
      ray_address: of a Ray cluster; empty: start a local one.

    Raises:
      UsageError: an unknown argument, or a backend that cannot be had here.
    """
    make: Callable[[], Pool] = spec.call(
        "backend", text, _makers(sweep, workers, ray_address)
    )
    return make()


def _makers(
    sweep: Path, workers: int | None, ray_address: str
) -> dict[str, Callable[..., Callable[[], Pool]]]:
    """By name, what takes a backend's arguments and gives what makes its pool."""

    def batched() -> Callable[[], Pool]:
        return _no_pool

    def processes() -> Callable[[], Pool]:
        from s2sjax.sweeps.processes import Processes

        return lambda: Processes(workers)

    def ray(*, cpus: float = 1.0, gpus: float = 0.0) -> Callable[[], Pool]:
        spec.between("cpus", cpus, 0, _MOST)
        spec.between("gpus", gpus, 0, _MOST)
        from s2sjax.sweeps.ray_cluster import RayCluster

        return lambda: RayCluster(ray_address, workers, cpus, gpus)

    def slurm(
        *,
        partition: str = "",
        cpus: int = 1,
        gpus: int = 0,
        memory: float = 0.0,
        minutes: int = 60,
        cluster: str = "slurm",
    ) -> Callable[[], Pool]:
        spec.between("cpus", cpus, 1, _MOST)
        spec.between("gpus", gpus, 0, _MOST)
        spec.between("memory", memory, 0, _MOST)
        spec.between("minutes", minutes, 1, spec.LARGEST)
        from s2sjax.sweeps.slurm import Slurm

        of_job = (partition, cpus, gpus, memory, minutes, cluster)
        return lambda: Slurm(sweep / "slurm", workers, *of_job)

    return {BATCHED: batched, "processes": processes, "ray": ray, "slurm": slurm}


def _no_pool() -> Pool:
    raise UsageError("batched trains in this process and has no pool")

"""The ways to run the trials of a sweep, by spec: `processes`, `ray`, `slurm`.

All of them run the same command for a trial. `batched`, which trains many trials in
one program of this process, is in `batched.py`.
"""

from pathlib import Path

from s2sjax import spec
from s2sjax.sweeps.pool import Pool

BATCHED = "batched"


def name(text: str) -> str:
    """Which backend a spec names.

    Raises:
      UsageError: an unknown one.
    """
    found = spec.parse(text).name
    return spec.call("backend", found, {each: lambda each=each: each for each in NAMES})


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
    from s2sjax.sweeps.processes import Processes
    from s2sjax.sweeps.ray_cluster import RayCluster
    from s2sjax.sweeps.slurm import Slurm

    def processes() -> Pool:
        return Processes(workers, sweep / "compiled")

    def ray(*, cpus: float = 1.0, gpus: float = 0.0) -> Pool:
        return RayCluster(ray_address, workers, cpus, gpus)

    def slurm(
        *,
        partition: str = "",
        cpus: int = 1,
        gpus: int = 0,
        memory: float = 0.0,
        minutes: int = 60,
        cluster: str = "slurm",
    ) -> Pool:
        folder = sweep / "slurm"
        return Slurm(folder, workers, partition, cpus, gpus, memory, minutes, cluster)

    return spec.call(
        "backend", text, {"processes": processes, "ray": ray, "slurm": slurm}
    )


NAMES = (BATCHED, "processes", "ray", "slurm")

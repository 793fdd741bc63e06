"""Which backend runs a sweep that names none: the one it was begun with, or what fits.

Starts no backend of jax, whose flags depend on the choice.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from s2sjax import spec
from s2sjax.errors import UsageError
from s2sjax.sweeps import directory, trial_files
from s2sjax.sweeps.batched import grouping, stored_group
from s2sjax.sweeps.protocols import Pool
from s2sjax.sweeps.trials import Trial
from s2sjax.tasks.series.processes import PROCESSES as NUMBERS
from s2sjax.tasks.synthetic import PATTERNS

BATCHED = "batched"
_MOST = 10**6  # cores, GPUs or GiB of one trial


def name(text: str) -> str:
    """Which backend a spec names.

    Raises:
      UsageError: an unknown one, or an argument that it does not have.

    >>> name("ray:cpus=2")
    'ray'
    """
    spec.call("backend", text, _makers(Path(), None, "", print))
    return spec.parse(text).name


def make_pool(
    text: str,
    sweep: Path,
    workers: int | None,
    ray_address: str,
    say: Callable[[str], None] = lambda line: None,
) -> Pool:
    """The pool of a spec.

    Args:
      text: `processes`, `ray:cpus=1,gpus=0` or `slurm:partition=gpu,gpus=1,minutes=60`.
      sweep: the directory of the sweep.
      workers: trials at a time; None: what the machine or the cluster holds.
      ray_address: of a Ray cluster; empty: start a local one.
      say: takes a line of the cluster's own for a person.

    Raises:
      UsageError: an unknown argument, or a backend that cannot be had here.
    """
    make: Callable[[], Pool] = spec.call(
        "backend", text, _makers(sweep, workers, ray_address, say)
    )
    return make()


def _makers(
    sweep: Path, workers: int | None, ray_address: str, say: Callable[[str], None]
) -> dict[str, Callable[..., Callable[[], Pool]]]:
    """By name, what takes a backend's arguments and gives what makes its pool."""

    def batched() -> Callable[[], Pool]:
        return _no_pool

    def processes() -> Callable[[], Pool]:
        from s2sjax.sweeps.pools.processes import Processes

        return lambda: Processes(workers)

    def ray(
        *,
        cpus: float = 1.0,
        gpus: float = 0.0,
        memory: float = 0.0,
        resources: str = "",
    ) -> Callable[[], Pool]:
        spec.between("cpus", cpus, 0, _MOST)
        spec.between("gpus", gpus, 0, _MOST)
        spec.between("memory", memory, 0, _MOST)
        from s2sjax.sweeps.pools.ray import LOCAL, RayCluster

        needs = {"CPU": cpus, "GPU": gpus, "memory": memory * 2**30}
        needs = {name: need for name, need in needs.items() if need} | _named(resources)
        return lambda: RayCluster(ray_address or LOCAL, workers, needs, say)

    def slurm(
        *,
        partition: str = "",
        account: str = "",
        qos: str = "",
        constraint: str = "",
        cpus: int = 1,
        gpus: int = 0,
        memory: float = 0.0,
        minutes: int = 60,
    ) -> Callable[[], Pool]:
        spec.between("cpus", cpus, 1, _MOST)
        spec.between("gpus", gpus, 0, _MOST)
        spec.between("memory", memory, 0, _MOST)
        spec.between("minutes", minutes, 1, spec.LARGEST)
        from s2sjax.sweeps.pools.slurm import Request, Slurm

        where = (partition, account, qos, constraint)
        request = Request(*where, cpus, gpus, memory, minutes)
        return lambda: Slurm(sweep, workers, request)

    return {BATCHED: batched, "processes": processes, "ray": ray, "slurm": slurm}


def _named(resources: str) -> dict[str, float]:
    """Amounts of what a cluster's administrator has named.

    >>> _named("TPU:4+accelerator_type:A100:0.5")
    {'TPU': 4.0, 'accelerator_type:A100': 0.5}
    """
    named = {}
    for each in filter(None, resources.split("+")):
        name, _, amount = each.rpartition(":")
        try:
            named[name] = float(amount)
        except ValueError:
            named[name] = 0.0
        if not (name and 0 < named[name] <= _MOST):
            raise UsageError(f"resources={resources} is not NAME:AMOUNT, e.g. TPU:4")
    return named


def _no_pool() -> Pool:
    raise UsageError("batched trains in this process and has no pool")


PROCESSES = "processes"
# Tasks whose examples are of one width, whatever `train.buckets` says.
ONE_BUCKET = (*PATTERNS, "addition", "digits_to_words", *NUMBERS, "series")


def ray_address(sweep: Path) -> str:
    """Where the last launch of a sweep that went to Ray found it; empty: none did."""
    found = [each.get("ray_address") for each in directory.read_launches(sweep)]
    return next(filter(None, reversed(found)), "")


class Choice(NamedTuple):
    """A backend, and why."""

    backend: str  # its spec
    why: str = ""  # a clause for a person; empty where it was asked for
    is_free: bool = False  # whether another one would do: nothing has begun

    @property
    def is_batched(self) -> bool:
        """Whether the trials are trained in this process."""
        return name(self.backend) == BATCHED

    @property
    def is_ray(self) -> bool:
        """Whether they go to a Ray cluster."""
        return name(self.backend) == "ray"

    @property
    def line(self) -> str:
        """What to say of it; nothing where it was asked for."""
        return f"backend: {self.backend}, {self.why}" if self.why else ""


def begun(sweep: Path) -> str:
    """The backend with which a sweep was begun; empty where nothing of it was.

    What its trials have on the disk says so. Only where that does not decide, or was
    made by one of the backends that run the same commands, the last launch does.

    Raises:
      UsageError: something else is in the directory, or it is damaged.
    """
    if not directory.check(sweep):
        return ""
    launched = directory.read_launches(sweep)[-1]["backend"]
    together = any(sweep.glob(f"{stored_group.GROUPS}/*/{stored_group.GROUP}"))
    alone = any(map(trial_files.has_begun, directory.trial_folders(sweep)))
    if together and not alone:
        return BATCHED
    if alone and not together and launched in ("", BATCHED):
        return PROCESSES
    return launched


def choose(trials: Sequence[Trial]) -> Choice:
    """The backend of a new sweep.

    Trials are trained in one process where that saves compilations, two trials in a
    program or more; trials that share nothing keep all cores busier as processes.

    >>> from s2sjax.config import resolve
    >>> from s2sjax.sweeps import seeds
    >>> from s2sjax.sweeps.trials import resolve as trials
    >>> print(choose(trials(resolve({"train": {"steps": 5}}), seeds(32))).line)
    backend: batched, 32 trials in 1 program; backend=processes runs each as a process
    """
    reason = obstacle(trials)
    if reason:
        return Choice(PROCESSES, f"since {reason}", is_free=True)
    programs = len(grouping.group(trials))
    what = f"{len(trials):,} trials in {programs:,} program" + "s" * (programs > 1)
    if 2 * programs > len(trials):
        why = f"since it would be {what}; backend=batched trains those"
        return Choice(PROCESSES, why.replace("1 trials", "1 trial"), is_free=True)
    why = f"{what}; backend=processes runs each as a process"
    return Choice(BATCHED, why, is_free=True)


def choose_search(trials: Sequence[Trial], space: Collection[str]) -> Choice:
    """The backend of a new search: batched where all proposals share a program.

    Args:
      trials: some that stand for the proposals.
      space: the fields that are proposed.
    """
    apart = [field for field in space if field not in grouping.BATCHABLE]
    reason = obstacle(trials)
    if apart:
        reason = f"each {apart[0]} is a program of its own"
    if reason:
        return Choice(PROCESSES, f"since {reason}", is_free=True)
    why = "proposals share a program; backend=processes runs each as a process"
    return Choice(BATCHED, why, is_free=True)


def obstacle(trials: Sequence[Trial]) -> str:
    """Why trials cannot be batched, whatever their sizes; empty where they can."""
    for trial in trials:
        if trial.config.train.tbptt:
            return f"trial {trial.index} carries states from step to step (train.tbptt)"
        name, buckets = trial.config.task.name, trial.config.train.buckets
        if name not in ONE_BUCKET and buckets != 1:
            return (
                f"trial {trial.index}: the examples of {name} may be of several widths "
                f"(train.buckets={buckets}), and a program has one; "
                f"the override train.buckets=1 pads all to the widest"
            )
    return ""

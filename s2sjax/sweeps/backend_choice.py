"""Which backend runs a sweep that names none: the one it was begun with, or what fits.

Starts no backend of jax, whose flags depend on the choice.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from s2sjax.sweeps import backends, directory, groups, membership, trial_files
from s2sjax.sweeps.trial import Trial
from s2sjax.tasks.patterns import PATTERNS

PROCESSES = "processes"
# Tasks whose examples are of one width, whatever `train.buckets` says.
ONE_BUCKET = (*PATTERNS, "addition", "digits_to_words")


class Choice(NamedTuple):
    """A backend, and why."""

    backend: str  # its spec
    why: str = ""  # a clause for a person; empty where it was asked for
    is_free: bool = False  # whether another one would do: nothing has begun

    @property
    def is_batched(self) -> bool:
        """Whether the trials are trained in this process."""
        return backends.name(self.backend) == backends.BATCHED

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
    launched = str(directory.read_launches(sweep)[-1].get("backend", ""))
    together = any(sweep.glob(f"{membership.GROUPS}/*/{membership.GROUP}"))
    alone = any(map(trial_files.has_begun, directory.trial_folders(sweep)))
    if together and not alone:
        return backends.BATCHED
    if alone and not together and launched in ("", backends.BATCHED):
        return PROCESSES
    return launched


def choose(trials: Sequence[Trial]) -> Choice:
    """The backend of a new sweep.

    Trials are trained in one process where that saves compilations, two trials in a
    program or more; trials that share nothing keep all cores busier as processes.

    >>> from s2sjax.config import resolve
    >>> from s2sjax.sweeps import seeds
    >>> from s2sjax.sweeps.definition import resolve as trials
    >>> print(choose(trials(resolve({"train": {"steps": 5}}), seeds(32))).line)
    backend: batched, 32 trials in 1 program; --backend=processes runs each as a process
    """
    reason = obstacle(trials)
    if reason:
        return Choice(PROCESSES, f"since {reason}", is_free=True)
    programs = len(groups.group(trials))
    what = f"{len(trials):,} trials in {programs:,} program" + "s" * (programs > 1)
    if 2 * programs > len(trials):
        why = f"since it would be {what}; --backend=batched trains those"
        return Choice(PROCESSES, why.replace("1 trials", "1 trial"), is_free=True)
    why = f"{what}; --backend=processes runs each as a process"
    return Choice(backends.BATCHED, why, is_free=True)


def choose_search(trials: Sequence[Trial], space: Collection[str]) -> Choice:
    """The backend of a new search: batched where all proposals share a program.

    Args:
      trials: some that stand for the proposals.
      space: the fields that are proposed.
    """
    apart = [field for field in space if field not in groups.BATCHABLE]
    reason = obstacle(trials)
    if apart:
        reason = f"each {apart[0]} is a program of its own"
    if reason:
        return Choice(PROCESSES, f"since {reason}", is_free=True)
    why = "proposals share a program; --backend=processes runs each as a process"
    return Choice(backends.BATCHED, why, is_free=True)


def obstacle(trials: Sequence[Trial]) -> str:
    """Why trials cannot be batched, whatever their sizes; empty where they can."""
    for trial in trials:
        name, buckets = trial.config.task.name, trial.config.train.buckets
        if name not in ONE_BUCKET and buckets != 1:
            return (
                f"trial {trial.index}: the examples of {name} may be of several widths "
                f"(train.buckets={buckets}), and a program has one; "
                f"--config.train.buckets=1 pads all to the widest"
            )
    return ""

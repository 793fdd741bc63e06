"""What a launch of a sweep is to be: its trials, and where they run.

All of it is found before anything is written.
"""

import os
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jax

from s2sjax import environment, places, program_cache
from s2sjax.commands.run import notice
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.runs import run_files
from s2sjax.schema import written
from s2sjax.sweeps import backends, directory, optuna_specs, preflight
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.backends import Choice
from s2sjax.sweeps.batched import run
from s2sjax.sweeps.draws import Distribution
from s2sjax.sweeps.pools.processes import gpus
from s2sjax.sweeps.trials import Trial


@dataclass(frozen=True)
class Launch:
    """What a sweep is launched with; see `sweep`."""

    path: str | os.PathLike[str] | None = None
    config_file: str = ""  # `FILE[:variant]`; empty: the trials that are there
    config: Config | None = None  # of it, overrides applied
    overrides: Mapping[str, str] = field(default_factory=dict)
    sweep: str | None = None
    backend: str | None = None
    workers: int | None = None
    max_trials: int | None = None
    add: bool = False
    search: str | None = None
    pruner: str | None = None
    retries: int = 1
    preemptions: int = 10
    silence: int = 1800
    retry_failed: bool = False
    tracker: str | None = None
    ray_address: str | None = None
    dry_run: bool = False
    quiet: bool = False
    command: Sequence[str] = ("s2sjax", "sweep")  # that is noted of this launch
    say: Callable[[str], None] = notice
    note: Callable[[str], None] = lambda line: None  # what need not be known

    def tell(self, line: str) -> None:
        """Says a line, if there is one."""
        if line:
            self.say(line)

    @property
    def words(self) -> list[str]:
        """The config and what overrides it, as a command has them."""
        if not self.config_file:
            return []
        words = [f"--config={self.config_file}"]
        return words + [f"--config.{f}={text}" for f, text in self.overrides.items()]

    def command_of(self, trial: Trial, workdir: Path) -> str:
        """The command that trains a trial by itself."""
        words = ["s2sjax", "train", *self.words]
        words += [f"--config.{f}={written(v)}" for f, v in trial.overrides.items()]
        return shlex.join([*words, f"--workdir={workdir}"])


def check(launch: Launch) -> None:
    """Raises UsageError where arguments need one another, or exclude one another."""
    is_batched = launch.backend and backends.name(launch.backend) == backends.BATCHED
    if is_batched and launch.workers is not None and not launch.search:
        raise UsageError(
            f"workers={launch.workers} counts processes, or proposals of a search; "
            f"backend=batched trains all trials of a list together"
        )
    if launch.path is None and not launch.dry_run:
        raise UsageError("a sweep needs path=DIR (where it is kept)")
    needs_config = {"dry_run": launch.dry_run, "sweep": launch.sweep}
    needs_config |= {"search": launch.search, "add": launch.add}
    for name, value in needs_config.items():
        if value and launch.config is None:
            raise UsageError(f"{name}= needs config=FILE[:variant]")
    if launch.pruner and not launch.search:
        raise UsageError(f"pruner={launch.pruner} needs search=SPEC, e.g. tpe")
    if launch.search:
        if launch.max_trials is None:
            raise UsageError(f"search={launch.search} needs max_trials=N")
        for name in ("sweep", "dry_run", "retry_failed"):
            if getattr(launch, name):
                raise UsageError(f"search={launch.search} and {name}= came: choose one")


class Found(NamedTuple):
    """The trials of a launch."""

    trials: list[Trial]
    stored: directory.Stored = MappingProxyType({})  # as the directory has them


def found(launch: Launch) -> Found:
    """The trials of the file, or without one those of the directory."""
    return _there(launch) if launch.config is None else Found(_defined(launch))


def planned_search(launch: Launch) -> tuple[dict[str, Distribution], Choice]:
    """The space that a search draws from, and where its trials run."""
    assert launch.config is not None
    optuna_specs.make_sampler(launch.search or "")
    optuna_specs.make_pruner(launch.pruner or "none")
    space = definition.space(launch.config_file, launch.config)
    largest = definition.largest(launch.config, space)
    return space, prepared(launch, [largest], space)


def _defined(launch: Launch) -> list[Trial]:
    """The trials of the config file."""
    assert launch.config is not None
    names = [] if launch.sweep is None else launch.sweep.split(",")
    return definition.define(
        launch.config_file, launch.config, names, launch.max_trials
    )


def _there(launch: Launch) -> Found:
    """The trials of a directory, to continue with."""
    assert launch.path is not None
    path = run_files.checked_path(launch.path)
    if not directory.check(path):
        what = places.not_a_sweep(path)
        raise UsageError(f"path={path} {what}; give config=FILE to start one")
    there = directory.read_trials(path)
    if not there:
        raise UsageError(f"path={path} has no trials yet; give config=FILE")
    return Found([trial for trial, _ in there.values()], there)


def prepared(
    launch: Launch, trials: Sequence[Trial], space: Collection[str] = ()
) -> Choice:
    """The backend that was asked for, or the one that is chosen; checks the trials.

    Args:
      launch: what is asked.
      trials: what it trains, or some that stand for it.
      space: of a search, the fields that it proposes.

    Raises:
      UsageError: trials that the backend cannot train.
    """
    for line in program_cache.keep(os.environ):
        launch.say(line)
    path = None if launch.path is None else run_files.checked_path(launch.path)
    choice = _choice(launch, trials, path, space)
    if launch.ray_address and not choice.is_ray:
        came = f"ray_address={launch.ray_address}"
        raise UsageError(f"{came} needs backend=ray; it is {choice.backend}")
    before = os.environ.get("XLA_FLAGS")
    lines = _split_cpu(trials) if choice.is_batched else []
    if (not choice.is_batched or launch.dry_run) and not environment.has_begun():
        _leave_devices()
    if launch.config is not None:
        preflight.check(trials)
    # The memory of a GPU is known once it is taken.
    can_be_checked = not (launch.dry_run and gpus(os.environ))
    if choice.is_batched and (choice.is_free or launch.config) and can_be_checked:
        try:
            run.check(trials)
        except UsageError as error:
            if not (choice.is_free and _on_cpu()):
                raise
            restore_flags(before)  # for the processes that are started
            return choice._replace(backend="processes", why=f"since {error}")
    for line in [] if launch.dry_run else lines:
        launch.note(line)
    return choice


def _choice(
    launch: Launch,
    trials: Sequence[Trial],
    sweep: Path | None,
    space: Collection[str],
) -> Choice:
    asked = launch.backend
    if asked is not None:
        return Choice(asked)
    there = backends.begun(sweep) if sweep is not None else ""
    if there:
        return Choice(there, "as this sweep was begun")
    if space:
        return backends.choose_search(trials, space)
    if launch.workers is not None:
        why = f"since workers={launch.workers} counts them"
        return Choice("processes", why, is_free=True)
    return backends.choose(trials)


def _split_cpu(trials: Sequence[Trial]) -> list[str]:
    """Sets the flags of trials that share a process: a device of the CPU for each
    core. What to say of them.
    """
    deterministic = any(trial.config.train.deterministic for trial in trials)
    cores = len(environment.cores())
    return environment.prepare(
        os.environ, threads=1, deterministic=deterministic, devices=cores
    )


def _leave_devices() -> None:
    """Leaves the devices to the trials; here only shapes are computed."""
    jax.config.update("jax_platforms", "cpu")


def _on_cpu() -> bool:
    """Whether the launcher, which has started jax, holds no device of the trials.

    What is too large for a GPU by itself is so for a process on it too.
    """
    return jax.devices()[0].platform == "cpu"


def restore_flags(flags: str | None) -> None:
    """Puts the flags of XLA back that a process had before."""
    if flags is None:
        os.environ.pop("XLA_FLAGS", None)
    else:
        os.environ["XLA_FLAGS"] = flags

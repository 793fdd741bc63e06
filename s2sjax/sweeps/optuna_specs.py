"""Samplers and pruners of Optuna, by spec. Needs the extra `search`."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from s2sjax import spec
from s2sjax.errors import UsageError

Makers = dict[str, Callable[..., Any]]


def make_sampler(text: str, number: int = 0) -> Any:
    """The sampler of a spec: `tpe`, `random`, `gp` or `cmaes`, with a seed.

    Args:
      text: the spec.
      number: of the proposal that it is to make, which has a seed of its own.

    Raises:
      UsageError: an unknown name or argument.
    """
    samplers = load().samplers

    def drawn(seed: int) -> int:
        spec.between("seed", seed, 0, spec.LARGEST)
        return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])

    def tpe(*, seed: int = 0, startup: int = 10) -> Any:
        spec.between("startup", startup, 0, spec.LARGEST)
        return samplers.TPESampler(seed=drawn(seed), n_startup_trials=startup)

    def random(*, seed: int = 0) -> Any:
        return samplers.RandomSampler(seed=drawn(seed))

    def cmaes(*, seed: int = 0) -> Any:
        return samplers.CmaEsSampler(seed=drawn(seed))

    def gp(*, seed: int = 0) -> Any:
        return samplers.GPSampler(seed=drawn(seed))

    table: Makers = {"tpe": tpe, "random": random, "cmaes": cmaes, "gp": gp}
    return _made("sampler", text, table)


def make_pruner(text: str) -> Any:
    """The pruner of a spec: `asha`, `hyperband`, `median` or `none`.

    Resources are training steps.

    Raises:
      UsageError: an unknown name or argument.
    """
    pruners = load().pruners

    def asha(*, first: int = 1, factor: int = 4) -> Any:
        spec.between("first", first, 1, spec.LARGEST)
        spec.between("factor", factor, 2, spec.LARGEST)
        return pruners.SuccessiveHalvingPruner(
            min_resource=first, reduction_factor=factor
        )

    def hyperband(*, first: int = 1, factor: int = 3) -> Any:
        spec.between("first", first, 1, spec.LARGEST)
        spec.between("factor", factor, 2, spec.LARGEST)
        return pruners.HyperbandPruner(min_resource=first, reduction_factor=factor)

    def median(*, startup: int = 5, first: int = 0) -> Any:
        spec.between("startup", startup, 0, spec.LARGEST)
        spec.between("first", first, 0, spec.LARGEST)
        return pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=first)

    none = pruners.NopPruner
    table: Makers = {
        "asha": asha,
        "hyperband": hyperband,
        "median": median,
        "none": none,
    }
    return _made("pruner", text, table)


def load() -> ModuleType:
    """The library, which speaks of warnings alone.

    Raises:
      UsageError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UsageError(
            "a search needs Optuna; pip install 's2sjax[search]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _made(kind: str, text: str, table: Makers) -> Any:
    try:
        return spec.call(kind, text, table)
    except ImportError as error:  # of what a sampler needs besides
        raise UsageError(f"{kind} '{text}': {error}") from None

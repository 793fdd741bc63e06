"""The base config of a sweep, which its trials override: one for all launches.

A launch with another one would make other trials of each override, beside those that
are there. Imports no jax.
"""

from collections.abc import Collection, Sequence
from typing import Any

from s2sjax import config as configs
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.sweeps.directory import SWEEP, SweepDirectory
from s2sjax.sweeps.trials import Trial

Difference = dict[str, tuple[Any, Any]]


def check(
    sweep: SweepDirectory,
    base: Config,
    defined: Sequence[Trial] = (),
    leave_out: Collection[str] = (),
) -> None:
    """Refuses a base config that is that of no earlier launch; writes nothing.

    Data that lie elsewhere by now are no difference, once `data.settle` has moved the
    trials to them.

    Args:
      sweep: as earlier launches left it.
      base: of this launch.
      defined: the trials that it asks for.
      leave_out: fields that every trial has a value of its own for.

    Raises:
      UsageError: it differs; with the difference.
    """
    differences = [
        {field: pair for field, pair in each.items() if field not in leave_out}
        for each in _differences(sweep, base)
    ]
    nearest = min(differences, key=len, default={})
    if not nearest:
        return
    present = {trial.config for trial in sweep.trials}
    more = sum(trial.config not in present for trial in defined)
    lines = [f"{f}: {then!r} here, {now!r} asked" for f, (then, now) in nearest.items()]
    raise UsageError(
        f"path={sweep.path} holds a sweep of another config: {'; '.join(lines)}; "
        f"put it back, leave out config= to go on with what is there, or give add=True "
        f"for more trials" + f" ({more:,} would be added)" * bool(defined)
    )


def _differences(sweep: SweepDirectory, base: Config) -> list[Difference]:
    """From each earlier base config to this one: fields, with both values."""
    noted = [launch["base"] for launch in sweep.launches if "base" in launch]
    try:
        earlier = [_moved(sweep, configs.resolve(each), base) for each in noted]
    except UsageError as error:
        raise UsageError(f"{sweep.path / SWEEP} is damaged: {error}") from None
    return [configs.difference(each, base) for each in earlier]


def _moved(sweep: SweepDirectory, then: Config, base: Config) -> Config:
    """An earlier base, with its files where they are now if all trials have moved."""
    used = {
        path
        for trial in sweep.trials
        for path in configs.user_files(trial.config).values()
    }
    now = configs.user_files(base)
    for field, old in configs.user_files(then).items():
        if field in now and old not in used:
            then = configs.relocated(then, old, now[field])
    return then

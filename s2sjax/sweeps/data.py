"""The data that a sweep's trials read: the same bytes for all, wherever they lie.

A trial that waits reads its files when its turn comes. A launch notes their SHA-256
in `sweep.json` before any trial starts, and compares them with those of earlier
launches. Where the same bytes lie elsewhere by now, the trials go on from there.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from s2sjax import config as configs
from s2sjax import tasks
from s2sjax.errors import UsageError
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.trials import Trial


def settle(
    sweep: SweepDirectory,
    trials: Sequence[Trial],
    command: Callable[[Trial, Path], str],
) -> dict[str, list[str]]:
    """Refuses data that are missing or others than before; moves trials to them.

    Args:
      sweep: where the trials are.
      trials: that are launched, each with the path of today.
      command: the command line of a trial.

    Returns:
      The SHA-256 of each file at each path, to be noted with the launch.

    Raises:
      UsageError: data that cannot be read, or that changed since an earlier launch.
    """
    known = _known(sweep)
    found = {}
    for path, trial in {configs.data_path(t.config): t for t in trials}.items():
        if path:
            found[path] = _hashes(trial, is_known=path in known)
            if known.get(path, found[path]) != found[path]:
                raise UsageError(
                    f"{path} is not what this sweep was begun with (its SHA-256 "
                    f"differs); bring that back, or start another sweep"
                )
    for old, hashes in known.items():
        same = [path for path in found if found[path] == hashes]
        if old not in found and same:
            sweep.move_data(old, same[0], command)
    return found


def _known(sweep: SweepDirectory) -> dict[str, Any]:
    """What earlier launches noted of the data that trials have."""
    noted: dict[str, Any] = {}
    for launch in sweep.launches:
        data = launch.get("data")
        noted |= data if isinstance(data, dict) else {}
    used = {configs.data_path(trial.config) for trial in sweep.trials}
    return {path: hashes for path, hashes in noted.items() if path in used}


def _hashes(trial: Trial, *, is_known: bool) -> list[str]:
    try:
        return list(tasks.sources(trial.config).values())
    except UsageError as error:
        if not is_known:
            raise
        field = "task.path" if trial.config.task.path else "task.name"
        raise UsageError(
            f"{error}; this sweep goes on with the same data elsewhere, given "
            f"config=FILE and the override {field}=PLACE"
        ) from None

"""The data and code of the user's that trials read: the same bytes, wherever they lie.

A trial that waits reads its files when its turn comes. A launch notes their SHA-256
in `sweep.json` before any trial starts, and compares them with those of earlier
launches. Where the same bytes lie elsewhere by now, the trials go on from there.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from s2sjax import config as configs
from s2sjax import tasks, user_code
from s2sjax.errors import UsageError
from s2sjax.runs import run_files
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.trials import Trial


def settle(
    sweep: SweepDirectory,
    trials: Sequence[Trial],
    command: Callable[[Trial, Path], str],
) -> dict[str, list[str]]:
    """Refuses files that are missing or others than before; moves trials to them.

    Args:
      sweep: where the trials are.
      trials: that are launched, each with the paths of today.
      command: the command line of a trial.

    Returns:
      The SHA-256 of each file at each path, to be noted with the launch.

    Raises:
      UsageError: a file that cannot be read, or that changed since an earlier launch.
    """
    known = _known(sweep)
    current = {}
    readers = {
        path: (field, trial)
        for trial in trials
        for field, path in configs.user_files(trial.config).items()
    }
    for path, (field, trial) in readers.items():
        current[path] = _hashes(field, trial, is_known=path in known)
        if known.get(path, current[path]) != current[path]:
            raise UsageError(
                f"{path} is not what this sweep was begun with (its SHA-256 "
                f"differs); bring that back, or start another sweep"
            )
    for old, hashes in known.items():
        same = [path for path in current if current[path] == hashes]
        named = [p for p in same if os.path.basename(p) == os.path.basename(old)]
        if old not in current and same:
            sweep.move_files(old, (named or same)[0], command)
    return current


def _known(sweep: SweepDirectory) -> dict[str, Any]:
    """What earlier launches noted of the files that trials read."""
    noted: dict[str, Any] = {}
    for launch in sweep.launches:
        noted |= launch["data"]
    used = {
        path
        for trial in sweep.trials
        for path in configs.user_files(trial.config).values()
    }
    return {path: hashes for path, hashes in noted.items() if path in used}


def _hashes(field: str, trial: Trial, *, is_known: bool) -> list[str]:
    """Of the files that a field names."""
    file = configs.user_files(trial.config)[field]
    try:
        if field in configs.EMBEDDING_FILES:
            return [run_files.sha256(field, file)]
        if field not in (*configs.CORPUS, "task.name"):
            return [hashlib.sha256(user_code.read(field, file)).hexdigest()]
        read = tasks.sources(trial.config)
        return [each.sha256 for each in read if each.field == field]
    except UsageError as error:
        if not is_known:
            raise
        what = "vectors" if field in configs.EMBEDDING_FILES else "data"
        place = configs.DATA_FILES.get(field, "") + "PLACE"
        if field in configs.CODE:
            what, place = "file", "FILE.py:NAME"
        raise UsageError(
            f"{error}; this sweep goes on with the same {what} elsewhere, given "
            f"config=FILE and the override {field}={place}"
        ) from None

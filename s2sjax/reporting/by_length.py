"""Exact match of a trial by the length of the target."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np

from s2sjax import json_objects
from s2sjax.training import run_files

# Tasks whose targets are not as long as task.length counts their sources.
_OTHERWISE_COUNTED = ("addition", "reversed_prefix")


class ByLength(NamedTuple):
    """The test of a trial, length by length."""

    lengths: np.ndarray  # [L] ascending, symbols in the target
    exact: np.ndarray  # [L] share of outputs all right
    trained: int | None = None  # the longest of training, where the test is longer


NOTHING = ByLength(np.zeros(0), np.zeros(0))


class _Row(TypedDict):
    exact: float


class _Test(TypedDict):
    by_length: NotRequired[dict[str, _Row]]


def read(directory: Path, say: Callable[[str], None] = lambda line: None) -> ByLength:
    """What `test.json` says by length; `NOTHING` where it is missing or damaged.

    Args:
      directory: of the trial.
      say: takes a line about a damaged file.
    """
    path = directory / run_files.TEST
    if not path.exists():
        return NOTHING
    try:
        rows = json_objects.read(path, _Test).get("by_length", {})
        found = {int(length): float(row["exact"]) for length, row in rows.items()}
    except ValueError as error:
        say(f"{error}; the lengths of this trial are left out")
        return NOTHING
    launched = _inside(run_files.read_object(directory / run_files.TRIAL), "config")
    task = _inside(launched, "task")
    marked = task.get("test_length") and task.get("name") not in _OTHERWISE_COUNTED
    lengths = sorted(found)
    return ByLength(
        np.array(lengths, float),
        np.array([found[length] for length in lengths], float),
        task.get("length") if marked else None,
    )


def tell(tests: Sequence[ByLength]) -> bool:
    """Whether there is something to see: a trial with several lengths."""
    return any(len(test.lengths) > 1 for test in tests)


def trained(tests: Sequence[ByLength]) -> int | None:
    """The longest source of training, where all trials share it."""
    found = {test.trained for test in tests if len(test.lengths)}
    return found.pop() if len(found) == 1 else None


def _inside(value: dict[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}

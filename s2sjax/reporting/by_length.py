"""Exact match of a trial by the length of the target."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np

from s2sjax import json_objects
from s2sjax.reporting.groups import Estimate, estimate
from s2sjax.training import run_files

# Tasks whose targets are not as long as task.length counts their sources.
_OTHERWISE_COUNTED = ("addition", "reversed_prefix")


class ByLength(NamedTuple):
    """The test of a trial, length by length."""

    lengths: np.ndarray  # [L] ascending, symbols in the target
    exact: np.ndarray  # [L] share of outputs all right
    examples: np.ndarray  # [L] of how many
    trained: int | None = None  # the longest of training, where the test is longer


NOTHING = ByLength(np.zeros(0), np.zeros(0), np.zeros(0))


class _Row(TypedDict):
    exact: float
    count: NotRequired[int]


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
        found = {
            int(length): (row["exact"], row.get("count", 0))
            for length, row in rows.items()
        }
    except ValueError as error:
        say(f"{error}; the lengths of this trial are left out")
        return NOTHING
    launched = _inside(run_files.read_object(directory / run_files.TRIAL), "config")
    task = _inside(launched, "task")
    marked = task.get("test_length") and task.get("name") not in _OTHERWISE_COUNTED
    lengths = sorted(found)
    columns = np.array([found[length] for length in lengths], float).reshape(-1, 2)
    return ByLength(
        np.array(lengths, float),
        columns[:, 0],
        columns[:, 1],
        task.get("length") if marked else None,
    )


def tell(tests: Sequence[ByLength]) -> bool:
    """Whether there is something to see: a trial with several lengths."""
    return any(len(test.lengths) > 1 for test in tests)


class AtLength(NamedTuple):
    """What some tests say of the outputs of one length."""

    length: int
    estimate: Estimate
    examples: int  # of all tests together; 0: not told
    least: float
    largest: float


def joined(tests: Sequence[ByLength]) -> list[AtLength]:
    """The tests of a group of trials, length by length.

    >>> test = ByLength(np.array([2.0]), np.array([0.5]), np.array([3.0]))
    >>> [row.estimate.n for row in joined([test, test])]
    [2]
    """
    found: dict[int, list[tuple[float, int]]] = {}
    for test in tests:
        for length, exact, count in zip(*test[:3], strict=True):
            found.setdefault(int(length), []).append((float(exact), int(count)))
    rows = []
    for length, told in sorted(found.items()):
        values, counts = [exact for exact, _ in told], [count for _, count in told]
        examples = sum(counts) if all(counts) else 0
        interval = estimate(values, 1.0, examples)
        rows.append(AtLength(length, interval, examples, min(values), max(values)))
    return rows


def trained(tests: Sequence[ByLength]) -> int | None:
    """The longest source of training, where all trials share it."""
    found = {test.trained for test in tests if len(test.lengths)}
    return found.pop() if len(found) == 1 else None


def _inside(value: dict[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}

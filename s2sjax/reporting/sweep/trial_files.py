"""What the directory of a trial adds to its row: learning curves, samples, lengths."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np

from s2sjax import json_objects, places
from s2sjax.errors import RunError, UsageError
from s2sjax.inference.kind import Sample
from s2sjax.reporting.sweep.groups import Estimate, estimate
from s2sjax.reporting.sweep.table import SweepTable, Trial
from s2sjax.runs import logged, run_files

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
    count: int


class _Test(TypedDict):
    by_length: dict[str, _Row]


def read(directory: Path, say: Callable[[str], None] = lambda line: None) -> ByLength:
    """What `test.json` says by length; `NOTHING` where it is missing or damaged.

    Args:
      directory: of the trial.
      say: takes a line about a damaged file.
    """
    path = directory / run_files.TEST
    if not path.exists() or "by_step" in run_files.read_object(path):
        return NOTHING  # numbers have a horizon, which is the same for all
    try:
        rows = json_objects.read(path, _Test)["by_length"]
        by_length = {
            int(length): (row["exact"], row["count"]) for length, row in rows.items()
        }
    except ValueError as error:
        say(f"{error}; the lengths of this trial are left out")
        return NOTHING
    launched = _inside(run_files.read_object(directory / run_files.TRIAL), "config")
    task = _inside(launched, "task")
    marked = task.get("test_length") and task.get("name") not in _OTHERWISE_COUNTED
    lengths = sorted(by_length)
    columns = np.array([by_length[length] for length in lengths], float).reshape(-1, 2)
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
    by_length: dict[int, list[tuple[float, int]]] = {}
    for test in tests:
        for length, exact, count in zip(*test[:3], strict=True):
            by_length.setdefault(int(length), []).append((float(exact), int(count)))
    rows = []
    for length, shares in sorted(by_length.items()):
        values, counts = [exact for exact, _ in shares], [count for _, count in shares]
        examples = sum(counts) if all(counts) else 0
        interval = estimate(values, 1.0, examples)
        rows.append(AtLength(length, interval, examples, min(values), max(values)))
    return rows


def trained(tests: Sequence[ByLength]) -> int | None:
    """The longest source of training, where all trials share it."""
    longest = {test.trained for test in tests if len(test.lengths)}
    return longest.pop() if len(longest) == 1 else None


def _inside(value: dict[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


class TrialFiles(NamedTuple):
    """The evaluations of a trial, in order, its last predictions, and its test."""

    valid: Sequence[Mapping[str, Any]]
    samples: Sequence[Sample]
    by_length: ByLength = NOTHING

    def metrics(self) -> list[str]:
        """The numbers that its evaluations have."""
        names = dict.fromkeys(
            name
            for entry in self.valid
            for name, value in entry.items()
            if name not in ("step", "examples") and _is_number(value)
        )
        return list(names)

    def curve(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values; evaluations without the metric are left out.

        >>> files = TrialFiles([{"step": 5, "nll": 2.0}, {"step": 9, "nll": None}], [])
        >>> [column.tolist() for column in files.curve("nll")]
        [[5.0], [2.0]]
        """
        points = [
            (entry["step"], entry[metric])
            for entry in self.valid
            if _is_number(entry.get(metric))
        ]
        columns = np.array(points, float).reshape(-1, 2)
        return columns[:, 0], columns[:, 1]


def read_all(
    table: SweepTable, say: Callable[[str], None] = lambda line: None
) -> list[TrialFiles]:
    """The files of each trial; of one that has none, or damaged ones, no lines."""
    return [_read(directory_of(table, trial), say) for trial in table.trials]


def directory_of(table: SweepTable, trial: Trial) -> Path:
    """Where a trial is kept."""
    return table.directory / places.TRIALS / trial.name


def command_line(table: SweepTable, trial: Trial) -> str:
    """The command that a person types to have this trial again, or to go on with it.

    It is what the trial's row or its run recorded. One that is done is trained again in
    a new directory; others go on where they are now, wherever they were launched.
    """
    place = directory = directory_of(table, trial)
    if trial.status == "done":
        place = run_files.again(table.directory, trial.name)
    try:
        words = shlex.split(trial.command)
    except ValueError:
        words = []
    if any(word.startswith("--config=") for word in words):
        return shlex.join(run_files.placed(words, place))
    try:
        recorded = run_files.read_record(directory).get("command")
    except UsageError:
        recorded = None
    words = list(map(str, recorded)) if isinstance(recorded, list) else []
    if not any(word.startswith("--config=") for word in words):
        words = ["s2sjax", "train", "--workdir="]
        if place != directory:
            words.insert(2, f"--config={directory}")
    return shlex.join(run_files.placed(words, place))


def _read(directory: Path, say: Callable[[str], None]) -> TrialFiles:
    try:
        entries = logged.entries(directory, say)
    except RunError as error:
        say(f"{error}; the curve of this trial is left out")
        entries = []
    valid = [entry for entry in entries if entry.get("kind") == "valid"]
    shown = next((e["samples"] for e in reversed(entries) if e.get("samples")), None)
    return TrialFiles(valid, _samples(shown), read(directory, say))


def _samples(shown: Any) -> list[Sample]:
    """Triples of texts (source, output, target); whatever else is there is left out."""
    rows = shown if isinstance(shown, list) else []
    triples = [row for row in rows if isinstance(row, list) and len(row) == 3]
    return [Sample(*map(_text, row)) for row in triples]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""What the directory of a trial adds to its row: learning curves, samples, lengths."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from s2sjax.errors import RunError, UsageError
from s2sjax.reporting import by_length
from s2sjax.reporting.by_length import ByLength
from s2sjax.reporting.sweep_table import SweepTable, Trial
from s2sjax.training import logged, run_files
from s2sjax.training.observer import Sample


class TrialFiles(NamedTuple):
    """The evaluations of a trial, in order, its last predictions, and its test."""

    valid: Sequence[Mapping[str, Any]]
    samples: Sequence[Sample]
    by_length: ByLength = by_length.NOTHING

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
    return table.directory / "trials" / trial.name


def command_line(table: SweepTable, trial: Trial) -> str:
    """The command that a person types to have this trial again, or to go on with it.

    It is what the trial's row or its run recorded. One that is done is trained again in
    a new directory; others go on where they are now, wherever they were launched.
    """
    there = directory = directory_of(table, trial)
    if trial.status == "done":
        there = run_files.again(table.directory, trial.name)
    try:
        words = shlex.split(trial.command)
    except ValueError:
        words = []
    if any(word.startswith("--config=") for word in words):
        return shlex.join(run_files.placed(words, there))
    try:
        recorded = run_files.read_record(directory).get("command")
    except UsageError:
        recorded = None
    words = list(map(str, recorded)) if isinstance(recorded, list) else []
    if not any(word.startswith("--config=") for word in words):
        words = ["s2sjax", "train", "--workdir="]
        if there != directory:
            words.insert(2, f"--config={directory}")
    return shlex.join(run_files.placed(words, there))


def _read(directory: Path, say: Callable[[str], None]) -> TrialFiles:
    try:
        entries = logged.entries(directory, say)
    except RunError as error:
        say(f"{error}; the curve of this trial is left out")
        entries = []
    valid = [entry for entry in entries if entry.get("kind") == "valid"]
    shown = next((e["samples"] for e in reversed(entries) if e.get("samples")), None)
    return TrialFiles(valid, _samples(shown), by_length.read(directory, say))


def _samples(shown: Any) -> list[Sample]:
    """Triples of texts (source, output, target); whatever else is there is left out."""
    rows = shown if isinstance(shown, list) else []
    triples = [row for row in rows if isinstance(row, list) and len(row) == 3]
    return [Sample(*map(_text, row)) for row in triples]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

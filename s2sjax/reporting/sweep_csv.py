"""The answer of a sweep as CSV files."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2sjax.errors import RunError
from s2sjax.reporting import by_length
from s2sjax.reporting.by_length import ByLength
from s2sjax.reporting.findings import Findings, levels
from s2sjax.reporting.sweep_table import SweepTable
from s2sjax.reporting.trial_files import TrialFiles
from s2sjax.training import atomic


def write_csv(
    found: Findings, folder: Path, trial_files: Sequence[TrialFiles] = ()
) -> list[Path]:
    """Writes `trials.csv`, a row per trial, and `groups.csv`, a row per group.

    Where tests have several lengths, `by_length.csv` has a row per group and length.

    Raises:
      RunError: a file cannot be written.
    """
    files = {
        "trials.csv": _trial_rows(found.table),
        "groups.csv": _group_rows(found),
    }
    tests = [each.by_length for each in trial_files]
    if by_length.tell(tests):
        files["by_length.csv"] = _length_rows(found, tests)
    else:
        (folder / "by_length.csv").unlink(missing_ok=True)  # of an earlier report
    for name, rows in files.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        try:
            atomic.write_text(folder / name, text.getvalue())
        except OSError as error:
            raise RunError(f"cannot write {folder / name}: {error.strerror}") from None
    return [folder / name for name in files]


def _trial_rows(table: SweepTable) -> list[list[Any]]:
    fields, metrics = table.fields(), table.metrics()
    last = ("seconds", "device", "error")
    rows: list[list[Any]] = [["index", "name", "status", *fields, *metrics, *last]]
    rows += [
        [
            *(trial.index, trial.name, trial.status),
            *(_csv_value(trial.overrides.get(field)) for field in fields),
            *(trial.metrics.get(metric) for metric in metrics),
            *(trial.seconds, trial.device, trial.error),
        ]
        for trial in table.trials
    ]
    return rows


def _group_rows(found: Findings) -> list[list[Any]]:
    fields = [factor.field for factor in found.by]
    name = found.measure.name
    statistics = ("n", "trials", name, f"{name}_low", f"{name}_high", "interval")
    rows: list[list[Any]] = [[*fields, *statistics]]
    for group in found.groups:
        *numbers, count = group.estimate
        told = [number if math.isfinite(number) else None for number in numbers]
        of = levels(found, group).values()
        rows.append([*of, count, len(group.trials), *told, found.measure.interval])
    return rows


def _length_rows(found: Findings, tests: Sequence[ByLength]) -> list[list[Any]]:
    """A table with a row for each group and length, over the trials that are done.

    Its columns are the levels of the group, the length, how many trials and examples,
    and of the share of outputs all right the mean, its score interval at 95 %, the
    least and the largest.
    """
    fields = [factor.field for factor in found.by]
    last = ("exact", "exact_low", "exact_high", "least", "largest")
    table: list[list[Any]] = [[*fields, "length", "n", "examples", *last]]
    for group in found.groups:
        done = [p for p in group.trials if found.table.trials[p].status == "done"]
        for row in by_length.joined([tests[place] for place in done]):
            mean, low, high, count = row.estimate
            ends = [number if math.isfinite(number) else None for number in (low, high)]
            told = [count, row.examples, mean, *ends, row.least, row.largest]
            table.append([*levels(found, group).values(), row.length, *told])
    return table


def _csv_value(value: Any) -> Any:
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if plain or value is None else json.dumps(value)

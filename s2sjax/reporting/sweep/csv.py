"""The answer of a sweep as CSV files."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2sjax.errors import RunError, writing
from s2sjax.reporting.measure import SPLITS, measure
from s2sjax.reporting.sweep import trial_files as by_length
from s2sjax.reporting.sweep.findings import Findings, levels
from s2sjax.reporting.sweep.table import SEED, SweepTable
from s2sjax.reporting.sweep.trial_files import ByLength, TrialFiles
from s2sjax.runs import atomic


def write_csv(
    findings: Findings, folder: Path, trial_files: Sequence[TrialFiles] = ()
) -> list[Path]:
    """Writes `trials.csv`, a row per trial, and `groups.csv`, a row per group.

    Where tests have several lengths, `by_length.csv` has a row per group and length.

    Raises:
      RunError: a file cannot be written.
    """
    files = {
        "trials.csv": _trial_rows(findings.table),
        "groups.csv": _group_rows(findings),
    }
    tests = [each.by_length for each in trial_files]
    if by_length.tell(tests):
        files["by_length.csv"] = _length_rows(findings, tests)
    else:
        (folder / "by_length.csv").unlink(missing_ok=True)  # of an earlier report
    for name, rows in files.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        with writing(f"cannot write {folder / name}", RunError):
            atomic.write_text(folder / name, text.getvalue())
    return [folder / name for name in files]


def _trial_rows(table: SweepTable) -> list[list[Any]]:
    """A table with a row for each trial; metrics are of its best step, by split."""
    fields = [field for field in table.fields() if field != SEED]
    metrics = table.metrics()
    examples = [f"{split}_examples" for split in SPLITS]
    last = ("seconds", "device", "error")
    columns = [*fields, SEED, "best_step", *metrics, *examples]
    rows: list[list[Any]] = [["index", "name", "status", *columns, *last]]
    rows += [
        [
            *(trial.index, trial.name, trial.status),
            *(_csv_value(trial.overrides.get(field)) for field in fields),
            trial.overrides.get(SEED, trial.seed),
            trial.best_step,
            *(trial.metrics.get(metric) for metric in metrics),
            *(trial.examples.get(split) for split in SPLITS),
            *(trial.seconds, trial.device, trial.error),
        ]
        for trial in table.trials
    ]
    return rows


def _group_rows(findings: Findings) -> list[list[Any]]:
    """A table with a row for each group; its columns say of which split they are."""
    fields = [factor.field for factor in findings.by]
    statistics = [
        f"{one.name}{what}"
        for one in findings.measures
        for what in ("", "_low", "_high", "_n")
    ]
    rows: list[list[Any]] = [[*fields, "trials", *statistics, "interval"]]
    columns = [findings.groups, *([findings.groups_beside] if findings.beside else [])]
    for groups in zip(*columns, strict=True):
        cells = [
            number if math.isfinite(number) else None
            for group in groups
            for number in group.estimate
        ]
        of, size = levels(findings, groups[0]).values(), len(groups[0].trials)
        rows.append([*of, size, *cells, findings.measure.interval])
    return rows


def _length_rows(findings: Findings, tests: Sequence[ByLength]) -> list[list[Any]]:
    """A table with a row for each group and length, over the trials that are done.

    Its columns are the levels of the group, the length, how many trials and test
    examples, and of the share of outputs all right the mean, its interval, the least
    and the largest.
    """
    fields = [factor.field for factor in findings.by]
    exact = measure("test_exact")
    share = [f"{exact.name}{what}" for what in ("", "_low", "_high")]
    last = (*share, "least", "largest", "interval")
    table: list[list[Any]] = [[*fields, "length", "n", "test_examples", *last]]
    for group in findings.groups:
        done = [p for p in group.trials if findings.table.trials[p].status == "done"]
        for row in by_length.joined([tests[place] for place in done]):
            mean, low, high, count = row.estimate
            ends = [number if math.isfinite(number) else None for number in (low, high)]
            cells = [count, row.examples, mean, *ends, row.least, row.largest]
            of = levels(findings, group).values()
            table.append([*of, row.length, *cells, exact.interval])
    return table


def _csv_value(value: Any) -> Any:
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if plain or value is None else json.dumps(value)

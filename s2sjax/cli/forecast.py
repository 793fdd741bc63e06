"""`s2sjax decode` of a run that forecasts numbers."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2sjax.cli import printing
from s2sjax.errors import UsageError, writing

if TYPE_CHECKING:
    from s2sjax.commands.forecasts import Forecast
    from s2sjax.commands.run import Run

OF_SYMBOLS = ("features", "attention", "states")  # flags that numbers have not


def check(values: Any, positional: Sequence[str]) -> None:
    """Refuses what is asked of symbols.

    Raises:
      UsageError: the flag, or symbols.
    """
    if positional:
        raise UsageError(
            f"'{positional[0]}': this run forecasts numbers; give --from_file=FILE.csv "
            f"or --split=NAME"
        )
    for name in OF_SYMBOLS:
        if getattr(values, name):
            raise UsageError(
                f"--{name}={getattr(values, name)} is of symbols; this run forecasts "
                f"numbers"
            )
    if values.horizon is not None and values.split:
        raise UsageError(
            f"--horizon={values.horizon} is of --from_file=FILE; windows of a split "
            f"have the one of training"
        )


def main(run: "Run", values: Any, split: str) -> int:
    """Forecasts a file or a split, and writes or prints it; returns the exit code."""
    found = run.forecast(
        values.from_file or None,
        split=split or None,
        examples=values.examples,
        horizon=values.horizon,
    )
    if values.json:
        for row in _rows(found):
            printing.line(json.dumps(row))
        return 0
    text = _csv(found)
    if not values.out:
        printing.line(text.rstrip("\n"))
        return 0
    from s2sjax.runs import atomic

    with writing(f"--out={values.out}"):
        atomic.write_text(Path(values.out), text)
    printing.warn([f"forecasts: {len(found.series):,} in {values.out}"])
    return 0


def _csv(found: "Forecast") -> str:
    columns = found.columns()
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(
        [_plain(value) for value in row] for row in zip(*columns.values(), strict=True)
    )
    return written.getvalue()


def _rows(found: "Forecast") -> list[dict[str, Any]]:
    columns = found.columns()
    return [
        dict(zip(columns, map(_plain, row), strict=True))
        for row in zip(*columns.values(), strict=True)
    ]


def _plain(value: Any) -> Any:
    """A cell: numbers as Python has them, times and names as texts."""
    if hasattr(value, "dtype") and value.dtype.kind in "fiu":
        return value.item()
    return str(value)

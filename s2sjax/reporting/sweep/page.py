"""One page that holds a whole sweep: opens from disk, needs no network."""

import dataclasses
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from s2sjax.reporting import html_page
from s2sjax.reporting.formats import cut
from s2sjax.reporting.measure import measure
from s2sjax.reporting.sweep.factor import Factor, factors, level_label
from s2sjax.reporting.sweep.findings import FORMULA, Findings, compared, effects
from s2sjax.reporting.sweep.groups import CONFIDENCE, t_quantile
from s2sjax.reporting.sweep.heatmap import arrange
from s2sjax.reporting.sweep.trial_files import TrialFiles, command_line
from s2sjax.runs import journal

LOGGED = "valid_"  # metrics of the journal are of validation examples
SCRIPTS = ("data.js", "heatmap.js", "trial.js", "page.js")
# What keeps the page of a thousand trials at a few megabytes.
_POINTS = 40_000  # of all curves, and at least _FEWEST of each
_FEWEST, _MOST = 20, 200
_SAMPLES, _SAMPLE_WIDTH = 6, 300


def write_page(findings: Findings, files: Sequence[TrialFiles], path: Path) -> None:
    """Writes the page; data that looks like markup stays data.

    Args:
      files: of each trial of the table.

    Raises:
      UsageError, RunError: the file cannot be written.
    """
    parts = {
        "title": html.escape(f"{findings.table.directory.name}: a sweep"),
        "style": html_page.asset("page.css"),
        "data": script_json(page_data(findings, files)),
        "script": html_page.asset(*SCRIPTS),
    }
    html_page.write(path, "page.html", parts)


def script_json(value: Any) -> str:
    r"""JSON that can stand in a `<script>`: ASCII, and nothing that ends it.

    >>> script_json({"a": "</script>", "b": float("nan")})
    '{"a": "\\u003c/script\\u003e", "b": null}'
    """
    text = json.dumps(journal.plain(value), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def page_data(findings: Findings, files: Sequence[TrialFiles]) -> dict[str, Any]:
    """What the page knows; positions and levels are by index."""
    table = findings.table
    by = factors(table, compared(table))
    shown = [*findings.by, *factors(table, findings.averaged)]
    layout = arrange(findings.by)
    logged = dict.fromkeys(name for one in files for name in one.metrics())
    validated = [f"{LOGGED}{name}" for name in logged]
    names = list(dict.fromkeys([*table.metrics(), *validated, findings.measure.name]))
    steps: dict[tuple[int, ...], int] = {}
    curves = [_curve(one, names, len(files), steps) for one in files]
    return {
        "asked": table.asked,
        "metric": findings.measure.name,
        "metrics": [
            {
                **dataclasses.asdict(one),
                "unit": one.unit,
                "interval": one.interval,
                "limited": one.most is not None,
                "quantity": one.quantity,
                "of": measure(one.quantity).unit,
            }
            for one in map(measure, names)
        ],
        "factors": [
            {
                "field": one.field,
                "name": one.name,
                "levels": one.labels,
                "averaged": one.field in findings.averaged,
            }
            for one in shown
        ],
        "across": _place(layout.across, shown),
        "down": _place(layout.down, shown),
        "trials": [
            _trial(findings, place, shown, files[place], curves[place])
            for place in range(len(table.trials))
        ],
        "steps": list(steps),
        "effects": {
            name: [effect.as_json() for effect in effects(table, by, name)]
            for name in table.metrics()
        },
        "formula": FORMULA,
        "z": stats.norm.ppf(0.5 + CONFIDENCE / 2),
        "t": [round(t_quantile(freedom), 4) for freedom in range(1, 200)],
    }


def _place(axis: Factor | None, shown: Sequence[Factor]) -> int:
    return -1 if axis is None else list(shown).index(axis)


def _trial(
    findings: Findings,
    place: int,
    shown: Sequence[Factor],
    files: TrialFiles,
    curve: dict[str, Any] | None,
) -> dict[str, Any]:
    trial = findings.table.trials[place]
    return {
        "index": trial.index,
        "name": trial.name,
        "status": trial.status,
        "codes": [one.codes[place] for one in shown],
        "values": [level_label(trial.overrides.get(one.field)) for one in shown],
        "overrides": [[f, level_label(v)] for f, v in trial.overrides.items()],
        "metrics": trial.metrics,
        "examples": trial.examples,
        "best_step": trial.best_step,
        "seconds": trial.seconds,
        "device": trial.device,
        "error": trial.error,
        "command": command_line(findings.table, trial),
        "curve": curve,
        "lengths": list(zip(*map(_list, files.by_length[:3]), strict=True)),
        "samples": [
            [cut(text, _SAMPLE_WIDTH) for text in sample]
            for sample in files.samples[:_SAMPLES]
        ],
    }


def _curve(
    files: TrialFiles,
    names: Sequence[str],
    trials: int,
    steps: dict[tuple[int, ...], int],
) -> dict[str, Any] | None:
    """The evaluations, thinned where they are many; `steps` are kept once for all."""
    most = min(max(_POINTS // max(trials, 1), _FEWEST), _MOST)
    count = len(files.valid)
    if not count:
        return None
    places = sorted({round(i * (count - 1) / max(most - 1, 1)) for i in range(most)})
    entries = [files.valid[i] for i in places if i < count]
    key = tuple(entry["step"] for entry in entries)
    logged = set(files.metrics())
    return {
        "at": steps.setdefault(key, len(steps)),
        "values": {
            name: [_rounded(entry.get(quantity)) for entry in entries]
            for name in names
            if (quantity := name.removeprefix(LOGGED)) != name and quantity in logged
        },
    }


def _list(column: np.ndarray) -> list[float | None]:
    return [_rounded(value) for value in column.tolist()]


def _rounded(value: Any) -> float | None:
    return float(f"{value:.4g}") if isinstance(value, int | float) else None

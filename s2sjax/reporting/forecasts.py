"""The pictures of an evaluation of numbers: fans, and calibration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s2sjax.forecasts import LEVELS, Forecasts
from s2sjax.reporting.calibration import draw_calibration
from s2sjax.reporting.fan_chart import PANELS, Fan, draw_fans


def draw_predictions(rows: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Draws what `eval --predictions` saves; returns the files.

    Args:
      rows: of `Kind.predictions` of numbers, the furthest off first; the fans are
        spread over them, and show the first number of a step.
      path: of the fans; calibration, where there are quantiles, is beside it.
    """
    columns = {name: _column(rows, name) for name in ("target", "mean", "median")}
    quantiles = None
    if f"q{LEVELS[0]}" in rows[0]:
        each = [_column(rows, f"q{level}") for level in LEVELS]
        quantiles = np.stack(each, axis=-1)  # -> [N, T, G, LEVELS]
    fans = []
    for place in np.linspace(0, len(rows) - 1, min(PANELS, len(rows)), dtype=int):
        own = None if quantiles is None else quantiles[place, :, 0]
        history = [float("nan") if y is None else y for y, *_ in rows[place]["history"]]
        fans.append(
            Fan(
                np.array(history, float),
                columns["target"][place, :, 0],
                columns["median"][place, :, 0],
                own,
                str(rows[place]["series"]),
            )
        )
    draw_fans(fans, path)
    if quantiles is None:
        return [path]
    beside = path.with_stem(f"{path.stem}_calibration")
    naive = np.full(columns["target"][:, 0].shape, np.nan)
    series = np.zeros(len(rows), int)
    found = Forecasts(**columns, naive=naive, series=series, quantiles=quantiles)
    draw_calibration(found, beside)
    return [path, beside]


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """[N, T, G], NaN where nothing came."""
    return np.array([row[name] for row in rows], float)

"""What came for which symbol, and whether a model is as sure as it is right."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from s2sjax.reporting.alignment import label
from s2sjax.reporting.figure import GREY, Size, look, picture
from s2sjax.reporting.table import order

MOST = 40  # symbols of a matrix; the most frequent ones
_CELL = 0.27  # inches
_SIDE = 3.0  # inches, of the other panel


def draw(results: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Draws a confusion matrix and a reliability diagram beside it.

    A row of the matrix is a reference symbol, its colours the shares of what came in
    its places; of more than `MOST` symbols the most frequent references are shown.

    Args:
      results: of an evaluation, with `confusion` and `reliability`.
      path: of the file.

    Raises:
      RunError: the file cannot be written.
    """
    table = results["confusion"]
    frequent = sorted(table, key=lambda symbol: -sum(table[symbol].values()))[:MOST]
    rows = sorted(frequent, key=order)
    came = {symbol for row in rows for symbol in table[row]}
    if len(came | set(rows)) > MOST:
        came &= set(rows)
    columns = sorted(came | set(rows), key=order)
    cells = max(len(columns), 8), max(len(rows), 8)
    side = max(_SIDE, _CELL * cells[1])
    size = Size(_CELL * cells[0] + _SIDE, side)
    ratios: dict[str, Any] = {"width_ratios": [_CELL * cells[0], _SIDE]}
    with picture(path, size, 1, 2, **ratios) as (_, grid):
        left, right = grid[0]
        _matrix(left, table, rows, columns)
        if len(rows) < len(table):
            left.set_title(f"the {len(rows)} most frequent of {len(table)} symbols")
        _reliability(right, results)


def _matrix(
    axes: Axes,
    table: Mapping[str, Mapping[str, int]],
    rows: list[str],
    columns: list[str],
) -> None:
    counts = np.array([[table[row].get(one, 0) for one in columns] for row in rows])
    totals = np.array([[sum(table[row].values())] for row in rows])
    shares = np.zeros((max(len(rows), 1), max(len(columns), 1)))
    if len(rows):
        shares = counts / np.maximum(totals, 1)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    few = len(columns) <= 12
    for row, column in zip(*np.nonzero(shares), strict=True):
        if few:
            dark = shares[row, column] > 0.5
            axes.text(
                float(column),
                float(row),
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=6,
                color="white" if dark else "black",
            )
    axes.set_xticks(range(len(columns)), map(label, columns), fontsize=7)
    axes.set_yticks(range(len(rows)), map(label, rows), fontsize=7)
    if any(len(label(symbol)) > 2 for symbol in columns):
        axes.tick_params(axis="x", labelrotation=90)
    axes.tick_params(length=0)
    axes.set_xlabel("what came")
    axes.set_ylabel("reference")


def _reliability(axes: Axes, results: Mapping[str, Any]) -> None:
    bins = results["reliability"]
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--", marker="")
    axes.plot(
        [each["confidence"] for each in bins],
        [each["exact"] for each in bins],
        **look(0),
    )
    most = max((each["count"] for each in bins), default=1)
    for each in bins:  # how many outputs stand behind a point
        width = each["most"] - each["least"]
        height = 0.15 * each["count"] / most
        axes.bar(each["least"], height, width, align="edge", color=GREY, alpha=0.3)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("probability of the output")
    axes.set_ylabel("exact match")
    axes.set_title(f"calibration error {results['calibration_error']:.3f}")

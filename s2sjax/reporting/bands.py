"""Curves of a sweep: a line per group, with a band over its trials."""

import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from s2sjax.reporting.arrangement import folded
from s2sjax.reporting.factor import Factor
from s2sjax.reporting.figure import BLUE, DARK, GREEN, GREY, ORANGE, PURPLE, save, style
from s2sjax.reporting.formats import cut, printable
from s2sjax.reporting.measure import Measure

PANELS = 12
_KINDS = (BLUE, ORANGE, GREEN, PURPLE, "#56B4E9", "#E69F00", DARK)


class Axis(NamedTuple):
    """What the curves are over."""

    label: str
    of: str  # of what the values are
    mark: float | None = None  # where a broken line stands


STEPS = Axis("step", "validation")


class Curve(NamedTuple):
    """The evaluations of one trial; one that is over keeps its last value."""

    steps: np.ndarray
    values: np.ndarray
    over: bool


class Band(NamedTuple):
    """Over the steps: the mean, the least and the largest value of some trials."""

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class CurvePanel(NamedTuple):
    """Bands by level of the factor that is drawn in colour."""

    title: tuple[str, ...]
    bands: dict[int, Band]


def band(curves: Sequence[Curve]) -> Band:
    """Joins curves whose steps may differ, by linear interpolation.

    A trial counts from its first evaluation on; after its last one it keeps that
    value if it is over, as a trial that stopped early does, and else is left out.

    >>> a = Curve(np.array([1.0, 3.0]), np.array([0.0, 1.0]), over=True)
    >>> b = Curve(np.array([1.0, 5.0]), np.array([0.0, 0.0]), over=True)
    >>> band([a, b]).mean.tolist()
    [0.0, 0.5, 0.5]
    """
    curves = [curve for curve in curves if len(curve.steps)]
    if not curves:
        return Band(*[np.zeros(0)] * 4)
    steps = np.unique(np.concatenate([curve.steps for curve in curves]))
    rows = np.stack(
        [
            np.interp(
                steps,
                curve.steps,
                curve.values,
                left=math.nan,
                right=curve.values[-1] if curve.over else math.nan,
            )
            for curve in curves
        ]
    )
    there = ~np.isnan(rows)
    counts = there.sum(0)
    mean = np.where(there, rows, 0.0).sum(0) / np.maximum(counts, 1)
    low = np.where(there, rows, math.inf).min(0)
    high = np.where(there, rows, -math.inf).max(0)
    kept = counts > 0
    return Band(steps[kept], mean[kept], low[kept], high[kept])


def draw_bands(
    panels: Sequence[CurvePanel],
    colour: Factor | None,
    measure: Measure,
    path: str | os.PathLike[str],
    title: str = "",
    axis: Axis = STEPS,
) -> None:
    """Draws the panels of one picture: means as lines, least to largest as bands.

    Raises:
      RunError: the file cannot be written.
    """
    columns = min(len(panels), 4 if len(panels) != 6 else 3)
    rows = math.ceil(len(panels) / columns)
    colours = _colours(colour)
    with style():
        size = (max(columns * 2.5, 3.4) + 1.5, rows * 2.15 + 0.6)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for index, axes in enumerate(grid.ravel()):
            if index >= len(panels):
                axes.set_axis_off()
                continue
            _draw(axes, panels[index], colours, measure)
            if axis.mark is not None:
                axes.axvline(axis.mark, color=GREY, linewidth=0.9, linestyle="--")
            if index + columns >= len(panels):
                axes.set_xlabel(axis.label)
                axes.tick_params(labelbottom=True)
            if index % columns == 0:
                axes.set_ylabel(f"{axis.of} {measure.unit}")
        if _ranges_widely(panels) and not measure.share:
            grid[0, 0].set_yscale("log")  # and so for all, which share it
        if colour is not None:
            _legend(figure, colour, colours)
        if title:
            figure.suptitle(cut(printable(title), 100), fontsize=10.5, parse_math=False)
        save(figure, path)


def _ranges_widely(panels: Sequence[CurvePanel]) -> bool:
    bands = [band for panel in panels for band in panel.bands.values()]
    low = min((band.low.min() for band in bands), default=0.0)
    high = max((band.high.max() for band in bands), default=0.0)
    return bool(low > 0 and high / low > 50)


def _colours(factor: Factor | None) -> list:
    levels = 1 if factor is None else len(factor.labels)
    if factor is None or (not factor.numeric and levels <= len(_KINDS)):
        return list(_KINDS[:levels])
    # The lightest end would not be seen on white.
    return [colormaps["viridis"](x) for x in np.linspace(0.0, 0.87, levels)]


def _draw(axes: Axes, panel: CurvePanel, colours: list, measure: Measure) -> None:
    for level, (steps, mean, low, high) in panel.bands.items():
        look = {"color": colours[level], "linewidth": 1.4}
        few = "o" if len(steps) <= 2 else ""
        axes.plot(steps, mean, marker=few, markersize=3, **look)
        axes.fill_between(steps, low, high, color=colours[level], alpha=0.18, lw=0)
    if not panel.bands:
        axes.text(
            *(0.5, 0.5, "nothing logged"),
            transform=axes.transAxes,
            ha="center",
            color=GREY,
        )
    if measure.share:
        axes.set_ylim(-0.03, 1.03)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_title(folded(panel.title, 32), fontsize=8.5, parse_math=False)


def _legend(figure: Figure, factor: Factor, colours: list) -> None:
    # Of a long scale, its ends and some between say enough.
    most = min(len(factor.labels), 12)
    shown = np.linspace(0, len(factor.labels) - 1, most, dtype=int).tolist()
    lines = [Line2D([], [], color=colours[level], linewidth=2) for level in shown]
    labels = [cut(printable(factor.labels[level]), 18) for level in shown]
    legend = figure.legend(
        lines,
        labels,
        title=cut(printable(factor.name), 18),
        loc="outside right upper",
        handlelength=1.4,
    )
    for text in [*legend.get_texts(), legend.get_title()]:
        text.set_parse_math(False)

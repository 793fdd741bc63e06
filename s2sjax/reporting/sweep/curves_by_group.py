"""Curves of a sweep: a line per group, with a band over its trials."""

import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from s2sjax.reporting.figure import (
    GREY,
    Size,
    caption,
    logarithmic,
    look,
    panels_of,
    picture,
)
from s2sjax.reporting.formats import cut, distinct, printable
from s2sjax.reporting.measure import Measure
from s2sjax.reporting.sweep.factor import Factor
from s2sjax.reporting.sweep.heatmap import joined

PANELS = 12
_PANEL = Size(2.4, 1.8)  # inches


class Axis(NamedTuple):
    """What the curves are over."""

    label: str
    of: str  # of what the values are
    band: str  # what it is
    mark: float | None = None  # where a broken line stands


STEPS = Axis("step", "validation", "least to largest")


class Curve(NamedTuple):
    """The evaluations of one trial; one that is over keeps its last value."""

    steps: np.ndarray
    values: np.ndarray
    over: bool


class Band(NamedTuple):
    """Over the steps: the mean of some trials, and the lower and upper edge."""

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    trials: int = 1
    examples: np.ndarray | None = None  # that each mean is of, where it is known


class CurvePanel(NamedTuple):
    """Bands by level of the factor that is drawn in colour."""

    title: tuple[str, ...]
    bands: dict[int, Band]


def band(curves: Sequence[Curve]) -> Band:
    """Joins curves whose steps may differ, by linear interpolation.

    The edges are the least and the largest value.

    A trial counts from its first evaluation on; after its last one it keeps that
    value if it is over, as a trial that stopped early does, and else is left out.

    >>> a = Curve(np.array([1.0, 3.0]), np.array([0.0, 1.0]), over=True)
    >>> b = Curve(np.array([1.0, 5.0]), np.array([0.0, 0.0]), over=True)
    >>> band([a, b]).mean.tolist()
    [0.0, 0.5, 0.5]
    """
    curves = [curve for curve in curves if len(curve.steps)]
    if not curves:
        return Band(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))
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
    known = ~np.isnan(rows)
    counts = known.sum(0)
    mean = np.where(known, rows, 0.0).sum(0) / np.maximum(counts, 1)
    low = np.where(known, rows, math.inf).min(0)
    high = np.where(known, rows, -math.inf).max(0)
    covered = counts > 0
    return Band(steps[covered], mean[covered], low[covered], high[covered], len(curves))


def draw_bands(
    panels: Sequence[CurvePanel],
    colour: Factor | None,
    measure: Measure,
    path: str | os.PathLike[str],
    title: str = "",
    axis: Axis = STEPS,
) -> None:
    """Draws the panels of one picture: means as lines, with bands around them.

    Below it is said what the bands are, and over how many trials. Where the number of
    examples is known, markers are as large as it.

    Raises:
      RunError: the file cannot be written.
    """
    columns = min(len(panels), 4 if len(panels) != 6 else 3)
    rows = math.ceil(len(panels) / columns)
    bands = [band for panel in panels for band in panel.bands.values()]
    last = max((band.steps.max() for band in bands), default=1.0)
    most = max((b.examples.max() for b in bands if b.examples is not None), default=0)
    size = Size(columns * _PANEL.width, rows * _PANEL.height)
    shared: dict[str, Any] = {"sharex": True, "sharey": True}
    with picture(path, size, rows, columns, title=title, **shared) as (figure, grid):
        looks = _looks(colour)
        for index, axes in enumerate(panels_of(grid, len(panels))):
            _draw(axes, panels[index], looks, measure, most)
            if axis.mark is not None:
                axes.axvline(axis.mark, color=GREY, linewidth=0.9, linestyle="--")
            if index + columns >= len(panels):
                axes.set_xlabel(axis.label)
                axes.tick_params(labelbottom=True)
            if index % columns == 0:
                axes.set_ylabel(f"{axis.of} {measure.unit}")
        # Once for all panels: limits that are set in one end the scaling of all.
        grid[0, 0].set_xlim(0, 1.02 * max(last, axis.mark or 0, 1))
        if _ranges_widely(panels) and not measure.share:
            logarithmic(grid[0, 0])  # and so all, which share it
        if colour is not None:
            _legend(figure, colour, looks)
        caption(figure, _caption(bands, axis))


def _caption(bands: Sequence[Band], axis: Axis) -> str:
    """What line and band are, e.g. "line: mean of n = 3 trials; band: ..."."""
    n = _from_to([band.trials for band in bands])
    legend = f"line: mean of n = {n}"
    if any((band.low < band.high).any() for band in bands):
        legend += f"; band: {axis.band}"
    known = [band.examples for band in bands if band.examples is not None]
    if known:
        legend += f"; marker: {_from_to(np.concatenate(known).astype(int))} examples"
    return legend


def _from_to(numbers: Sequence[int] | np.ndarray) -> str:
    low, high = min(numbers, default=0), max(numbers, default=0)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _ranges_widely(panels: Sequence[CurvePanel]) -> bool:
    bands = [band for panel in panels for band in panel.bands.values()]
    low = min((band.low.min() for band in bands), default=0.0)
    high = max((band.high.max() for band in bands), default=0.0)
    return bool(low > 0 and high / low > 50)


def _looks(factor: Factor | None) -> list[dict[str, Any]]:
    """Colour, line and marker for each level; numbers go from dark to light."""
    levels = 1 if factor is None else len(factor.labels)
    looks = [look(level) for level in range(levels)]
    kinds = len(rcParams["axes.prop_cycle"])
    if factor is None or (not factor.numeric and levels <= kinds):
        return looks
    # The lightest end would not be seen on white.
    colours = colormaps[rcParams["image.cmap"]](np.linspace(0.0, 0.87, levels))
    return [one | {"color": c} for one, c in zip(looks, colours, strict=True)]


def _draw(
    axes: Axes,
    panel: CurvePanel,
    looks: Sequence[dict[str, Any]],
    measure: Measure,
    most: float,
) -> None:
    for level, (steps, mean, low, high, _, examples) in panel.bands.items():
        one = looks[level]
        # Some points are marked, each line's elsewhere, so that grey lines differ.
        every = max(1, len(steps) // 5)
        axes.plot(
            steps,
            mean,
            **(one | ({} if examples is None else {"marker": ""})),
            linewidth=1.4,
            markersize=3.5,
            markevery=(level % every, every),
        )
        alpha = max(0.18 / max(len(panel.bands) / 4, 1), 0.03)  # many lie on another
        axes.fill_between(steps, low, high, color=one["color"], alpha=alpha, lw=0)
        if examples is not None:
            size = 3 + 27 * examples / most  # square points
            marker = one.get("marker", "o")
            axes.scatter(steps, mean, size, color=one["color"], marker=marker, lw=0)
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
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y")
    axes.set_title(joined(panel.title))


def _legend(figure: Figure, factor: Factor, looks: Sequence[dict[str, Any]]) -> None:
    # Of a long scale, its ends and some between say enough.
    most = min(len(factor.labels), 12)
    shown = np.linspace(0, len(factor.labels) - 1, most, dtype=int).tolist()
    lines = [
        Line2D([], [], **looks[level], linewidth=1.6, markersize=4) for level in shown
    ]
    labels = distinct([factor.labels[level] for level in shown], 24)
    figure.legend(
        lines,
        labels,
        title=cut(printable(factor.name), 24),
        loc="outside right upper",
        handlelength=2.6,
    )

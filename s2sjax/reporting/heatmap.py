"""A metric of a sweep as heat maps: one panel per level of the factors that remain."""

import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from s2sjax.reporting.arrangement import Arrangement, Cell, Panel, folded
from s2sjax.reporting.factor import Factor
from s2sjax.reporting.figure import DARK, GREY, save, style
from s2sjax.reporting.formats import cut, printable
from s2sjax.reporting.measure import Measure

PANELS = 12  # of one picture; what is more goes to the next
COLOURS = "viridis"  # one direction of lightness, for every eye and for grey paper
_CELL = 0.52  # inches
_NARROWEST = 3  # cells that a panel has room for, at least
_WRITTEN = 14  # levels across, up to which the numbers are written into the cells
_EMPTY = "#F1F1F1"


class Colours(NamedTuple):
    """From a value to its colour."""

    norm: Normalize
    map: Colormap


def draw_heat_maps(
    panels: Sequence[Panel],
    arrangement: Arrangement,
    measure: Measure,
    path: str | os.PathLike[str],
    scale: tuple[float, float],
    title: str = "",
) -> None:
    """Draws the panels of one picture, with one colour scale for all of them.

    A cell has the mean over its trials that are done; below it stands how many these
    are where others are not. A cell that none is done of says what they are; where
    no trial belongs, it is empty.

    Args:
      scale: the values at the two ends of the colours, see `scale_of`.

    Raises:
      RunError: the file cannot be written.
    """
    across, down, _ = arrangement
    width = _CELL * max(_count(across), _NARROWEST)
    height = _CELL * max(_count(down), _NARROWEST)
    columns = max(1, min(len(panels), 4, int(11 / (width + 0.6))))
    rows = math.ceil(len(panels) / columns)
    with style():
        size = (columns * (width + 0.55) + 1.7, rows * (height + 0.9) + 0.75)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        colour = Colours(Normalize(*scale), colormaps[COLOURS])
        for index, axes in enumerate(grid.ravel()):
            if index >= len(panels):
                axes.set_axis_off()
                continue
            _draw(axes, panels[index], arrangement, measure, colour)
            if index % columns == 0 and down is not None:
                axes.set_ylabel(printable(down.name), parse_math=False)
            if index + columns >= len(panels) and across is not None:
                axes.set_xlabel(printable(across.name), parse_math=False)
        _legend(figure, grid, colour, measure)
        if title:
            figure.suptitle(cut(printable(title), 100), fontsize=10.5, parse_math=False)
        save(figure, path)


def scale_of(measure: Measure, panels: Sequence[Panel]) -> tuple[float, float]:
    """The ends of the colours: 0 and 1 for a share, else the least and largest mean."""
    if measure.share:
        return 0.0, 1.0
    means = [c.estimate.mean for panel in panels for c in panel.cells.values()]
    found = [mean for mean in means if math.isfinite(mean)]
    low, high = min(found, default=0.0), max(found, default=1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _count(axis: Factor | None) -> int:
    return 1 if axis is None else len(axis.labels)


def _draw(
    axes: Axes,
    panel: Panel,
    arrangement: Arrangement,
    measure: Measure,
    colour: Colours,
) -> None:
    across, down, _ = arrangement
    means = np.full((_count(down), _count(across)), math.nan)
    for place, cell in panel.cells.items():
        means[place] = cell.estimate.mean
    axes.set_facecolor(_EMPTY)
    axes.imshow(
        means,
        norm=colour.norm,
        cmap=colour.map,
        aspect="auto",
        interpolation="nearest",
        origin="lower",
    )
    for place, cell in panel.cells.items():
        if means.shape[1] <= _WRITTEN or not cell.estimate.n:
            _write(axes, place, cell, measure, colour, means.shape[1] <= _WRITTEN)
    _ticks(axes, across, down)
    axes.set_xticks(np.arange(1, means.shape[1]) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, means.shape[0]) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.0)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    inches = _CELL * max(means.shape[1], _NARROWEST)
    title = folded(panel.title, int(13 * inches))
    axes.set_title(title, fontsize=8.5, parse_math=False)


def _ticks(axes: Axes, across: Factor | None, down: Factor | None) -> None:
    for axis, factor in ((axes.xaxis, across), (axes.yaxis, down)):
        labels = (
            [""] if factor is None else [cut(printable(t), 18) for t in factor.labels]
        )
        axis.set_ticks(range(len(labels)), labels, parse_math=False)
        longest = max(map(len, labels))
        if axis is axes.xaxis and longest > 4 and longest * len(labels) > 12:
            turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
            axis.set_tick_params(pad=2)
            for label in axes.get_xticklabels():
                label.set(**turned)


def _write(
    axes: Axes,
    place: tuple[int, int],
    cell: Cell,
    measure: Measure,
    colour: Colours,
    roomy: bool,
) -> None:
    mean, _, count = cell.estimate
    if count:
        text, ink = measure.text(mean), _ink(colour.map(colour.norm(mean)))
    else:
        text, ink = cell.statuses[0] if roomy else "×", GREY
    partly = 0 < count < len(cell.statuses)
    row, column = place
    size = 8.0 if count and len(text) <= 5 else 6.2
    axes.text(column, row, text, fontsize=size, color=ink, ha="center", va="center")
    if partly:
        of = f"{count} of {len(cell.statuses)}"
        below: dict[str, Any] = {"fontsize": 5.4, "ha": "center", "va": "center"}
        axes.text(column, row - 0.33, of, color=ink, **below)


def _ink(rgba: Any) -> str:
    """Black or white, whichever is read better on a colour."""
    red, green, blue, _ = rgba
    return DARK if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"


def _legend(
    figure: Figure, grid: np.ndarray, colour: Colours, measure: Measure
) -> None:
    bar = figure.colorbar(
        ScalarMappable(*colour),
        ax=grid.ravel().tolist(),
        aspect=20,
        pad=0.02,
        fraction=0.05,
        shrink=min(1.0, 4.0 / figure.get_figheight()),
        anchor=(0.0, 1.0),
    )
    better = "lower is better" if measure.lower else ""
    bar.set_label("\n".join(filter(None, [f"mean {measure.unit}", better])))
    if measure.share:
        bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["0", "25", "50", "75", "100"])
    bar.outline.set_visible(False)

"""A metric of a sweep as heat maps: one panel per level of the factors that remain."""

import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps, rcParams
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from s2sjax.reporting.figure import GREY, Size, caption, look, panels_of, picture
from s2sjax.reporting.formats import cut, distinct, printable
from s2sjax.reporting.measure import Measure, percents
from s2sjax.reporting.sweep.factor import Factor
from s2sjax.reporting.sweep.groups import Estimate, groups
from s2sjax.reporting.sweep.table import SweepTable

PREFERRED = ("task.length", "task.cardinality")  # across, down


class Layout(NamedTuple):
    """Axes and panels; an axis without a factor has one level."""

    across: Factor | None
    down: Factor | None
    rest: tuple[Factor, ...]


class Cell(NamedTuple):
    """What is in one place of a heat map."""

    estimate: Estimate
    statuses: tuple[str, ...]  # of all its trials


class Panel(NamedTuple):
    """A heat map: cells by (level down, level across); places without trials lack."""

    title: tuple[str, ...]  # a part for each remaining factor
    cells: dict[tuple[int, int], Cell]


def arrange(factors: Sequence[Factor]) -> Layout:
    """Length across and cardinality down, or the two with the most levels.

    >>> lengths = Factor("task.length", ("5", "10"), (0, 1), True)
    >>> cells = Factor("model.cell", ("gru", "lstm", "rnn"), (0, 1), False)
    >>> [axis.field for axis in arrange([cells, lengths])[:2]]
    ['task.length', 'model.cell']
    """

    def rank(factor: Factor) -> tuple[int, int]:
        preferred = factor.field in PREFERRED
        return (
            PREFERRED.index(factor.field) if preferred else len(PREFERRED),
            -len(factor.labels),
        )

    ordered = sorted(factors, key=rank)
    axes = [*ordered[:2], None, None]
    rest = tuple(factor for factor in factors if factor not in ordered[:2])
    return Layout(axes[0], axes[1], rest)


def panels(table: SweepTable, layout: Layout, metric: str) -> list[Panel]:
    """The heat maps, one per combination of the remaining factors' levels."""
    across, down, rest = layout
    axes = [axis for axis in (down, across) if axis is not None]
    cells: dict[tuple[int, ...], dict[tuple[int, int], Cell]] = {}
    for group in groups(table, [*rest, *axes], metric):
        key, place = group.levels[: len(rest)], list(group.levels[len(rest) :])
        row = place.pop(0) if down is not None else 0
        column = place.pop(0) if across is not None else 0
        statuses = tuple(table.trials[trial].status for trial in group.trials)
        cells.setdefault(key, {})[row, column] = Cell(group.estimate, statuses)
    return [Panel(panel_title(rest, key), each) for key, each in cells.items()]


def panel_title(factors: Sequence[Factor], levels: Sequence[int]) -> tuple[str, ...]:
    """The levels of a panel in words.

    >>> panel_title([Factor("model.cell", ("gru", "lstm"), (0, 1), False)], [1])
    ('cell = lstm',)
    """
    return tuple(
        f"{factor.name} = {factor.labels[level]}"
        for factor, level in zip(factors, levels, strict=True)
    )


def joined(parts: Sequence[str]) -> str:
    """The parts of a title; a line may end between them, and not within one.

    >>> joined(["cell = lstm", "layers = 2"])
    'cell\xa0=\xa0lstm, layers\xa0=\xa02'
    """
    return ", ".join(cut(printable(part), 60).replace(" ", "\xa0") for part in parts)


_NARROWEST, _HEIGHT = 2.8, 2.2  # inches


def draw_levels(
    factor: Factor,
    estimates: Sequence[Estimate],
    values: Sequence[Sequence[float]],
    measure: Measure,
    path: str | os.PathLike[str],
    title: str = "",
) -> None:
    """Draws the mean of each level with its interval, and beside it its trials.

    Args:
      estimates: of each level.
      values: the metric of the trials of each level.

    Raises:
      RunError: the file cannot be written.
    """
    width = (0.42 if len(estimates) <= 12 else 0.26) * len(estimates)
    size = Size(max(_NARROWEST, width), _HEIGHT)
    with picture(path, size, title=title) as (figure, grid):
        axes = grid[0, 0]
        color = look(0)["color"]
        for level, (estimate, numbers) in enumerate(
            zip(estimates, values, strict=True)
        ):
            if not estimate.n:
                continue
            beside = [level + 0.18] * len(numbers)
            own: dict[str, Any] = {"markersize": 3, "fillstyle": "none"}
            axes.plot(beside, numbers, "o", color=GREY, clip_on=False, **own)
            if math.isfinite(estimate.low):
                ends = (estimate.low, estimate.high)
                axes.vlines(level, *ends, color=color, linewidth=1.6)
            axes.plot(
                level, estimate.mean, "o", color=color, markersize=6, clip_on=False
            )
        axes.set_xlim(-0.6, len(estimates) - 0.4)
        axes.set_xticks(range(len(estimates)), distinct(factor.labels, 24))
        low, high = axes.get_ylim()
        if measure.most is not None:
            axes.set_ylim(max(low, 0.0), min(high, measure.most))
        if measure.share:
            axes.yaxis.set_major_formatter(percents)
        axes.grid(axis="y")
        axes.set_xlabel(printable(factor.name))
        axes.set_ylabel(measure.unit)
        n = sorted({estimate.n for estimate in estimates if estimate.n})
        of = f"{n[0]}" if len(n) == 1 else f"{n[0]} to {n[-1]}"
        has_interval = any(math.isfinite(estimate.low) for estimate in estimates)
        interval = f"line: {measure.interval}; " if has_interval else ""
        caption(figure, f"dot: mean of n = {of}; {interval}circles: the trials")


PANELS = 12  # of one picture; what is more goes to the next
_CELL = Size(0.62, 0.5)  # inches
_PANEL = Size(1.9, 1.2)  # inches, at least
_WRITTEN = 14  # levels across, up to which the numbers are written into the cells
_LEAST_RANGE = 0.02  # of shares, from one end of the colours to the other
_EMPTY = "#F1F1F1"


class Colours(NamedTuple):
    """From a value to its colour."""

    norm: Normalize
    map: Colormap


class Numbers(NamedTuple):
    """How the numbers are written into the cells."""

    measure: Measure
    decimals: int  # of percents
    n: bool  # whether each cell says how many trials it is of

    def text(self, value: float) -> str:
        return self.measure.text(value, self.decimals)


def draw_heat_maps(
    panels: Sequence[Panel],
    layout: Layout,
    measure: Measure,
    path: str | os.PathLike[str],
    scale: tuple[float, float],
    title: str = "",
) -> None:
    """Draws the panels of one picture, with one colour scale for all of them.

    A cell has the mean over its trials that are done, and below it the ends of its
    interval; then how many trials, where that is not the same everywhere. A cell that
    none is done of says what they are; where no trial belongs, it is empty.

    Args:
      scale: the values at the two ends of the colours, see `scale_of`.

    Raises:
      RunError: the file cannot be written.
    """
    across, down, _ = layout
    width = max(_CELL.width * _count(across), _PANEL.width)
    height = max(_CELL.height * _count(down), _PANEL.height)
    columns = max(1, min(len(panels), 4, int(11 / (width + 0.6))))
    rows = math.ceil(len(panels) / columns)
    cells = [cell for panel in panels for cell in panel.cells.values()]
    counts = {cell.estimate.n for cell in cells}
    fine = measure.share and scale[1] - scale[0] < 0.1
    size = Size(columns * width, rows * height)
    with picture(path, size, rows, columns, title=title) as (figure, grid):
        write = Numbers(measure, decimals=int(fine), n=len(counts) > 1)
        colour = Colours(Normalize(*scale), colormaps[rcParams["image.cmap"]])
        for index, axes in enumerate(panels_of(grid, len(panels))):
            _draw(axes, panels[index], layout, write, colour)
            if index % columns == 0 and down is not None:
                axes.set_ylabel(printable(down.name))
            if index + columns >= len(panels) and across is not None:
                axes.set_xlabel(printable(across.name))
        _legend(figure, grid, colour, measure)
        has_interval = any(math.isfinite(cell.estimate.low) for cell in cells)
        caption(figure, _caption(counts, measure.interval if has_interval else ""))


def _caption(counts: set[int], interval: str) -> str:
    n = f"n = {next(iter(counts))}" if len(counts) == 1 else "n"
    text = f"mean of {n} {'trial' if counts == {1} else 'trials'}"
    return f"{text}; below: {interval}" if interval else text


def scale_of(measure: Measure, panels: Sequence[Panel]) -> tuple[float, float]:
    """The ends of the colours: the least and the largest mean.

    Shares that hardly differ have no more than hardly different colours.
    """
    means = [c.estimate.mean for panel in panels for c in panel.cells.values()]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    least = _LEAST_RANGE if measure.share else 1e-9 * max(abs(low), 1.0)
    if high - low >= least:
        return low, high
    half = least / 2 if measure.share else 0.5
    middle = (low + high) / 2
    if measure.share:
        middle = min(max(middle, half), 1 - half)
    return middle - half, middle + half


def _count(axis: Factor | None) -> int:
    return 1 if axis is None else len(axis.labels)


def _draw(
    axes: Axes,
    panel: Panel,
    layout: Layout,
    write: Numbers,
    colour: Colours,
) -> None:
    across, down, _ = layout
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
    roomy = means.shape[1] <= _WRITTEN
    for place, cell in panel.cells.items():
        if roomy or not cell.estimate.n:
            _write(axes, place, cell, write, colour, roomy)
    _ticks(axes, across, down)
    axes.set_xticks(np.arange(1, means.shape[1]) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, means.shape[0]) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.0)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(joined(panel.title))


def _ticks(axes: Axes, across: Factor | None, down: Factor | None) -> None:
    for axis, factor in ((axes.xaxis, across), (axes.yaxis, down)):
        labels = [""] if factor is None else distinct(factor.labels, 24)
        axis.set_ticks(range(len(labels)), labels)


def _write(
    axes: Axes,
    place: tuple[int, int],
    cell: Cell,
    write: Numbers,
    colour: Colours,
    roomy: bool,
) -> None:
    mean, low, high, count = cell.estimate
    row, column = place
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    if not count:
        text = cell.statuses[0] if roomy else "×"
        axes.text(column, row, text, fontsize=6.2, color=GREY, **middle)
        return
    lines = []
    if math.isfinite(low):
        lines.append(f"{write.text(low)}–{write.text(high)}")
    if count < len(cell.statuses):
        lines.append(f"{count} of {len(cell.statuses)}")
    elif write.n:
        lines.append(f"n = {count}")
    middle["color"] = _ink(colour.map(colour.norm(mean)))
    above = 0.12 * len(lines)
    axes.text(column, row + above, write.text(mean), fontsize=8, **middle)
    for place_, line in enumerate(lines):
        below = row + above - 0.3 - 0.22 * place_
        axes.text(column, below, line, fontsize=5.4, **middle)


def _ink(rgba: Any) -> str:
    """Black or white, whichever is read better on a colour."""
    red, green, blue, _ = rgba
    return "#262626" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"


def _legend(
    figure: Figure, grid: np.ndarray, colour: Colours, measure: Measure
) -> None:
    bar = figure.colorbar(
        ScalarMappable(*colour),
        ax=grid.ravel().tolist(),
        aspect=20,
        pad=0.02,
        fraction=0.05,
    )
    better = " (lower is better)" if measure.lower else ""
    bar.set_label(f"mean {measure.unit}{better}")
    if measure.share:
        bar.formatter = FuncFormatter(percents)
    bar.locator = MaxNLocator(5)
    bar.update_ticks()
    bar.outline.set_visible(False)

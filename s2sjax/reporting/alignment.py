"""Attention as heat maps, with the symbols on both axes."""

import io
import math
import os
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from s2sjax.reporting.figure import GREY, Size, panels_of, picture
from s2sjax.reporting.formats import cut, printable

END = "■"
PANELS = 6

_CELL = 0.27  # inches
_LARGEST = 9.0  # inches, of a panel's side
_SPACES = {" ": "␣", "\u00a0": "⍽", "\u202f": "⍽", "\t": "⇥", "\n": "⏎", "": "∅"}


class Alignment(NamedTuple):
    """What an output looked at while it was written.

    `weights` [T, S] are the attention of each output step on each source position.
    T is the number of output symbols, and one more where the output ended by itself.
    A notebook shows it as a picture.
    """

    weights: np.ndarray
    source: Sequence[object]
    output: Sequence[object]
    title: str = ""

    def __repr__(self) -> str:
        return f"Alignment(weights {np.shape(self.weights)} of {self.output})"

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        draw_alignments([self], picture)
        return picture.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Draws it into a file, .png, .pdf or .svg; see `draw_alignments`."""
        draw_alignments([self], path)


def draw_alignments(
    alignments: Sequence[Alignment],
    path: str | os.PathLike[str] | io.BytesIO,
    panels: int = PANELS,
) -> int:
    """Draws the first `panels` heat maps in one figure; returns how many these are.

    Source symbols go from left to right, output from the top down. The step that ends
    an output is marked `■`, as the axis says, a space `␣`. Of a character that no
    installed font has, a line names the script. A cell has one size in all panels.

    Raises:
      ValueError: there are none, or weights are not of their symbols' lengths.
      RunError: the file cannot be written.
    """
    shown = [_checked(alignment) for alignment in alignments[:panels]]
    if not shown:
        raise ValueError("there is no alignment to draw")
    columns = min(len(shown), 3 if len(shown) != 4 else 2)
    rows = math.ceil(len(shown) / columns)
    # Of the widest and highest, in cells; a single row has no room for the labels.
    widths, heights = [1] * columns, [2] * rows
    for place, one in enumerate(shown):
        row, column = divmod(place, columns)
        widths[column] = max(widths[column], len(one.source))
        heights[row] = max(heights[row], len(one.weights))
    cell = min(_CELL, _LARGEST / max(*widths, *heights))
    size = Size(cell * sum(widths), cell * sum(heights))
    ratios: dict[str, Any] = {"width_ratios": widths, "height_ratios": heights}
    with picture(path, size, rows, columns, **ratios) as (figure, grid):
        for place, axes in enumerate(panels_of(grid, len(shown))):
            image = _draw(axes, shown[place], cell)
            row, column = divmod(place, columns)
            axes.set_xlim(-0.5, widths[column] - 0.5)
            axes.set_ylim(heights[row] - 0.5, -0.5)
        bar = figure.colorbar(
            image,
            ax=grid.ravel().tolist(),
            aspect=24,
            pad=0.02,
            shrink=min(1.0, 4 / size.height),
            anchor=(0.0, 1.0),
        )
        bar.set_label("attention weight")
        bar.set_ticks([0.0, 0.5, 1.0])
        bar.outline.set_visible(False)
    return len(shown)


def _checked(alignment: Alignment) -> Alignment:
    weights = np.asarray(alignment.weights, float)
    steps = len(alignment.output)
    fits = weights.ndim == 2 and weights.shape[1] == len(alignment.source)
    if not fits or len(weights) not in (steps, steps + 1):
        raise ValueError(
            f"weights of shape {weights.shape} do not belong to {steps} output and "
            f"{len(alignment.source)} source symbols"
        )
    return alignment._replace(weights=weights)


def _draw(axes: Axes, alignment: Alignment, cell: float) -> AxesImage:
    weights, source, output, title = alignment
    marks = [*map(label, output), *[END] * (len(weights) - len(output))]
    # An axis without a symbol still needs a cell; it is blank.
    drawn = np.pad(weights, [(0, max(1 - side, 0)) for side in weights.shape])
    image = axes.imshow(
        drawn,
        cmap="Blues",
        vmin=0.0,
        vmax=1.0,
        aspect="auto",  # the figure is as large as makes cells square
        interpolation="nearest",
    )
    names = [label(symbol) for symbol in source]
    long = any(len(name) > 2 for name in names)
    points = min(9.0, max(4.5, cell * 72 * 0.62))
    axes.set_xticks(range(len(names)), names, fontsize=points)
    axes.set_yticks(range(len(marks)), marks, fontsize=points)
    if long:
        axes.tick_params(axis="x", labelrotation=90)
    axes.tick_params(length=0, pad=3, top=False, labeltop=True, labelbottom=False)
    for tick in axes.get_yticklabels()[len(output) :]:
        tick.set_color(GREY)
    # Lines around the cells, and none where another panel has more of them.
    height, width = drawn.shape
    lines: dict[str, Any] = {"color": "#E0E0E0", "linewidth": 0.5}
    axes.vlines(np.arange(width + 1) - 0.5, -0.5, height - 0.5, **lines)
    axes.hlines(np.arange(height + 1) - 0.5, -0.5, width - 0.5, **lines)
    axes.spines[:].set_visible(False)
    axes.set_title(cut(printable(title), 50), fontsize=9.5)
    axes.set_xlabel("source", loc="left")
    axes.xaxis.set_label_position("top")
    ends = len(marks) > len(output)
    axes.set_ylabel(f"output ({END} its end)" if ends else "output", loc="top")
    return image


def label(symbol: object) -> str:
    """A symbol as a tick can show it: blanks and lone accents get a shape."""
    text = _SPACES.get(str(symbol), str(symbol))
    if text and unicodedata.combining(text[0]):
        text = "◌" + text
    return cut(printable(text), 16)

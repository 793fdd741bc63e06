"""Attention as heat maps, with the symbols on both axes."""

import math
import os
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from s2sjax.reporting.figure import GREY, save, style
from s2sjax.reporting.formats import cut, printable

END = "■"
PANELS = 6

_CELL = 0.27  # inches
_SMALLEST, _LARGEST = 1.7, 9.0  # inches, of a panel's side
_SPACES = {" ": "␣", "\u00a0": "⍽", "\u202f": "⍽", "\t": "⇥", "\n": "⏎", "": "∅"}


class Alignment(NamedTuple):
    """What an output looked at while it was written.

    `weights` [T, S] are the attention of each output step on each source position.
    T is the number of output symbols, and one more where the output ended by itself.
    """

    weights: np.ndarray
    source: Sequence[int | str]
    output: Sequence[int | str]
    title: str = ""


def draw_alignment(
    weights: np.ndarray,
    source: Sequence[int | str],
    output: Sequence[int | str],
    path: str | os.PathLike[str],
    title: str = "",
) -> None:
    """Draws one heat map: source symbols from left to right, output from the top down.

    The step that ends the output is marked `■`, a space `␣`. A character that no
    installed font has is a box.

    Args:
      weights: [T, S], see `Alignment`.

    Raises:
      ValueError: the weights are not of the symbols' lengths.
      RunError: the file cannot be written.
    """
    draw_alignments([Alignment(weights, source, output, title)], path)


def draw_alignments(
    alignments: Sequence[Alignment],
    path: str | os.PathLike[str],
    panels: int = PANELS,
) -> int:
    """Draws the first `panels` heat maps in one figure; returns how many these are.

    Raises:
      ValueError: there are none, or weights are not of their symbols' lengths.
      RunError: the file cannot be written.
    """
    shown = [_checked(alignment) for alignment in alignments[:panels]]
    if not shown:
        raise ValueError("there is no alignment to draw")
    columns = min(len(shown), 3 if len(shown) != 4 else 2)
    rows = math.ceil(len(shown) / columns)
    width = max(_side(len(one.source)) for one in shown)
    height = max(_side(len(one.weights)) for one in shown)
    with style():
        size = (columns * (width + 1.0) + 0.6, rows * (height + 1.0))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        images = [
            _draw(axes, one, width / max(len(one.source), 1))
            for axes, one in zip(grid, shown, strict=False)
        ]
        for axes in grid[len(shown) :]:
            axes.set_axis_off()
        bar = figure.colorbar(
            images[0],
            ax=grid.tolist(),
            shrink=0.7,
            aspect=24,
            pad=0.02,
            panchor=(0.5, 1.0),  # panels of one row have their tops at one height
        )
        bar.set_label("attention weight")
        bar.set_ticks([0.0, 0.5, 1.0])
        bar.outline.set_visible(False)
        save(figure, path)
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


def _side(count: int) -> float:
    return min(max(count * _CELL, _SMALLEST), _LARGEST)


def _draw(axes: Axes, alignment: Alignment, cell: float) -> AxesImage:
    weights, source, output, title = alignment
    marks = [*map(_label, output), *[END] * (len(weights) - len(output))]
    # An axis without a symbol still needs a cell; it is blank.
    drawn = np.pad(weights, [(0, max(1 - side, 0)) for side in weights.shape])
    image = axes.imshow(
        drawn,
        cmap="Blues",
        vmin=0.0,
        vmax=1.0,
        aspect="equal" if max(drawn.shape) <= 3 * min(drawn.shape) else "auto",
        interpolation="nearest",
    )
    names = [_label(symbol) for symbol in source]
    long = any(len(name) > 2 for name in names)
    points = min(9.0, max(4.5, cell * 72 * 0.62))
    axes.set_xticks(range(len(names)), names, fontsize=points, parse_math=False)
    axes.set_yticks(range(len(marks)), marks, fontsize=points, parse_math=False)
    if long:
        axes.tick_params(axis="x", labelrotation=90)
    axes.tick_params(length=0, pad=3, top=False, labeltop=True, labelbottom=False)
    for label in axes.get_yticklabels()[len(output) :]:
        label.set_color(GREY)
    axes.set_xticks(np.arange(1, len(names)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(marks)) - 0.5, minor=True)
    axes.grid(which="minor", color="#EDEDED", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#C8C8C8")
    axes.set_title(cut(printable(title), 50), fontsize=9.5, parse_math=False)
    axes.set_xlabel("source")
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("output")
    return image


def _label(symbol: int | str) -> str:
    """A symbol as a tick can show it: blanks and lone accents get a shape."""
    text = _SPACES.get(str(symbol), str(symbol))
    if text and unicodedata.combining(text[0]):
        text = "◌" + text
    return cut(printable(text), 16)

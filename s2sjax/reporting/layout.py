"""A figure made as large as its panels and texts need, measured and not guessed."""

import itertools
import math
import textwrap
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from s2sjax.reporting import fonts

_ROUNDS = 6
_ROOM = (8.0, 6.0)  # inches beside and above the panels, to begin with
_PAD = 0.06  # inches between what must not touch
_WORD = 16  # characters, from which a word may be folded
_EXACT = 0.03  # inches by which panels may miss their size


class Size(NamedTuple):
    """Inches: of all panels of a row together, and of all of a column."""

    width: float
    height: float


def fit(figure: Figure, grid: np.ndarray, size: Size) -> RendererAgg:
    """Lays out a figure around panels of a given size.

    Labels, legends and colour bars take what room they need, and the figure grows with
    them. Titles and labels that are longer than their panel are folded, labels along
    an axis that would touch are turned, and the title stands over the panels.

    Args:
      figure: with the constrained layout, and all that it will show.
      grid: its panels, as `Figure.subplots` returns them.
      size: of the panels; they become larger where a title or a legend is.

    Returns:
      What measures texts of the figure as it is now.
    """
    fonts.choose(figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    whole = {text: text.get_text() for text in fonts.texts_of(figure)}
    for _ in range(_ROUNDS):
        _resize(figure, grid, size, renderer)
        changed = [_fold_labels(axes, whole, renderer) for axes in figure.axes]
        changed += [_fold_over(figure, grid, t, whole, renderer) for t in figure.texts]
        if not any(changed):
            break
    return renderer


def _resize(
    figure: Figure, grid: np.ndarray, size: Size, renderer: RendererAgg
) -> None:
    # With too little room nothing is laid out at all.
    figure.set_size_inches(size.width + _ROOM[0], size.height + _ROOM[1])
    for _ in range(_ROUNDS):
        figure.draw_without_rendering()
        width, height = figure.get_size_inches()
        across = [axes.get_position(original=True) for axes in grid[0]]
        beside = width * (1 - sum(box.width for box in across))
        down = [axes.get_position(original=True) for axes in grid[:, 0]]
        above = height * (1 - sum(box.height for box in down))
        legends = [legend.get_window_extent(renderer) for legend in figure.legends]
        wide = max((box.width / figure.dpi + 2 * _PAD for box in legends), default=0.0)
        tall = max((box.height / figure.dpi + 2 * _PAD for box in legends), default=0.0)
        wanted = (max(beside + size.width, wide), max(above + size.height, tall))
        if max(abs(wanted[0] - width), abs(wanted[1] - height)) < _EXACT:
            return
        figure.set_size_inches(wanted)


def _fold_over(
    figure: Figure,
    grid: np.ndarray,
    text: Text,
    whole: Mapping[Text, str],
    renderer: RendererAgg,
) -> bool:
    """Folds the title and the line below the panels; both stand over their middle."""
    left = grid[0, 0].get_position(original=True).x0
    right = grid[0, -1].get_position(original=True).x1
    middle = (left + right) / 2
    text.set_x(middle)
    # Beside the panels may be a legend, below it is none.
    above = text.get_position()[1] > 0.5
    end = right if above and figure.legends else 1.0
    room = 2 * min(middle, end - middle) * figure.bbox.width - _PAD * figure.dpi
    return _fold(text, whole[text], room, text.get_window_extent(renderer).width)


def _fold_labels(axes: Axes, whole: Mapping[Text, str], renderer: RendererAgg) -> bool:
    """Folds the title and the labels of a panel, and turns those along its width."""
    inside = axes.get_window_extent(renderer)
    gap = _PAD * axes.figure.dpi
    changed = _turn(axes, renderer)
    for text in (axes.title, axes._left_title, axes.xaxis.label):  # type: ignore[attr-defined]
        extent = text.get_window_extent(renderer).width
        changed |= _fold(text, whole.get(text, ""), inside.width + gap, extent)
    label = axes.yaxis.label
    extent = label.get_window_extent(renderer).height
    return changed | _fold(label, whole.get(label, ""), inside.height + gap, extent)


def _fold(text: Text, whole: str, room: float, extent: float) -> bool:
    """Folds a text into lines that fit; at blanks, or within a word of `_WORD` or more.

    `whole` is the text without folds. A blank that holds its words together yields
    where they are longer than a line.
    """
    if not whole.strip() or extent <= room:
        return False
    longest = max(map(len, text.get_text().splitlines()))
    ordinary = [len(word) for word in whole.split() if len(word) < _WORD]
    columns = max([math.floor(longest * room / extent), 4, *ordinary])
    if columns >= longest:
        return False
    words = [
        word if len(word) <= columns else word.replace("\xa0", " ")
        for word in whole.split(" ")
    ]
    lines = textwrap.wrap(" ".join(words), columns, break_on_hyphens=False)
    text.set_text("\n".join(lines))
    return True


def _turn(axes: Axes, renderer: RendererAgg) -> bool:
    """Turns the labels below or above a panel where two of them would touch."""
    low, high = sorted(axes.get_xlim())
    labels = [
        label
        for tick in axes.xaxis.get_major_ticks()
        if low <= tick.get_loc() <= high
        for label in (tick.label1, tick.label2)
        if label.get_visible() and label.get_text().strip()
    ]
    boxes = sorted(
        (label.get_window_extent(renderer) for label in labels), key=lambda box: box.x0
    )
    gap = _PAD * axes.figure.dpi / 2
    crowded = any(a.x1 + gap > b.x0 for a, b in itertools.pairwise(boxes))
    if not crowded or not labels or labels[0].get_rotation() == 90:
        return False
    axes.tick_params(axis="x", labelrotation=90)
    return True

"""What the pictures share: a style, their size, files that are whole."""

import contextlib
import io
import itertools
import logging
import math
import os
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from s2sjax.errors import RunError, writing
from s2sjax.reporting import fonts
from s2sjax.reporting.formats import cut, printable
from s2sjax.runs import atomic

STYLE = "S2SJAX_STYLE"  # the environment variable that names a style file of one's own
FORMATS = ("png", "pdf", "svg")
GREY = "#767676"  # of marks beside the data, on white and on black


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Fonts, sizes, colours and lines for the pictures drawn and saved inside.

    They are those of `assets/pictures.mplstyle`, and over them those of the file that
    the environment variable `S2SJAX_STYLE` names.

    Raises:
      RunError: that file is none, or has what matplotlib does not know.
    """
    ours = resources.files("s2sjax.reporting") / "assets" / "pictures.mplstyle"
    with matplotlib.rc_context(), warnings.catch_warnings():
        with resources.as_file(ours) as path:
            matplotlib.rcParams.update(_settings(path))
        if os.environ.get(STYLE):
            matplotlib.rcParams.update(_settings(Path(os.environ[STYLE])))
        # Names stay as they are, also between dollars.
        matplotlib.rcParams["text.parse_math"] = False
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font")
        logger = logging.getLogger("matplotlib.font_manager")
        level = logger.level
        logger.setLevel(logging.ERROR)  # of a font in another weight than asked for
        try:
            yield
        finally:
            logger.setLevel(level)


class Size(NamedTuple):
    """Inches: of all panels of a row together, and of all of a column."""

    width: float
    height: float


@contextlib.contextmanager
def picture(
    path: str | os.PathLike[str] | io.BytesIO,
    size: Size,
    rows: int = 1,
    columns: int = 1,
    *,
    title: str = "",
    last: Callable[[RendererAgg], None] = lambda renderer: None,
    **subplots: Any,
) -> Iterator[tuple[Figure, np.ndarray]]:
    """A figure and its panels [rows, columns], to be drawn inside, and then saved.

    Args:
      path: of the file; bytes in memory become a PNG.
      size: of the panels, see `fit`.
      title: above the panels.
      last: what is drawn when all else has its place.
      subplots: for `Figure.subplots`.

    Raises:
      RunError: the file cannot be written.
    """
    with style():
        figure = Figure(layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, **subplots)
        yield figure, grid
        if title:
            figure.suptitle(cut(printable(title), 200))
        last(fit(figure, grid, size))
        save(figure, path)


def caption(figure: Figure, text: str) -> None:
    """Writes a line below the panels."""
    figure.supxlabel(text, fontsize=8, color=GREY)


def panels_of(grid: np.ndarray, count: int) -> list[Axes]:
    """The first panels; the others are taken away."""
    every = grid.ravel().tolist()
    for axes in every[count:]:
        axes.set_axis_off()
    return every[:count]


def logarithmic(axes: Axes) -> None:
    """A logarithmic axis of values, labelled with plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def look(place: int) -> dict[str, Any]:
    """Colour, line and marker of one of several, as the style gives them in turn."""
    cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()
    return {name: values[place % len(values)] for name, values in cycle.items()}


def _settings(path: Path) -> matplotlib.RcParams:
    if not path.is_file():
        raise RunError(f"{STYLE}={path}: there is no such file")
    handler = _FirstLines()
    logger = logging.getLogger("matplotlib")
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        settings = matplotlib.rc_params_from_file(
            path, fail_on_error=True, use_default_template=False
        )
    except (ValueError, OSError) as error:
        raise RunError(f"{STYLE}={path}: {error}") from None
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
    if handler.lines:
        raise RunError(f"{STYLE}={path}: {handler.lines[0]}")
    return settings


class _FirstLines(logging.Handler):
    """Keeps the first line of what matplotlib says of a file."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().strip().splitlines()[0])


def drawn(figure: Figure, kind: str, name: Path) -> bytes:
    """A picture as a file of a kind holds it; `name` is what a line calls it."""
    fonts.say_missing(fonts.choose(figure), name)
    written = io.BytesIO()
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    figure.savefig(written, format=kind, metadata=dates.get(kind))
    return written.getvalue()


def save(figure: Figure, path: str | os.PathLike[str] | io.BytesIO) -> None:
    """Writes a picture, whole or not at all: PNG, or PDF or SVG by the path's ending.

    Each text is drawn in installed fonts that have its characters. Where none has
    them, a line on standard error names their script, and boxes are drawn.

    Raises:
      RunError: the file cannot be written; an old one is intact.
    """
    if isinstance(path, io.BytesIO):
        path.write(drawn(figure, "png", Path("the picture")))
        return
    target = Path(path)
    ending = target.suffix.lower().removeprefix(".")
    data = drawn(figure, ending if ending in FORMATS else "png", target)
    with writing(f"cannot write {target}", RunError):
        atomic.write_bytes(target, data)


_ROUNDS = 6
_ROOM = (8.0, 6.0)  # inches beside and above the panels, to begin with
_PAD = 0.06  # inches between what must not touch
_WORD = 16  # characters, from which a word may be folded
_EXACT = 0.03  # inches by which panels may miss their size


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

"""What the pictures share: a style, colours for every eye, files that are whole."""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure

from s2sjax.errors import RunError

# Okabe and Ito's colours, distinct for every kind of colour vision.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY, DARK = "#767676", "#262626"

# Fonts that fill in for scripts which the first, matplotlib's own, lacks. One is
# enough for Chinese, Japanese and Korean; the others are what systems have.
_FONTS = (
    *("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans"),
    *("Microsoft YaHei", "WenQuanYi Zen Hei", "Arial Unicode MS", "Noto Sans"),
)
_FORMATS = ("pdf", "svg", "png")


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Fonts, sizes and colours for the pictures drawn and saved inside.

    A character that no font has is drawn as a box that says its block; that is no
    reason for a warning.
    """
    installed = set(font_manager.fontManager.get_font_names())
    settings: dict[Any, Any] = {
        "font.family": [name for name in _FONTS if name in installed] or ["sans-serif"],
        "font.size": 9.0,
        "axes.labelsize": 9.0,
        "axes.edgecolor": GREY,
        "axes.labelcolor": DARK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "figure.facecolor": "white",
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "text.color": DARK,
        "text.usetex": False,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": DARK,
        "ytick.labelcolor": DARK,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font")
        yield


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a picture, whole or not at all: PNG, or PDF or SVG by the path's ending.

    Raises:
      RunError: the file cannot be written; an old one is intact.
    """
    target = Path(path)
    ending = target.suffix.lower().removeprefix(".")
    drawn = io.BytesIO()
    kind = ending if ending in _FORMATS else "png"
    figure.savefig(drawn, format=kind, dpi=200, bbox_inches="tight", pad_inches=0.1)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(drawn.getvalue())
        os.replace(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunError(f"cannot write {target}: {error.strerror}") from None

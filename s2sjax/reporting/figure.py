"""What the pictures share: a style, their size, files that are whole."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from s2sjax.errors import RunError
from s2sjax.reporting import fonts

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
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font")
        logger = logging.getLogger("matplotlib.font_manager")
        level = logger.level
        logger.setLevel(logging.ERROR)  # of a font in another weight than asked for
        try:
            yield
        finally:
            logger.setLevel(level)


def look(place: int) -> dict[str, Any]:
    """Colour, line and marker of one of several, as the style gives them in turn."""
    cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()
    return {name: values[place % len(values)] for name, values in cycle.items()}


def _settings(path: Path) -> matplotlib.RcParams:
    if not path.is_file():
        raise RunError(f"{STYLE}={path}: there is no such file")
    said = _Said()
    logger = logging.getLogger("matplotlib")
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(said)
    try:
        found = matplotlib.rc_params_from_file(
            path, fail_on_error=True, use_default_template=False
        )
    except (ValueError, OSError) as error:
        raise RunError(f"{STYLE}={path}: {error}") from None
    finally:
        logger.removeHandler(said)
        logger.propagate = propagated
    if said.lines:
        raise RunError(f"{STYLE}={path}: {said.lines[0]}")
    return found


class _Said(logging.Handler):
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


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a picture, whole or not at all: PNG, or PDF or SVG by the path's ending.

    Each text is drawn in installed fonts that have its characters. Where none has
    them, a line on standard error names their script, and boxes are drawn.

    Raises:
      RunError: the file cannot be written; an old one is intact.
    """
    target = Path(path)
    ending = target.suffix.lower().removeprefix(".")
    data = drawn(figure, ending if ending in FORMATS else "png", target)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunError(f"cannot write {target}: {error.strerror}") from None

"""Lines for a person, in colour on a terminal and without in a file or pipe."""

import contextlib
import io
import sys
from typing import IO, Any, cast

from rich.console import Console, RenderableType
from rich.text import Text

from s2sjax.foreign import printable

WIDTH = 100  # columns, where no terminal says how many it has


class Screen:
    """Lines on a terminal, or plain ones, without control characters, elsewhere.

    What the encoding cannot say is written as its code; a reader that has gone away
    is no error, since a run outlives the one who looks at it.

    Attributes:
      terminal: whether there is one that can be redrawn.
      unicode: whether more than ASCII can be written.
      console: rich's view of it; prints no markup, no emoji, no highlights.
    """

    def __init__(
        self,
        file: IO[str] | None = None,
        terminal: bool | None = None,
        width: int | None = None,
    ):
        file = sys.stdout if file is None else file
        write_codes(file)
        self._file = _Lenient(file)
        self.terminal = file.isatty() if terminal is None else terminal
        self.console = Console(
            file=cast(IO[str], self._file),
            force_terminal=self.terminal,
            width=width if self.terminal else WIDTH,
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=False,
        )
        if terminal is None and self.console.is_dumb_terminal:
            self.terminal = False
        self.unicode = self._file.encoding.lower().startswith("utf")
        self.columns = min(self.console.width, WIDTH)

    def begin(self, live: Any) -> None:
        """Starts a part of rich's that is redrawn."""
        live.start()
        # A process that is killed cannot give a hidden cursor back.
        self.console.show_cursor(True)

    def line(self, text: Text | str) -> None:
        """Writes lines, however long; what would steer a terminal becomes a code."""
        plain = "\n".join(printable(part) for part in str(text).split("\n"))
        if plain != str(text):
            text = plain
        if self.terminal:
            self.console.print(text, soft_wrap=True)
        else:
            self._file.write(f"{text}\n")
            self._file.flush()

    def show(self, drawing: RenderableType) -> None:
        """Draws something of rich's, on a terminal."""
        self.console.print(drawing)


def write_codes(file: IO[str]) -> None:
    """From now on a file takes every character: as a code where it has no other way.

    A terminal's encoding may be ASCII or a code page, and what a model writes is
    anything.
    """
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="backslashreplace")


class _Lenient:
    """A text file that forgives a lost reader."""

    def __init__(self, file: IO[str]):
        self._file = file
        self.encoding = getattr(file, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()

    def isatty(self) -> bool:
        return self._file.isatty()

    def fileno(self) -> int:
        return self._file.fileno()

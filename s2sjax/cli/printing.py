"""All that the command line prints; tables and bars go by `reporting.screen`.

A name, a corpus or a message may hold characters that steer a terminal: here they
become codes. JSON is ASCII as `json.dumps` writes it, and passes unchanged.
"""

import sys
from collections.abc import Iterable

from s2sjax.foreign import message, printable


def line(text: str = "") -> None:
    """Prints a line of the result; a line break inside of it is a code, too."""
    print(printable(text))


def lines(texts: Iterable[str]) -> None:
    """Prints lines of the result."""
    for text in texts:
        line(text)


def warn(texts: Iterable[str]) -> None:
    """Prints lines for a person on standard error, long words cut."""
    for text in texts:
        print(message(text), file=sys.stderr, flush=True)

"""Texts and numbers as people read them on a line."""

import math
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len

from s2sjax.foreign import printable

__all__ = ["cut", "duration", "number", "percent", "printable"]


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """The text, its end replaced by an ellipsis where it is wider than `width` columns.

    Wide characters count twice, as terminals draw them.

    >>> cut("seven seas", 6), cut("short", 6), cut("漢字漢字", 5)
    ('seven…', 'short', '漢字…')
    """
    if cell_len(text) <= width:
        return text
    room = width - cell_len(ellipsis)
    short = text[: max(room, 0)]
    while cell_len(short) > room and short:
        short = short[:-1]
    return short.rstrip() + ellipsis


def distinct(texts: Sequence[str], width: int) -> list[str]:
    """Printable texts, each cut to `width` columns so that none looks like another.

    Where their ends are what tells them apart, these are kept.

    >>> distinct(["sgd", "adam(rate=0.1)", "adam(rate=0.2)"], 10)
    ['sgd', 'adam(…0.1)', 'adam(…0.2)']
    """
    shown = [printable(text) for text in texts]
    shortened = [cut(text, width) for text in shown]
    for ending in range(width // 2, width):
        if len(set(shortened)) == len(set(shown)):
            break
        shortened = [
            text
            if cell_len(text) <= width
            else cut(text, width - ending, "") + "…" + text[1 - ending :]
            for text in shown
        ]
    return shortened


def percent(share: Any, decimals: int = 2) -> str:
    """A share of 1 in percent; only 1 is 100 %, and only 0 is 0 %.

    >>> percent(0.98765), percent(0.99999), percent(1), percent(None)
    ('98.77 %', '99.99 %', '100 %', 'n/a')
    """
    if not _finite(share):
        return "n/a"
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    least = 10.0 ** -(decimals + 2)
    if 0 < share < 1:
        share = min(max(share, least), 1 - least)
    return f"{100 * share:.{decimals}f} %"


def number(value: Any, digits: int = 4) -> str:
    """A number with a few significant digits; what is not finite is `n/a`.

    >>> number(1.158021), number(0.0000123), number(3125), number(float("nan"))
    ('1.158', '1.23e-05', '3,125', 'n/a')
    """
    if not _finite(value):
        return "n/a"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours.

    >>> duration(4.25), duration(75), duration(7325)
    ('4.2 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)

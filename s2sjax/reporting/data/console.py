"""A config's data in the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from s2sjax.reporting.data.sections import Histogram, sections, share
from s2sjax.reporting.screen import Screen
from s2sjax.reporting.table import show as show_table

BAR = 16  # columns of the longest bar
EIGHTHS = " ▏▎▍▌▋▊▉█"


def show(data: Mapping[str, Any], screen: Screen) -> None:
    """Shows what `s2s.data` returns, warnings last."""
    for file in data["files"]:
        screen.line(file)
    if data["files"]:
        screen.line("")
    for section in sections(data):
        if isinstance(section, Histogram):
            _histogram(section, screen)
        else:
            show_table(section, screen)
    for line in data["warnings"]:
        screen.line(Text(f"warning: {line}", "yellow"))


def _histogram(histogram: Histogram, screen: Screen) -> None:
    screen.line(Text(histogram.title, "bold"))
    width = max(map(len, histogram.labels))
    most = max(max(shares) for shares in histogram.shares.values())
    columns = list(histogram.shares)
    header = "  ".join(f"{c:{BAR + 7}}" for c in columns)
    screen.line(f"{'':{width}}  {header}".rstrip())
    for place, label in enumerate(histogram.labels):
        cells = []
        for split in columns:
            part = histogram.shares[split][place]
            bar = _bar(part / most, unicode=screen.unicode)
            cells.append(f"{share(part) if part else '':>6} {bar:{BAR}}")
        screen.line(f"{label:>{width}}  {'  '.join(cells)}".rstrip())
    screen.line("")


def _bar(share: float, *, unicode: bool) -> str:
    if not unicode:
        return "#" * round(share * BAR)
    eighths = max(round(share * BAR * 8), share > 0)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()

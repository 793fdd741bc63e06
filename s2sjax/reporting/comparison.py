"""A comparison of two systems, as a person reads it: tables, examples, a picture."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from rich.text import Text

from s2sjax.inference.comparison import Compared, Comparison, better
from s2sjax.metrics import metric
from s2sjax.reporting.figure import Size, look, picture
from s2sjax.reporting.formats import distinct, number, percent, printable
from s2sjax.reporting.screen import Screen
from s2sjax.reporting.table import Table, show

EXAMPLES = 5  # shown, of those that differ
NAME = 24  # columns, of a system


def show_comparison(
    found: Comparison, screen: Screen, examples: int = EXAMPLES
) -> None:
    """Shows the metrics of both, who is right where, and where they differ."""
    names = _names(found, NAME)
    rows = [_row(name, each, names) for name, each in found.metrics.items()]
    header = ("metric", *names, "difference", "95 %", "p", "better")
    title = f"{found.examples:,} examples"
    show(Table(title, header, rows, header[1:-1]), screen)
    right = found.right
    screen.line(
        f"right: {right['both']:,} both, {right['only_a']:,} {printable(names[0])} "
        f"alone, {right['only_b']:,} {printable(names[1])} alone, "
        f"{right['neither']:,} neither"
    )
    shown = found.differing[:examples]
    many = f"{len(found.differing):,} of {found.examples:,} outputs differ"
    screen.line(f"{many}{', the worst of b first' if shown else ''}\n")
    width = max(map(len, (*names, "reference")))
    for each in shown:
        lines = [("source", each.source, "")]
        lines += [("reference", text, "") for text in each.references]
        lines += [
            (names[0], each.a, "right" if each.a_right else "wrong"),
            (names[1], each.b, "right" if each.b_right else "wrong"),
        ]
        for label, text, mark in lines:
            written = text if isinstance(text, str) else " ".join(map(str, text))
            line = f"  {label:<{width}}  {mark:<5}  {written}".rstrip()
            screen.line(Text(printable(line)))
        screen.line("")


def _names(found: Comparison, width: int) -> list[str]:
    """What the systems are called: without their folders, where that tells them."""
    short = [Path(name).name for name in found.names]
    return distinct(short if len(set(short)) == 2 else found.names, width)


def _row(name: str, each: Compared, names: list[str]) -> tuple[str, ...]:
    about = metric(name)
    text = percent if about.share else number
    scale, unit = (100, " points") if about.share else (1, "")
    low, high = (f"{scale * bound:+.3g}" for bound in (each.low, each.high))
    won = better(name, each)
    return (
        about.label,
        *(text(each.a), text(each.b)),
        f"{scale * each.difference:+.3g}{unit}",
        f"{low} to {high}",
        f"{each.p:.2g}",
        {"a": names[0], "b": names[1], "": "-"}[won],
    )


def draw_comparison(found: Comparison, path: str | os.PathLike[str]) -> None:
    """Draws exact match by length of both into a file, .png, .pdf or .svg.

    A point is as large as the share of the examples that have its length.

    Raises:
      RunError: the file cannot be written.
    """
    names = _names(found, 2 * NAME)
    title = f"{found.examples:,} examples"
    with picture(path, Size(5.2, 2.6), title=title) as (_, grid):
        axes = grid[0, 0]
        for place, side in enumerate(("a", "b")):
            rows = found.by_length[side]
            lengths = np.array(list(map(int, rows)))
            exact = np.array([row["exact"] for row in rows.values()])
            counts = np.array([row["count"] for row in rows.values()])
            own: dict[str, Any] = {**look(place), "marker": ""}
            axes.plot(lengths, exact, label=names[place], linewidth=1.4, **own)
            sizes = 4 + 60 * counts / counts.sum()
            axes.scatter(lengths, exact, s=sizes, color=own["color"], alpha=0.7)
        axes.set_ylim(-0.02, 1.04)
        axes.set_xlabel("symbols in the first reference")
        axes.set_ylabel("exact match")
        every = [*map(int, found.by_length["a"]), *map(int, found.by_length["b"])]
        axes.set_xlim(min(every) - 0.6, max(every) + 0.6)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
        axes.grid(axis="y")
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)

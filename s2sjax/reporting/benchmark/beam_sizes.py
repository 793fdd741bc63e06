"""What a wider beam does: to the quality, to the search, to the probability."""

import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from s2sjax.reporting.benchmark.pareto import set_quality_limits
from s2sjax.reporting.figure import GREY, Size, look, picture


class Widths(NamedTuple):
    """One kind of beam at several sizes; None where there is no number."""

    name: str
    sizes: Sequence[int]
    quality: Sequence[float]
    search_errors: Sequence[float | None]  # shares
    logprob: Sequence[float]  # mean of the outputs', in nats
    target_logprob: float  # mean of the references'


def draw_beam_sizes(
    every: Sequence[Widths], measure: str, path: str | os.PathLike[str], title: str
) -> None:
    """Draws quality, search errors and mean log-probability against the beam size.

    Where the quality falls while search errors vanish and the outputs become more
    probable than the references, the model and not the search is at fault: the beam
    search curse (Koehn and Knowles 2017; Stahlberg and Byrne 2019).

    Args:
      every: the kinds of beam; sizes in increasing order.
      measure: what quality is.
      path: the picture.
      title: above it.

    Raises:
      RunError: the file cannot be written.
    """
    with picture(path, Size(8.4, 2.3), 1, 3, title=title) as (figure, grid):
        quality, errors, probability = grid[0]
        for place, widths in enumerate(every):
            # A point at the end of what is possible is drawn whole.
            own: dict[str, Any] = {**look(place), "markersize": 4.5, "clip_on": False}
            own["linewidth"] = 1.5
            quality.plot(widths.sizes, widths.quality, **own)
            errors.plot(widths.sizes, _gaps(widths.search_errors), **own)
            probability.plot(widths.sizes, widths.logprob, label=widths.name, **own)
        _finish(quality, every, measure)
        set_quality_limits(quality, [q for widths in every for q in widths.quality])
        _finish(errors, every, "search errors, % of inputs")
        errors.set_ylim(0.0, min(max(1.0, 1.05 * errors.get_ylim()[1]), 100.0))
        _finish(probability, every, "mean log p(output), nats")
        low, high = probability.get_ylim()
        if high - low < 0.01:  # a flat line is no hill of rounding
            low, high = low - 0.01, high + 0.01
        probability.set_ylim(low, min(high, 0.0))  # of what is sure, p is 1
        _tell_references(probability, every)
        figure.legend(loc="outside lower center", ncols=4)


def _tell_references(axes: Axes, every: Sequence[Widths]) -> None:
    """How probable references are: in words, and a line where it is in sight.

    They can be so improbable that on one scale the beams would all look alike.
    """
    levels = list(dict.fromkeys(widths.target_logprob for widths in every))
    listed = ", ".join(f"{level:.3g}" for level in levels)
    low, high = axes.get_ylim()
    for level in levels:
        if low <= level <= high:
            axes.axhline(level, color=GREY, linewidth=1.2, linestyle=":")
    axes.set_ylim(low, high)
    axes.text(
        *(0.98, 0.04, f"references: {listed}"),
        transform=axes.transAxes,
        ha="right",
        fontsize=8.5,
    )


def _gaps(values: Sequence[float | None]) -> np.ndarray:
    """Percents, NaN where there is no number."""
    return np.array(
        [math.nan if value is None else 100 * value for value in values], float
    )


def _finish(axes: Axes, every: Sequence[Widths], label: str) -> None:
    sizes = sorted({size for widths in every for size in widths.sizes})
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("beam size")
    axes.set_title(label, loc="left")
    axes.grid(axis="y")

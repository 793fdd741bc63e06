"""A metric of a sweep with one factor: each trial, and the mean of each level."""

import math
import os
from collections.abc import Sequence

from matplotlib.figure import Figure

from s2sjax.reporting.factor import Factor
from s2sjax.reporting.figure import GREY, look, save, style
from s2sjax.reporting.formats import cut, distinct, printable
from s2sjax.reporting.groups import Estimate
from s2sjax.reporting.layout import Size, fit
from s2sjax.reporting.measure import Measure, percents

_NARROWEST, _HEIGHT = 2.8, 2.2  # inches


def draw_levels(
    factor: Factor,
    estimates: Sequence[Estimate],
    values: Sequence[Sequence[float]],
    measure: Measure,
    path: str | os.PathLike[str],
    title: str = "",
) -> None:
    """Draws the mean of each level with its interval, and beside it its trials.

    Args:
      estimates: of each level.
      values: the metric of the trials of each level.

    Raises:
      RunError: the file cannot be written.
    """
    with style():
        figure = Figure(layout="constrained")
        grid = figure.subplots(squeeze=False)
        axes = grid[0, 0]
        color = look(0)["color"]
        for level, (estimate, its) in enumerate(zip(estimates, values, strict=True)):
            if not estimate.n:
                continue
            beside = [level + 0.18] * len(its)
            axes.plot(beside, its, "o", color=GREY, markersize=3, fillstyle="none")
            if math.isfinite(estimate.low):
                ends = (estimate.low, estimate.high)
                axes.vlines(level, *ends, color=color, linewidth=1.6)
            axes.plot(
                level, estimate.mean, "o", color=color, markersize=6, clip_on=False
            )
        axes.set_xlim(-0.6, len(estimates) - 0.4)
        axes.set_xticks(
            range(len(estimates)), distinct(factor.labels, 24), parse_math=False
        )
        low, high = axes.get_ylim()
        if measure.most is not None:
            axes.set_ylim(max(low, 0.0), min(high, measure.most))
        if measure.share:
            axes.yaxis.set_major_formatter(percents)
        axes.grid(axis="y")
        axes.set_xlabel(printable(factor.name), parse_math=False)
        axes.set_ylabel(measure.unit)
        figure.suptitle(cut(printable(title), 100), parse_math=False)
        n = sorted({estimate.n for estimate in estimates if estimate.n})
        of = f"{n[0]}" if len(n) == 1 else f"{n[0]} to {n[-1]}"
        told = any(math.isfinite(estimate.low) for estimate in estimates)
        interval = f"line: {measure.interval}; " if told else ""
        caption = f"dot: mean of n = {of}; {interval}circles: the trials"
        figure.supxlabel(caption, fontsize=8, color=GREY)
        width = (0.42 if len(estimates) <= 12 else 0.26) * len(estimates)
        fit(figure, grid, Size(max(_NARROWEST, width), _HEIGHT))
        save(figure, path)

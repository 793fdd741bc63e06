"""Whether forecasts know how sure they are: quantiles against what came below them."""

import io
import os

import numpy as np
from matplotlib.axes import Axes

from s2sjax.forecasts import LEVELS, Forecasts, reliability
from s2sjax.reporting.figure import GREY, Size, look, picture

_PANEL = Size(3.2, 3.2)  # inches


def draw_calibration(
    forecasts: Forecasts, path: str | os.PathLike[str] | io.BytesIO
) -> None:
    """Draws of each quantile the share of numbers that are at most it.

    On the diagonal forecasts are as sure as they can be. A line that is flatter has
    intervals that are too narrow, a steeper one too wide; one above it is of forecasts
    that are too high. The first and the last step of the horizon are drawn besides.

    Raises:
      ValueError: they have no quantiles, or nothing came.
      RunError: the file cannot be written.
    """
    if forecasts.quantiles is None or not forecasts.observed.any():
        raise ValueError("there are no quantiles, or no numbers, to compare")
    lines = {"all steps": forecasts}
    last = forecasts.target.shape[1]
    if last > 1:
        lines["step 1"] = forecasts.at(steps=slice(0, 1))
        lines[f"step {last}"] = forecasts.at(steps=slice(last - 1, last))
    with picture(path, _PANEL) as (_, grid):
        axes: Axes = grid[0, 0]
        axes.axline((0, 0), (1, 1), color=GREY, linewidth=0.9, linestyle=(0, (1, 2)))
        for place, (label, each) in enumerate(lines.items()):
            if each.observed.any():
                _draw(axes, each, label, place)
        axes.set_xlabel("level of the quantile")
        axes.set_ylabel("numbers at most the quantile")
        for axis, limit in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
            limit(0, 1)
            axis.set_ticks(np.linspace(0, 1, 6))
            axis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
        axes.grid()
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=len(lines),
            borderaxespad=0.2,
            handlelength=1.7,
            handletextpad=0.5,
            columnspacing=0.9,
        )


def _draw(axes: Axes, forecasts: Forecasts, label: str, place: int) -> None:
    width = 1.8 if not place else 1.2
    size = 3.5 if not place else 2.5
    axes.plot(
        LEVELS,
        reliability(forecasts),
        **look(place),
        linewidth=width,
        markersize=size,
        label=label,
        clip_on=False,
    )

"""Forecasts as fans: what came, and the middle and the intervals of what was said."""

import io
import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from s2sjax.forecasts import LEVELS
from s2sjax.reporting.figure import GREY, Size, look, panels_of, picture
from s2sjax.reporting.formats import cut, printable

PANELS = 6
_BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.34))  # of levels, and how dark
_PANEL = Size(2.9, 1.7)  # inches
_HISTORY = 3  # horizons of it that are shown, at the most


class Fan(NamedTuple):
    """A forecast of one number, in its units; NaN where nothing came."""

    history: np.ndarray  # [S] what was observed before
    target: np.ndarray  # [T] what came
    median: np.ndarray  # [T]
    quantiles: np.ndarray | None = None  # [T, LEVELS]; None: of a point
    title: str = ""


def draw_fans(
    fans: Sequence[Fan],
    path: str | os.PathLike[str] | io.BytesIO,
    panels: int = PANELS,
) -> int:
    """Draws the first `panels` forecasts in one figure; returns how many these are.

    Step 0 is the last before the forecast, which a dotted line marks. Bands hold 50
    and 90 % of what may come.

    Raises:
      ValueError: there are none.
      RunError: the file cannot be written.
    """
    shown = fans[:panels]
    if not shown:
        raise ValueError("there is no forecast to draw")
    columns = min(len(shown), 3 if len(shown) != 4 else 2)
    rows = math.ceil(len(shown) / columns)
    size = Size(_PANEL.width * columns, _PANEL.height * rows)
    with picture(path, size, rows, columns) as (figure, grid):
        drawn = panels_of(grid, len(shown))
        for place, (axes, fan) in enumerate(zip(drawn, shown, strict=True)):
            _draw(axes, fan)
            if place + columns >= len(shown):
                axes.set_xlabel("step")
        handles, labels = drawn[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return len(shown)


def _draw(axes: Axes, fan: Fan) -> None:
    steps = np.arange(1, len(fan.target) + 1)
    history = fan.history[-_HISTORY * len(steps) :]
    before = np.arange(1 - len(history), 1)
    colour = look(0)["color"]
    if fan.quantiles is not None:
        # A single step is as wide as half of one.
        across = steps if len(steps) > 1 else np.array([0.75, 1.25])
        for low, high, alpha in _BANDS:
            lower, upper = (
                np.resize(fan.quantiles[:, LEVELS.index(level)], len(across))
                for level in (low, high)
            )
            label = f"{100 * (high - low):.0f} % interval"
            band: dict[str, Any] = {"color": colour, "alpha": alpha, "linewidth": 0}
            axes.fill_between(across, lower, upper, label=label, **band)
    _line(axes, steps, fan.median, "median forecast", color=colour, linewidth=1.6)
    observed = np.concatenate([history, fan.target])
    places = np.concatenate([before, steps])
    _line(axes, places, observed, "observed", color="#262626", linewidth=1.0)
    axes.axvline(0, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.set_xlim(places[0] - 0.5, steps[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=True))
    axes.grid(axis="y")
    axes.set_title(cut(printable(fan.title), 50))


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, label: str, **own: Any) -> None:
    # What stands alone between two gaps is on no line, and is seen by its marker.
    seen = np.isfinite(np.concatenate([[math.nan], y, [math.nan]]))
    alone = np.flatnonzero(seen[1:-1] & ~seen[:-2] & ~seen[2:]).tolist()
    solid: dict[str, Any] = {"linestyle": "-", "marker": "o", "markersize": 2.2}
    axes.plot(x, y, label=label, markevery=alone, **solid, **own)

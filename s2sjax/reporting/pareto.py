"""Quality against speed: every strategy as a point, the best trades on a line."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator
from matplotlib.transforms import Bbox

from s2sjax.reporting.figure import BLUE, DARK, GREEN, GREY, ORANGE, PURPLE, save, style

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9", DARK, GREY)
MARKERS = "osD^vP*X"
# Where a label may stand beside its point, the best place first: offsets in points
# and the corner that stands there.
_PLACES = [
    (x, y, ha, va)
    for far in (6, 14, 24)
    for x, y, ha, va in (
        (far, far * 0.6, "left", "bottom"),
        (-far, far * 0.6, "right", "bottom"),
        (far, -far * 0.6, "left", "top"),
        (-far, -far * 0.6, "right", "top"),
        (0, far, "center", "bottom"),
        (0, -far, "center", "top"),
    )
]


class Point(NamedTuple):
    """One measurement: what it is and what it came to."""

    group: str  # colour, e.g. the strategy
    kind: str  # marker, e.g. the batch size
    speed: float  # sequences per second, more than 0
    quality: float


class Panel(NamedTuple):
    """Points that may be compared with one another."""

    title: str
    measure: str  # what quality is
    points: Sequence[Point]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The points that no other beats in one number and equals in the other.

    More is better in both. Of equal points the first counts. Sorted by the first
    number.

    >>> pareto_front([(1, 3), (2, 2), (1, 2), (3, 1), (2, 2)])
    [0, 1, 3]
    """
    order = sorted(range(len(points)), key=lambda i: (*[-x for x in points[i]], i))
    front: list[int] = []
    for place in order:
        if not front or points[place][1] > points[front[-1]][1]:
            front.append(place)
    return front[::-1]


def draw_quality_speed(
    panels: Sequence[Panel], path: str | os.PathLike[str], title: str
) -> None:
    """Draws quality against sequences per second, one panel for what is comparable.

    A strategy has a colour, a batch size a marker. The points that no other beats in
    both are joined and named.

    Raises:
      RunError: the file cannot be written.
    """
    with style():
        figure = Figure(
            figsize=(7.6 * len(panels), 4.4), layout=ConstrainedLayoutEngine()
        )
        FigureCanvasAgg(figure)  # labels are measured before the picture is saved
        every = [point for panel in panels for point in panel.points]
        colours = _assigned([point.group for point in every], COLOURS)
        markers = _assigned([point.kind for point in every], MARKERS)
        row = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, panel in zip(row, panels, strict=True):
            _draw_panel(axes, panel, colours, markers)
        _legend(figure, row[-1], colours, markers)
        figure.suptitle(title, fontsize=10.5, parse_math=False)
        figure.draw_without_rendering()
        for axes, panel in zip(row, panels, strict=True):
            _label(figure, axes, panel)
        save(figure, path)


def _assigned(names: Sequence[str], looks: Sequence[str]) -> dict[str, str]:
    unique = list(dict.fromkeys(names))
    return {name: looks[place % len(looks)] for place, name in enumerate(unique)}


def _draw_panel(
    axes: Axes, panel: Panel, colours: dict[str, str], markers: dict[str, str]
) -> None:
    front = [panel.points[i] for i in _front(panel)]
    axes.plot(
        [point.speed for point in front],
        [point.quality for point in front],
        color=GREY,
        linewidth=1.2,
        linestyle=(0, (4, 2)),
        zorder=1,
    )
    for point in panel.points:
        on_front = point in front
        look: dict[str, Any] = {
            "color": colours[point.group],
            "marker": markers[point.kind],
            "markersize": 8 if on_front else 6,
            "markeredgecolor": DARK if on_front else "white",
            "markeredgewidth": 1.0 if on_front else 0.6,
            "alpha": 1.0 if on_front else 0.75,
        }
        axes.plot([point.speed], [point.quality], zorder=3 if on_front else 2, **look)
    axes.set_xscale("log")
    speeds = [point.speed for point in panel.points]
    axes.set_xlim(min(speeds) / 1.6, max(speeds) * 1.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: ""))
    set_quality_limits(axes, [point.quality for point in panel.points])
    axes.set_xlabel("sequences per second (logarithmic)")
    axes.set_ylabel(panel.measure)
    axes.grid(color="#E4E4E4", linewidth=0.8)
    if panel.title:
        axes.set_title(panel.title, fontsize=9.5, parse_math=False)


def set_quality_limits(axes: Axes, values: Sequence[float]) -> None:
    """Room around values of at most 100; where all are one, there is no hill to see."""
    lowest, highest = min(values), max(values)
    room = max((highest - lowest) * 0.15, 1.0)
    axes.set_ylim(lowest - room, highest + room)
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 100])
    axes.set_ylim(lowest - room, highest + room)


def _front(panel: Panel) -> list[int]:
    return pareto_front([(point.speed, point.quality) for point in panel.points])


def _legend(
    figure: Figure, axes: Axes, colours: dict[str, str], markers: dict[str, str]
) -> None:
    empty: Any = ([], [])
    handles = [
        axes.plot(*empty, "o", color=colour, label=name)[0]
        for name, colour in colours.items()
    ]
    handles += [
        axes.plot(*empty, marker, color=GREY, linestyle="none", label=name)[0]
        for name, marker in markers.items()
    ]
    dashed: dict[str, Any] = {"color": GREY, "linewidth": 1.2, "linestyle": "--"}
    handles += axes.plot(*empty, label="Pareto front", **dashed)
    figure.legend(handles=handles, loc="outside right upper")


def _label(figure: Figure, axes: Axes, panel: Panel) -> None:
    """Names the points of the front, each where it covers no point and no name."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    taken = [
        Bbox.from_bounds(x - 5, y - 5, 10, 10)
        for x, y in axes.transData.transform(
            [(point.speed, point.quality) for point in panel.points]
        )
    ]
    inside = axes.get_window_extent(renderer)
    for place in _front(panel):
        point = panel.points[place]
        best, least = None, np.inf
        for x, y, ha, va in _PLACES:
            text = axes.annotate(
                f"{point.group}, {point.kind}",
                (point.speed, point.quality),
                xytext=(x, y),
                textcoords="offset points",
                ha=ha,
                va=va,
                fontsize=8,
                color=DARK,
                parse_math=False,
            )
            text.set_in_layout(False)
            box = text.get_window_extent(renderer)
            covered = sum(_overlap(box, other) for other in taken)
            covered += box.width * box.height - _overlap(box, inside)
            if covered < least:
                if best is not None:
                    best.remove()
                best, least = text, covered
            else:
                text.remove()
        assert best is not None
        taken.append(best.get_window_extent(renderer))


def _overlap(one: Bbox, other: Bbox) -> float:
    """The area that two boxes share."""
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else both.width * both.height

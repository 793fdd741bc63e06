"""Quality against speed: every strategy as a point, the best trades on a line."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator
from matplotlib.transforms import Bbox

from s2sjax.reporting.figure import GREY, Size, look, picture
from s2sjax.reporting.formats import cut, printable

# Where a label may stand beside its point, the best place first: offsets in points
# and the corner that stands there.
_NEAR = 6
_PLACES = [
    (x, y, ha, va)
    for far in (_NEAR, 14, 24)
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

    group: str  # colour and marker, e.g. the strategy
    kind: str  # size, e.g. the batch size
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

    A strategy has a colour and a marker, a batch size the marker's size. The points
    that no other beats in both are joined and named.

    Raises:
      RunError: the file cannot be written.
    """

    def name_points(renderer: RendererAgg) -> None:
        """Where nothing is, when all else has its place."""
        for axes, panel in zip(grid[0], panels, strict=True):
            _label(renderer, axes, panel)

    size = Size(5.4 * len(panels), 3.5)
    with picture(path, size, 1, len(panels), title=title, last=name_points) as (
        figure,
        grid,
    ):
        every = [point for panel in panels for point in panel.points]
        groups = list(dict.fromkeys(point.group for point in every))
        looks = {group: _mark(place) for place, group in enumerate(groups)}
        kinds = dict.fromkeys(point.kind for point in every)
        sizes = {kind: 5 + 1.8 * place for place, kind in enumerate(kinds)}
        for axes, panel in zip(grid[0], panels, strict=True):
            _draw_panel(axes, panel, looks, sizes)
        _legend(figure, grid[0, -1], looks, sizes)


def _mark(place: int) -> dict[str, Any]:
    """The look of one of several strategies, as a marker without a line."""
    return {"marker": "o", **look(place), "linestyle": "none"}


def _draw_panel(
    axes: Axes, panel: Panel, looks: dict[str, Any], sizes: dict[str, float]
) -> None:
    front = [panel.points[i] for i in _front(panel)]
    axes.plot(
        [point.speed for point in front],
        [point.quality for point in front],
        color=GREY,
        linewidth=1.2,
        linestyle="--",
        marker="",
        zorder=1,
    )
    for point in panel.points:
        on_front = point in front
        own: dict[str, Any] = {
            **looks[point.group],
            "markersize": sizes[point.kind],
            "markeredgecolor": rcParams["text.color"] if on_front else "white",
            "markeredgewidth": 1.0 if on_front else 0.6,
            "alpha": 1.0 if on_front else 0.75,
            "clip_on": False,  # at the end of what is possible, too
        }
        axes.plot([point.speed], [point.quality], zorder=3 if on_front else 2, **own)
    axes.set_xscale("log")
    speeds = [point.speed for point in panel.points]
    axes.set_xlim(min(speeds) / 1.6, max(speeds) * 1.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: ""))
    set_quality_limits(axes, [point.quality for point in panel.points])
    axes.set_xlabel("sequences per second (logarithmic)")
    axes.set_ylabel(panel.measure)
    axes.grid()
    if panel.title:
        axes.set_title(cut(printable(panel.title), 100))


def set_quality_limits(axes: Axes, values: Sequence[float]) -> None:
    """Room around values from 0 to 100; where all are one, there is no hill to see."""
    lowest, highest = min(values), max(values)
    room = max((highest - lowest) * 0.15, 1.0)
    axes.set_ylim(max(lowest - room, 0.0), min(highest + room, 100.0))


def _front(panel: Panel) -> list[int]:
    return pareto_front([(point.speed, point.quality) for point in panel.points])


def _legend(
    figure: Figure, axes: Axes, looks: dict[str, Any], sizes: dict[str, float]
) -> None:
    empty: Any = ([], [])
    handles = [axes.plot(*empty, **own, label=name)[0] for name, own in looks.items()]
    for name, size in sizes.items():
        own: dict[str, Any] = {"color": GREY, "linestyle": "none", "markersize": size}
        handles += axes.plot(*empty, **own, marker="o", label=name)
    dashed: dict[str, Any] = {"color": GREY, "linewidth": 1.2, "linestyle": "--"}
    handles += axes.plot(*empty, **dashed, marker="", label="Pareto front")
    figure.legend(handles=handles, loc="outside right upper")


def _label(renderer: RendererAgg, axes: Axes, panel: Panel) -> None:
    """Names the points of the front, each where it covers no point and no name."""
    taken = [
        Bbox.from_bounds(x - 5, y - 5, 10, 10)
        for x, y in axes.transData.transform(
            [(point.speed, point.quality) for point in panel.points]
        )
    ]
    inside = axes.get_window_extent(renderer)
    for place in _front(panel):
        point = panel.points[place]
        best, least, offset = None, np.inf, _PLACES[0][:2]
        for x, y, ha, va in _PLACES:
            text = axes.annotate(
                f"{point.group}, {point.kind}",
                (point.speed, point.quality),
                xytext=(x, y),
                textcoords="offset points",
                ha=ha,
                va=va,
                fontsize=8,
            )
            text.set_in_layout(False)
            box = text.get_window_extent(renderer)
            covered = sum(_overlap(box, other) for other in taken)
            covered += box.width * box.height - _overlap(box, inside)
            if covered < least:
                if best is not None:
                    best.remove()
                best, least, offset = text, covered, (x, y)
            else:
                text.remove()
        assert best is not None
        if max(map(abs, offset)) > _NEAR:  # a line says whose name it is
            axes.annotate(
                "",
                (point.speed, point.quality),
                xytext=offset,
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6},
            ).set_in_layout(False)
        taken.append(best.get_window_extent(renderer))


def _overlap(one: Bbox, other: Bbox) -> float:
    """The area that two boxes share."""
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else both.width * both.height

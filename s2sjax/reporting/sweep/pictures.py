"""The pictures of a sweep, as files in one folder."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from matplotlib import rcParams

from s2sjax.reporting.figure import FORMATS, Size, picture
from s2sjax.reporting.formats import cut, distinct, printable
from s2sjax.reporting.measure import Measure, measure
from s2sjax.reporting.sweep import curves_by_group, heatmap, trial_files
from s2sjax.reporting.sweep.curves_by_group import (
    Axis,
    Band,
    Curve,
    CurvePanel,
    draw_bands,
)
from s2sjax.reporting.sweep.findings import Effect, Findings
from s2sjax.reporting.sweep.groups import groups, values
from s2sjax.reporting.sweep.heatmap import (
    arrange,
    draw_heat_maps,
    draw_levels,
    panel_title,
    panels,
    scale_of,
)
from s2sjax.reporting.sweep.trial_files import TrialFiles


def draw_effects(
    effects: Sequence[Effect],
    measure: Measure,
    path: str | os.PathLike[str],
    title: str = "",
) -> None:
    """Draws the share of variance that each factor explains, largest at the top.

    A tick marks the share that a factor without effect has on average.

    Raises:
      RunError: the file cannot be written.
    """
    shares = [
        effect.share if math.isfinite(effect.share) else 0.0 for effect in effects
    ]
    rows = range(len(effects))
    with picture(path, Size(3.4, 0.38 * len(effects)), title=title) as (_, grid):
        axes = grid[0, 0]
        axes.barh(rows, shares, height=0.62)
        for row, effect in enumerate(effects):
            if math.isfinite(effect.chance):
                axes.vlines(
                    min(effect.chance, 1.0),
                    *(row - 0.31, row + 0.31),
                    color=rcParams["text.color"],
                    linewidth=1.2,
                    clip_on=False,
                )
        axes.set_ylim(len(effects) - 0.5, -0.5)  # the largest at the top
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        names = [cut(printable(effect.field), 40) for effect in effects]
        axes.set_yticks(rows, names)
        # What is said of a bar stands beside the panel, however long the bar is.
        beside = axes.secondary_yaxis("right")
        remarks = [_remark(effect, measure) for effect in effects]
        beside.set_yticks(rows, remarks, fontsize=8)
        beside.spines[:].set_visible(False)
        for one in (axes, beside):
            one.tick_params(axis="y", length=0)
        axes.set_xlabel(
            f"variance of {measure.label} explained by the factor alone, %  "
            f"( | : by chance), over n = {max(e.n for e in effects)} trials"
        )
        axes.grid(axis="x")


def _remark(effect: Effect, measure: Measure) -> str:
    if not math.isfinite(effect.span):
        return "fewer than two levels are done"
    span = f"{100 * effect.span:.3g}" if measure.share else f"{effect.span:.3g}"
    unit = " points" if measure.share else ""
    low, high = distinct((effect.lowest, effect.highest), 24)
    return f"{span}{unit}: {low} lowest, {high} highest"


PAGES = 6  # of one kind; the page in HTML has every panel

T = TypeVar("T")


def draw_pictures(
    findings: Findings,
    files: Sequence[TrialFiles],
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
    format: str = "png",
) -> list[Path]:
    """Draws heat maps, learning curves, lengths and sensitivity; returns the files.

    One factor has its levels side by side in place of heat maps.

    A kind of which there is nothing to see has no picture, and its older files go.

    Args:
      files: of each trial of the table.
      say: takes a line where panels are left out.
      format: one of `figure.FORMATS`.

    Raises:
      RunError: a file cannot be written.
    """
    for kind in ("heatmap", "levels", "curves", "by_length", "sensitivity"):
        for old in folder.glob(f"{kind}*.*"):
            if old.suffix.removeprefix(".") in FORMATS:
                old.unlink(missing_ok=True)
    layout = arrange(findings.by)
    title = f"{findings.table.directory.name}: {findings.measure.label}"
    written = []
    maps = panels(findings.table, layout, findings.measure.name)
    if len(findings.by) == 1 and any(group.estimate.n for group in findings.groups):
        _draw_levels(findings, folder / f"levels.{format}", title)
        written.append(folder / f"levels.{format}")
    elif findings.by and any(
        math.isfinite(c.estimate.mean) for p in maps for c in p.cells.values()
    ):
        scale = scale_of(findings.measure, maps)
        for path, some in _pages(
            maps, heatmap.PANELS, folder, ("heatmap", format), say
        ):
            draw_heat_maps(some, layout, findings.measure, path, scale, title)
            written.append(path)
    curves = curve_panels(findings, files)
    logged = measure(findings.measure.quantity)
    title_ = f"{findings.table.directory.name}: {logged.label}"
    if any(panel.bands for panel in curves):
        for path, page in _pages(
            curves, curves_by_group.PANELS, folder, ("curves", format), say
        ):
            draw_bands(page, layout.across, logged, path, title_)
            written.append(path)
    tests = [each.by_length for each in files]
    if trial_files.tell(tests):
        mark = trial_files.trained(tests)
        beside = "" if mark is None else f" (to {mark} in training)"
        axis = Axis(f"symbols{beside}", "test", "score interval at 95 %", mark)
        title_ = f"{findings.table.directory.name}: exact match by length"
        lengths = length_panels(findings, files)
        for path, page in _pages(
            lengths, curves_by_group.PANELS, folder, ("by_length", format), say
        ):
            draw_bands(page, layout.across, measure("exact"), path, title_, axis)
            written.append(path)
    if any(math.isfinite(effect.span) for effect in findings.effects):
        written.append(folder / f"sensitivity.{format}")
        draw_effects(findings.effects, findings.measure, written[-1], title)
    return written


def _draw_levels(findings: Findings, path: Path, title: str) -> None:
    (factor,) = findings.by
    metric = findings.measure.name
    draw_levels(
        factor,
        [group.estimate for group in findings.groups],
        [values(findings.table, group.trials, metric) for group in findings.groups],
        findings.measure,
        path,
        title,
    )


def curve_panels(findings: Findings, files: Sequence[TrialFiles]) -> list[CurvePanel]:
    """Bands over the steps, on validation examples; see `_panels`."""

    def curve(place: int) -> Curve:
        over = findings.table.trials[place].status == "done"
        return Curve(*files[place].curve(findings.measure.quantity), over)

    return _panels(
        findings, lambda places: curves_by_group.band([curve(p) for p in places])
    )


def length_panels(findings: Findings, files: Sequence[TrialFiles]) -> list[CurvePanel]:
    """Means over the lengths of the test, with their intervals; see `_panels`."""

    def band(places: Sequence[int]) -> Band:
        tests = [files[place].by_length for place in places]
        rows = trial_files.joined(tests)
        columns = np.array(
            [(row.length, *row.estimate[:3], row.examples) for row in rows], float
        )
        lengths, mean, low, high, examples = columns.reshape(-1, 5).T
        known = examples if examples.all() else None
        tested = sum(len(test.lengths) > 0 for test in tests)
        return Band(lengths, mean, low, high, tested, known)

    return _panels(findings, band)


def _panels(
    findings: Findings, band: Callable[[Sequence[int]], Band]
) -> list[CurvePanel]:
    """Bands by level of the factor across, a panel per combination of the others.

    `band` is that of some trials, by their places in the table.
    """
    across, down, rest = arrange(findings.by)
    others = [*rest, *([down] if down is not None else [])]
    by = [*others, *([across] if across is not None else [])]
    joined: dict[tuple[int, ...], CurvePanel] = {}
    for group in groups(findings.table, by, findings.measure.name):
        key = group.levels[: len(others)]
        panel = joined.setdefault(key, CurvePanel(panel_title(others, key), {}))
        joint = band(group.trials)
        if len(joint.steps):
            panel.bands[group.levels[-1] if across is not None else 0] = joint
    return list(joined.values())


def _pages(
    items: Sequence[T],
    size: int,
    folder: Path,
    name: tuple[str, str],
    say: Callable[[str], None],
) -> Iterator[tuple[Path, Sequence[T]]]:
    """`kind.png`, `kind-2.png` and so on, with up to `size` items each.

    `name` is the kind and the format.
    """
    kind, format = name
    for page in range(min(math.ceil(len(items) / size), PAGES)):
        file = f"{kind}.{format}" if page == 0 else f"{kind}-{page + 1}.{format}"
        yield folder / file, items[page * size : (page + 1) * size]
    left = len(items) - PAGES * size
    if left > 0:
        say(f"{kind}: {left:,} panels are not drawn; index.html has them")

"""The pictures of a sweep, as PNG files in one folder."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from s2sjax.reporting import bands, by_length, heatmap
from s2sjax.reporting.arrangement import arrange, panel_title, panels
from s2sjax.reporting.bands import Axis, Curve, CurvePanel, draw_bands
from s2sjax.reporting.effect_bars import draw_effects
from s2sjax.reporting.findings import Findings
from s2sjax.reporting.groups import groups
from s2sjax.reporting.heatmap import draw_heat_maps, scale_of
from s2sjax.reporting.measure import measure
from s2sjax.reporting.trial_files import TrialFiles

PAGES = 6  # of one kind; the page in HTML has every panel

T = TypeVar("T")


def draw_pictures(
    found: Findings,
    files: Sequence[TrialFiles],
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Draws heat maps, learning curves, lengths and sensitivity; returns the files.

    A kind of which there is nothing to see has no picture, and its older files go.

    Args:
      files: of each trial of the table.
      say: takes a line where panels are left out.

    Raises:
      RunError: a file cannot be written.
    """
    for kind in ("heatmap", "curves", "by_length", "sensitivity"):
        for old in folder.glob(f"{kind}*.png"):
            old.unlink(missing_ok=True)
    arrangement = arrange(found.by)
    title = f"{found.table.directory.name}: {found.measure.label}"
    written = []
    maps = panels(found.table, arrangement, found.measure.name)
    if found.by and any(
        math.isfinite(c.estimate.mean) for p in maps for c in p.cells.values()
    ):
        scale = scale_of(found.measure, maps)
        for path, some in _pages(maps, heatmap.PANELS, folder, "heatmap", say):
            draw_heat_maps(some, arrangement, found.measure, path, scale, title)
            written.append(path)
    curves = curve_panels(found, files)
    if any(panel.bands for panel in curves):
        for path, page in _pages(curves, bands.PANELS, folder, "curves", say):
            draw_bands(page, arrangement.across, found.measure, path, title)
            written.append(path)
    tests = [each.by_length for each in files]
    if by_length.tell(tests):
        mark = by_length.trained(tests)
        beside = "" if mark is None else f" (to {mark} in training)"
        axis = Axis(f"symbols{beside}", "test", mark)
        title_ = f"{found.table.directory.name}: exact match by length"
        lengths = length_panels(found, files)
        for path, page in _pages(lengths, bands.PANELS, folder, "by_length", say):
            draw_bands(page, arrangement.across, measure("exact"), path, title_, axis)
            written.append(path)
    if any(math.isfinite(effect.span) for effect in found.effects):
        draw_effects(found.effects, found.measure, folder / "sensitivity.png", title)
        written.append(folder / "sensitivity.png")
    return written


def curve_panels(found: Findings, files: Sequence[TrialFiles]) -> list[CurvePanel]:
    """Bands over the steps; see `_panels`."""

    def curve(place: int) -> Curve:
        over = found.table.trials[place].status == "done"
        return Curve(*files[place].curve(found.measure.name), over)

    return _panels(found, curve)


def length_panels(found: Findings, files: Sequence[TrialFiles]) -> list[CurvePanel]:
    """Bands over the lengths of the test; see `_panels`."""

    def curve(place: int) -> Curve:
        test = files[place].by_length
        return Curve(test.lengths, test.exact, over=False)

    return _panels(found, curve)


def _panels(found: Findings, curve: Callable[[int], Curve]) -> list[CurvePanel]:
    """Bands by level of the factor across, a panel per combination of the others.

    `curve` is that of a trial, by its place in the table.
    """
    across, down, rest = arrange(found.by)
    others = [*rest, *([down] if down is not None else [])]
    by = [*others, *([across] if across is not None else [])]
    joined: dict[tuple[int, ...], CurvePanel] = {}
    for group in groups(found.table, by, found.measure.name):
        key = group.levels[: len(others)]
        panel = joined.setdefault(key, CurvePanel(panel_title(others, key), {}))
        joint = bands.band([curve(place) for place in group.trials])
        if len(joint.steps):
            panel.bands[group.levels[-1] if across is not None else 0] = joint
    return list(joined.values())


def _pages(
    items: Sequence[T],
    size: int,
    folder: Path,
    kind: str,
    say: Callable[[str], None],
) -> Iterator[tuple[Path, Sequence[T]]]:
    """`kind.png`, `kind-2.png` and so on, with up to `size` items each."""
    for page in range(min(math.ceil(len(items) / size), PAGES)):
        name = f"{kind}.png" if page == 0 else f"{kind}-{page + 1}.png"
        yield folder / name, items[page * size : (page + 1) * size]
    left = len(items) - PAGES * size
    if left > 0:
        say(f"{kind}: {left:,} panels are not drawn; index.html has them")

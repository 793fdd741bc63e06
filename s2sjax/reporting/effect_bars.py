"""The sensitivity of a metric to each factor, as bars."""

import math
import os
from collections.abc import Sequence

from matplotlib import rcParams
from matplotlib.figure import Figure

from s2sjax.reporting.figure import save, style
from s2sjax.reporting.formats import cut, distinct, printable
from s2sjax.reporting.layout import Size, fit
from s2sjax.reporting.measure import Measure
from s2sjax.reporting.sensitivity import Effect


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
    with style():
        figure = Figure(layout="constrained")
        grid = figure.subplots(squeeze=False)
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
        axes.set_yticks(rows, names, parse_math=False)
        # What is said of a bar stands beside the panel, however long the bar is.
        beside = axes.secondary_yaxis("right")
        remarks = [_remark(effect, measure) for effect in effects]
        beside.set_yticks(rows, remarks, fontsize=8, parse_math=False)
        beside.spines[:].set_visible(False)
        for one in (axes, beside):
            one.tick_params(axis="y", length=0)
        axes.set_xlabel(
            f"variance of {measure.label} explained by the factor alone, %  "
            f"( | : by chance), over n = {max(e.n for e in effects)} trials"
        )
        axes.grid(axis="x")
        if title:
            figure.suptitle(cut(printable(title), 80), parse_math=False)
        fit(figure, grid, Size(3.4, 0.38 * len(effects)))
        save(figure, path)


def _remark(effect: Effect, measure: Measure) -> str:
    if not math.isfinite(effect.span):
        return "fewer than two levels are done"
    span = f"{100 * effect.span:.3g}" if measure.share else f"{effect.span:.3g}"
    unit = " points" if measure.share else ""
    low, high = distinct((effect.lowest, effect.highest), 24)
    return f"{span}{unit}: {low} lowest, {high} highest"

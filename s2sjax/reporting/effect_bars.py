"""The sensitivity of a metric to each factor, as bars."""

import math
import os
from collections.abc import Sequence

from matplotlib.figure import Figure

from s2sjax.reporting.figure import BLUE, DARK, GREY, save, style
from s2sjax.reporting.formats import cut, printable
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
    with style():
        figure = Figure(figsize=(7.2, 0.9 + 0.42 * len(effects)), layout="constrained")
        axes = figure.subplots()
        for row, effect in enumerate(effects):
            known = math.isfinite(effect.share)
            axes.barh(row, effect.share if known else 0.0, height=0.62, color=BLUE)
            if math.isfinite(effect.chance):
                ends = [row - 0.31, row + 0.31]
                axes.plot([effect.chance] * 2, ends, color=DARK, linewidth=1.2)
            axes.annotate(
                _remark(effect, measure),
                (
                    max(effect.share if known else 0.0, effect.chance if known else 0),
                    row,
                ),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.0,
                color=DARK if known else GREY,
                parse_math=False,
            )
        names = [cut(printable(effect.field), 32) for effect in effects]
        axes.set_yticks(range(len(names)), names, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.9)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        axes.set_xlabel(
            f"variance of {measure.label} explained by the factor alone, %   "
            "( | : by chance)"
        )
        axes.spines["bottom"].set_bounds(0, 1)
        axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
        if title:
            axes.set_title(cut(printable(title), 80), fontsize=10.5, parse_math=False)
        save(figure, path)


def _remark(effect: Effect, measure: Measure) -> str:
    if not math.isfinite(effect.span):
        return "fewer than two levels are done"
    span = f"{100 * effect.span:.3g}" if measure.share else f"{effect.span:.3g}"
    unit = " points" if measure.share else ""
    low, high = (cut(printable(end), 18) for end in (effect.lowest, effect.highest))
    return f"{span}{unit}: {low} lowest, {high} highest"

"""The learning curves of a run, from its journal."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from s2sjax.reporting.figure import GREY, Size, logarithmic, look, picture
from s2sjax.reporting.formats import percent
from s2sjax.runs import journal
from s2sjax.runs.run_files import METRICS

Entries = Sequence[Mapping[str, Any]]


def draw_run(
    directory: Path, best_step: int | None, format: str = "png"
) -> Path | None:
    """Draws the curves of a run into its directory; None where nothing is logged.

    Args:
      best_step: that of the best checkpoint; None: of the best logged exact match.
      format: one of `figure.FORMATS`.

    Raises:
      RunError: the journal cannot be read, or the file not be written.
    """
    entries = journal.read(directory / METRICS)
    if not entries:
        return None
    path = directory / f"curves.{format}"
    draw_curves(entries, path, directory.resolve().name, best_step)
    return path


def draw_curves(
    entries: Entries,
    path: str | os.PathLike[str],
    title: str,
    best_step: int | None = None,
) -> None:
    """Draws loss and accuracies over the steps of a run.

    Left, in nats per token: the training loss, and the teacher-forced negative
    log-likelihood of the validation examples. Right, all of the validation examples:
    exact match and token accuracy free-running, and token accuracy teacher-forced.
    What is null or not finite leaves a gap.

    Args:
      entries: lines of a journal, of kind "train" and "valid"; others are left out.
      best_step: which step is marked; if None, the first with the
        highest exact match, where there is one.

    Raises:
      RunError: the file cannot be written.
    """
    train = [entry for entry in entries if entry.get("kind") == "train"]
    valid = [entry for entry in entries if entry.get("kind") == "valid"]
    if best_step is None:
        best_step = _highest(valid)
    size, ratios = Size(8.6, 2.5), (1.0, 1.3)
    with picture(path, size, 1, 2, title=title, width_ratios=ratios) as (_, grid):
        loss, accuracy = grid[0]
        _draw_loss(loss, train, valid)
        _draw_accuracy(accuracy, valid)
        for axes in (loss, accuracy):
            _finish(axes, entries)
            if best_step is not None:
                axes.axvline(
                    best_step, color=GREY, linewidth=0.9, linestyle=(0, (1, 2))
                )
        _mark_best(accuracy, valid, best_step)


def _column(entries: Entries, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values, NaN where there is none."""
    values = [entry.get(name) for entry in entries]
    numbers = [v if isinstance(v, int | float) else math.nan for v in values]
    column = np.array(numbers, float)
    column[~np.isfinite(column)] = math.nan
    return np.array([entry["step"] for entry in entries], float), column


def _highest(valid: Entries) -> int | None:
    steps, exact = _column(valid, "exact")
    if not np.nansum(exact):
        return None
    return int(steps[np.nanargmax(exact)])


def _line(axes: Axes, entries: Entries, name: str, label: str, **look: Any) -> None:
    steps, values = _column(entries, name)
    # A few points are evaluations that one wants to see; many are a curve. A point
    # between two gaps is on no line, and is seen by its marker only.
    alone = np.isnan(np.concatenate([[math.nan], values, [math.nan]]))
    alone = alone[:-2] & alone[2:]
    marked = np.flatnonzero(~np.isnan(values) & (alone | (len(values) <= 30)))
    if np.isnan(values).all():
        return
    axes.plot(
        steps,
        values,
        label=label,
        markevery=marked.tolist(),
        markersize=3.0,
        solid_joinstyle="round",
        **look,
    )


def _draw_loss(axes: Axes, train: Entries, valid: Entries) -> None:
    _line(axes, train, "loss", "training loss", **look(0), linewidth=1.1)
    _line(axes, valid, "nll", "validation nll", **look(1), linewidth=1.6)
    axes.set_ylabel("nats per token")
    values = np.concatenate([_column(train, "loss")[1], _column(valid, "nll")[1]])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() / values.min() > 20:
        logarithmic(axes)
    elif len(values):
        axes.set_ylim(bottom=min(0.0, values.min()))


def _draw_accuracy(axes: Axes, valid: Entries) -> None:
    # The broad line comes first, so that three curves in one place are all seen.
    for name, label, place, own in (
        ("exact", "exact, free-running", 2, {"linestyle": "-", "linewidth": 3.2}),
        ("token_accuracy", "tokens, free-running", 0, {"linewidth": 1.4}),
        ("forced_token_accuracy", "tokens, teacher-forced", 3, {"linewidth": 1.6}),
    ):
        _line(axes, valid, name, label, **(look(place) | own))
    axes.set_ylabel("validation accuracy")
    axes.set_ylim(-0.02, 1.04)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")


def _mark_best(axes: Axes, valid: Entries, best_step: int | None) -> None:
    steps, exact = _column(valid, "exact")
    here = np.flatnonzero((steps == best_step) & ~np.isnan(exact))
    if not len(here):
        return
    x, y = steps[here[0]], exact[here[0]]
    star: dict[str, Any] = {"color": look(2)["color"], "markeredgecolor": "white"}
    axes.plot([x], [y], "*", markersize=11, zorder=4, clip_on=False, **star)
    # Beside the dotted line, on the side and at the end where the curves are not.
    beyond = x > sum(axes.get_xlim()) / 2
    axes.annotate(
        f"best checkpoint\nstep {x:,.0f}: {percent(y)} exact",
        (x, 0.03 if y > 0.3 else 0.97),
        xytext=(-5 if beyond else 5, 0),
        textcoords="offset points",
        ha="right" if beyond else "left",
        va="bottom" if y > 0.3 else "top",
        fontsize=8.5,
    )


def _finish(axes: Axes, entries: Entries) -> None:
    axes.set_xlabel("step")
    last = max((entry["step"] for entry in entries), default=0)
    axes.set_xlim(0, max(last, 1) * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=3,
            borderaxespad=0.2,
            handlelength=1.7,
            handletextpad=0.5,
            columnspacing=0.9,
        )
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing logged", transform=axes.transAxes, ha="center")

"""From a file of columns to windows, and what a user should know of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s2sjax.config import TaskConfig
from s2sjax.errors import UsageError
from s2sjax.tasks.series import baselines, columns, table, windows
from s2sjax.tasks.series.columns import Columns
from s2sjax.tasks.series.kept import ORIGINS, TRAIN, Read, bucket
from s2sjax.tasks.series.numbers import Numbers, Origins, are_counts
from s2sjax.tasks.series.panel import Panel, cuts, panel
from s2sjax.tasks.series.roles import roles
from s2sjax.tasks.series.windows import Store, Windows
from s2sjax.tasks.task import SPLITS


def read(path: Path, task: TaskConfig) -> Read:
    """What a file of columns holds.

    Raises:
      UsageError: as FILE:LINE where a line is the reason.
    """
    own = roles(task)
    found = table.read(path, own.every)
    rows = panel(found, own)
    _check_long_enough(rows, task, path.name)
    bounds = cuts(rows, task)
    picked, left_out = _windows(rows, bounds, task, path)
    training = np.zeros(len(rows.times), bool)
    for first, end in bounds[:, :2].tolist():
        training[first:end] = True
    try:
        scaled = columns.fit(rows, training, task.scaling)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    seasonal = np.stack(
        [
            baselines.mean_step(rows.numbers[a:b, : len(own.targets)], task.season)
            for a, b in bounds[:, :2].tolist()
        ]
    )
    ends = np.cumsum([len(picked[split][0]) for split in SPLITS])
    parts = {
        split: _part(rows, scaled, seasonal, picked[split], task, int(end))
        for split, end in zip(SPLITS, ends, strict=True)
    }
    notes = [*_notes(rows, found.header, scaled, training), *left_out]
    fetch = Windows.of(scaled, task.context, task.horizon)
    fitted = baselines.fit(bucket(fetch, parts[TRAIN]))
    targets = rows.numbers[:, : len(own.targets)]
    source = Numbers(
        scaled.read,
        task.context,
        own=len(own.targets),
        shift=tuple(shift for shift, _ in scaled.scales),
        scale=tuple(scale for _, scale in scaled.scales),
        least=tuple(fitted.least.tolist()),
        most=tuple(fitted.most.tolist()),
    )
    target = Numbers(
        own.targets,
        task.horizon,
        known=scaled.known,
        season=task.season,
        scaling=task.scaling,
        gaps=bool(np.isnan(targets).any()),
        counts=are_counts(targets),
    )
    return Read(source, target, scaled, fetch, parts, fitted, notes)


def _check_long_enough(rows: Panel, task: TaskConfig, file: str) -> None:
    lengths = np.diff(rows.bounds)
    shortest = int(np.argmin(lengths))
    least = task.context + task.horizon
    if lengths[shortest] < least:
        who = f"series {rows.names[shortest]}" if rows.roles.id else "its series"
        raise UsageError(
            f"{file}: {who} has {lengths[shortest]} rows, fewer than "
            f"task.context={task.context} + task.horizon={task.horizon}"
        )


Picked = tuple[np.ndarray, np.ndarray]
"""Of the windows of a split the rows with which they begin, and their series."""


def _windows(
    rows: Panel, bounds: np.ndarray, task: TaskConfig, path: Path
) -> tuple[dict[str, Picked], list[str]]:
    """The windows of each split that have a target, and what to say of the others."""
    s, t = task.context, task.horizon
    there = ~np.isnan(rows.numbers[:, : len(rows.roles.targets)]).all(axis=1)
    before = np.concatenate([[0], np.cumsum(there)])
    found, notes = {}, []
    for number, split in enumerate(SPLITS):
        starts, series = windows.starts(bounds, number, s, t, task.stride)
        has_target = before[starts + s + t] > before[starts + s]
        without = int((~has_target).sum())
        if without:
            notes.append(
                f"{without:,} windows of {split} are left out: no target is there"
            )
        found[split] = starts[has_target], series[has_target]
        if not has_target.any():
            raise UsageError(_empty(task, split, path))
    return found, notes


def _empty(task: TaskConfig, split: str, path: Path) -> str:
    fields = {
        "train": f"task.valid_from={task.valid_from}",
        "valid": f"task.valid_from={task.valid_from} and task.test_from="
        f"{task.test_from}",
        "test": f"task.test_from={task.test_from}",
    }
    return (
        f"{path}: {fields[split]} leave{'s' * (split != 'valid')} no window with a "
        f"target to {split}; a window forecasts {task.horizon} steps inside its part, "
        f"after {task.context} that are read"
    )


def _part(
    rows: Panel,
    scaled: Columns,
    seasonal: np.ndarray,
    picked: Picked,
    task: TaskConfig,
    end: int,
) -> dict[str, np.ndarray]:
    """The arrays of a split, whose windows are numbered up to `end`."""
    (starts, series), s, t = picked, task.context, task.horizon
    # Of each series only what some window of the split reads is kept.
    used = np.zeros(len(rows.times) + 1, np.int64)
    np.add.at(used, starts, 1)
    np.add.at(used, starts + s + t, -1)
    is_used = np.cumsum(used)[:-1] > 0
    place = np.cumsum(is_used) - 1
    shift, scale = np.array(
        [(column.shift, column.scale) for column in scaled.targets], np.float32
    ).T
    arrays = (
        scaled.scaled(rows)[is_used],
        scaled.static_of(rows),
        shift,
        scale,
        place[starts].astype(np.int32),
        series.astype(np.int32),
        np.arange(end - len(starts), end, dtype=np.int32),
    )
    store = dict(zip(Store._fields, arrays, strict=True))
    names = np.array(rows.names, str)
    origins = Origins(names[series], rows.times[starts + s], seasonal[series])
    kept = dict(zip(ORIGINS, origins, strict=True))
    return store | kept


def _notes(
    rows: Panel, header: Sequence[str], scaled: Columns, training: np.ndarray
) -> list[str]:
    """What a person should know of a file, a line each."""
    own, notes = rows.roles, []
    unused = [name for name in header if name not in own.every]
    if unused:
        notes.append(
            f"{'columns' if unused[1:] else 'column'} {', '.join(unused)} "
            f"{'are' if unused[1:] else 'is'} not used"
        )
    inside = np.ones(len(rows.times), bool)
    inside[rows.bounds[:-1]] = False
    steps = np.diff(rows.times)[inside[1:]]
    if own.time and len(steps):
        usual = np.median(steps.astype(np.float64))
        longer = int((steps.astype(np.float64) > 1.5 * usual).sum())
        if longer and usual > 0 and longer < len(steps) / 10:
            notes.append(
                f"{longer:,} steps of column {own.time} are longer than the usual one: "
                f"rows that are not there are not steps; write them with empty cells"
            )
    for name, category, count in scaled.unknown(rows):
        notes.append(
            f"column {name}: {category!r} is not in the training part, and is read as "
            f"unknown in {count} series"
        )
    missing = np.isnan(rows.numbers)
    for place, column in enumerate(scaled.numbers):
        count = int(missing[~training, place].sum())
        if count and not column.masked:
            notes.append(
                f"column {column.name} is never missing in training and {count:,} "
                f"times after it: it is read as "
                f"{'its mean' if column.scale != 1 or column.shift else '0'} there"
            )
        values = rows.numbers[training, place]
        values = values[~np.isnan(values)]
        is_target = place < len(scaled.targets)
        if not is_target and len(values) and values.min() == values.max():
            notes.append(
                f"column {column.name} is {values[0]:g} all through training: it says "
                f"nothing"
            )
    return notes

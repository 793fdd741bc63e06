"""What comes after the end of the series of a file, to be forecast by a trained run."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from s2sjax.config import TaskConfig
from s2sjax.errors import UsageError
from s2sjax.tasks.series import kept, table, windows
from s2sjax.tasks.series.numbers import Origins
from s2sjax.tasks.series.panel import Panel, panel
from s2sjax.tasks.series.roles import Roles, roles
from s2sjax.tasks.series.windows import Store, Windows
from s2sjax.tasks.task import Bucket


class Ahead(NamedTuple):
    """The ends of the series of a file: one window each, without targets."""

    bucket: Bucket  # of N series
    times: np.ndarray  # [N, T] of the steps that are forecast
    columns: tuple[str, ...]  # what a file calls series, time and targets: I, T, G
    notes: tuple[str, ...]


def ahead(
    task: TaskConfig, directory: Path, path: Path, horizon: int | None = None
) -> Ahead:
    """The last context of each series of a file, and what is known of what follows.

    A series ends with the last row that has a target; rows after it say what is known
    ahead. Columns, scales and categories are those of the run.

    Args:
      task: of the run.
      directory: what it keeps of its data.
      path: of the file.
      horizon: steps to forecast; None: as many as in training.

    Raises:
      UsageError: a file that cannot be read, a series shorter than the context, or
        that does not say what is known ahead.
    """
    read = kept.from_files(directory, training=False)
    if not isinstance(read.fetch, Windows):
        raise UsageError(
            f"{path}: this run was trained on examples, not on columns; it has no end "
            f"to go on from"
        )
    own = roles(task)
    table.check(path)
    rows = panel(table.read(path, own.every), own)
    fetch = dataclasses.replace(read.fetch, horizon=horizon or read.fetch.horizon)
    ends = _ends(rows, len(own.targets))
    span = np.arange(-fetch.context, fetch.horizon)
    for number, name in enumerate(rows.names):
        _check(path, name, rows, number, ends[number], fetch)
    picked = ends[:, None] + span
    beyond = picked >= rows.bounds[1:, None]
    numbers = rows.numbers[np.minimum(picked, len(rows.times) - 1)]
    numbers = np.where(beyond[..., None], np.nan, numbers)
    flat = rows._replace(numbers=numbers.reshape(-1, numbers.shape[-1]))
    count = len(rows.names)
    scaled = read.columns
    shift, scale = np.array([(c.shift, c.scale) for c in scaled.targets], np.float32).T
    store = Store(
        *map(
            jnp.asarray,
            (
                scaled.scaled(flat),
                scaled.static_of(rows),
                shift,
                scale,
                np.arange(count, dtype=np.int32) * len(span),
                np.arange(count, dtype=np.int32),
                np.arange(count, dtype=np.int32),
            ),
        )
    )
    times = _times(rows, ends, fetch.horizon)
    unknown = np.full((count, len(own.targets)), np.nan)
    bucket = Bucket(
        count,
        fetch.context,
        fetch.horizon,
        store,
        fetch,
        references=Origins(np.array(rows.names, str), times[:, 0], unknown),
        take=windows.taken,
    )
    return Ahead(bucket, times, _names(own), tuple(_notes(read, rows)))


def _names(own: Roles) -> tuple[str, ...]:
    return (own.id or "series", own.time or "step", *own.targets)


def _ends(rows: Panel, targets: int) -> np.ndarray:
    """Of each series the row after the last one with a target, [I]."""
    there = ~np.isnan(rows.numbers[:, :targets]).all(axis=1)
    last = np.where(there, np.arange(len(there)) + 1, 0)
    found = [
        max(int(last[a:b].max()), a)
        for a, b in zip(rows.bounds, rows.bounds[1:], strict=False)
    ]
    return np.array(found, np.int64)


def _check(
    path: Path, name: str, rows: Panel, number: int, end: int, fetch: Windows
) -> None:
    first, last = rows.bounds[number : number + 2]
    who = f"{path}: series {name}" if name else f"{path}: its series"
    if end - first < fetch.context:
        raise UsageError(
            f"{who} has {end - first} rows up to its last target; this run reads "
            f"{fetch.context}"
        )
    if rows.roles.future and last - end < fetch.horizon:
        raise UsageError(
            f"{who} has {last - end} rows after its last target; what is known ahead "
            f"({', '.join(rows.roles.future)}) is there for each of the "
            f"{fetch.horizon} steps that are forecast"
        )


def _times(rows: Panel, ends: np.ndarray, horizon: int) -> np.ndarray:
    """The times of the steps that are forecast; where no row has one, the usual step.

    Shapes: ends [I] -> [I, T].
    """
    found = []
    for first, last, end in zip(rows.bounds, rows.bounds[1:], ends, strict=False):
        own = rows.times[end : min(last, end + horizon)]
        before: Any = rows.times[first:last]
        usual = (
            np.sort(np.diff(before))[(len(before) - 1) // 2] if last - first > 1 else 1
        )
        more = before[-1] + usual * np.arange(1, horizon + 1 - len(own))
        found.append(np.concatenate([own, more]))
    return np.stack(found)


def _notes(read: kept.Read, rows: Panel) -> list[str]:
    """What is unlike training."""
    return [
        f"column {name}: {category!r} is not in training, and is read as unknown in "
        f"{count} series"
        for name, category, count in read.columns.unknown(rows)
    ]

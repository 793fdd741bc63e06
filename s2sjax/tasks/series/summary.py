"""What is in the windows of a task of numbers, before anything is trained."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from s2sjax.tasks.series.baselines import batches_of
from s2sjax.tasks.series.numbers import THERE, Numbers
from s2sjax.tasks.task import Task

MOST = 2000  # windows of a split that are looked at, spread evenly over all


def split(task: Task, name: str) -> dict[str, Any]:
    """How many windows a split has, of how many series, and when they begin."""
    (bucket,) = task.buckets[name]
    lengths = [
        np.asarray(each)
        for batch in batches_of(bucket, MOST)
        for each in (batch.source_lengths, batch.target_lengths)
    ]
    found: dict[str, Any] = {
        "windows": MOST if bucket.size is None else bucket.size,
        "drawn": bucket.drawn,
        "series": bucket.size or MOST,
        "read": _span(np.concatenate(lengths[::2])),
        "forecast": _span(np.concatenate(lengths[1::2])),
    }
    origins = bucket.references
    if origins is not None:
        found["series"] = len(np.unique(origins.series))
        times = sorted((origins.times.min(), origins.times.max()))
        found["from"], found["to"] = map(_time, times)
    return found


def numbers(task: Task) -> list[dict[str, Any]]:
    """Of each column, by split, its least, mean and most, and how much is missing.

    All of true size, as windows have them: what stands in several windows counts as
    often.
    """
    seen: dict[str, dict[str, list[np.ndarray]]] = {}
    roles: dict[str, str] = {}
    for name, (bucket,) in task.buckets.items():
        for batch in batches_of(bucket, MOST):
            for column, role, values in _columns(task, batch):
                roles[column] = role
                seen.setdefault(column, {}).setdefault(name, []).append(values)
    return [
        {
            "name": column,
            "role": roles[column],
            "splits": {
                name: _described(np.concatenate(parts)) for name, parts in own.items()
            },
        }
        for column, own in seen.items()
    ]


def _columns(task: Task, batch: Any) -> Iterator[tuple[str, str, np.ndarray]]:
    """The columns of a batch: name, what it is, and the numbers, NaN where missing."""
    sides: Any = task.source_vocabulary, task.target_vocabulary
    source: Numbers = sides[0]
    target: Numbers = sides[1]
    shift, scale = (each[:, None].astype(np.float64) for each in batch.given[2:])
    true = shift + scale * batch.target
    within = np.arange(true.shape[1]) < batch.target_lengths[:, None]
    for place, name in enumerate(target.names):
        yield name, "forecast", true[..., place][within]
    within = np.arange(batch.source.shape[1]) < batch.source_lengths[:, None]
    shifts = source.shift or (0.0,) * len(source)
    scales = source.scale or (1.0,) * len(source)
    for place, name in enumerate(source.names):
        if place < source.own or name.endswith(THERE):
            continue
        values = shifts[place] + scales[place] * batch.source[..., place].astype(float)
        if name + THERE in source.names:
            there = batch.source[..., source.names.index(name + THERE)] > 0
            values = np.where(there, values, np.nan)
        role = "known ahead" if name in target.known else "read"
        yield name, role, values[within]


def _described(values: np.ndarray) -> dict[str, float]:
    there = values[~np.isnan(values)]
    some: Any = there if len(there) else np.zeros(1)
    return {
        "least": float(some.min()),
        "mean": float(some.mean()),
        "most": float(some.max()),
        "missing": 1 - len(there) / max(len(values), 1),
    }


def _span(lengths: np.ndarray) -> list[int]:
    return [int(lengths.min()), int(lengths.max())]


def _time(moment: Any) -> str:
    """A time as people write it: a date alone where it is midnight."""
    if isinstance(moment, np.datetime64):
        return str(moment.astype("datetime64[s]")).removesuffix("T00:00:00")
    return f"{moment:g}"

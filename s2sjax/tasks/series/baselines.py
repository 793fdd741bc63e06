"""Forecasts without a model: the last number, the last season, a mean, a regression."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from s2sjax.tasks.series.numbers import THERE, Numbers
from s2sjax.tasks.task import Bucket
from s2sjax.types import Batch

CHUNK = 256  # windows fetched at a time
MOST = 20_000  # training windows that a regression sees, spread evenly over all
INPUTS = 800  # of a regression, at the most: of a long context the last steps
PENALTY = 1.0


class Fitted(NamedTuple):
    """What is known of training: all of it as numbers enter."""

    mean: np.ndarray  # [G] of the targets
    weights: np.ndarray  # [inputs + 1, T * G] of the regression, a constant last
    steps: np.ndarray  # [] of the context that it reads
    least: np.ndarray  # [F] the least of each input
    most: np.ndarray  # [F]


def fit(bucket: Bucket, most: int = MOST) -> Fitted:
    """Fits the mean and the regression to some windows of a training bucket."""
    inputs, targets, least, most_read, steps = [], [], [], [], 0
    for batch in batches_of(bucket, most):
        steps = steps or _steps(batch)
        inputs.append(_inputs(batch, steps))
        targets.append(batch.target.astype(np.float64))
        read = np.arange(batch.source.shape[1]) < batch.source_lengths[:, None]
        rows = batch.source[read]
        least.append(rows.min(0, initial=np.inf))
        most_read.append(rows.max(0, initial=-np.inf))
    target = np.concatenate(targets)
    there = ~np.isnan(target)
    count = np.maximum(there.sum((0, 1)), 1)
    return Fitted(
        np.where(there, target, 0).sum((0, 1)) / count,
        _ridge(np.concatenate(inputs), target.reshape(len(target), -1)),
        np.array(steps),
        np.min(least, axis=0),
        np.max(most_read, axis=0),
    )


def forecasts(
    fitted: Fitted, batch: Batch, source: Numbers, target: Numbers
) -> dict[str, np.ndarray]:
    """What is forecast of a batch without a model, by name, [B, T, G] of true size.

        last      y(t + h) = y(t), the last number that is there
        seasonal  y(t + h) = y(t + h - m k), the last one that is read, m = the season
        mean      of the numbers that are read; of training where targets' past is not
        ridge     a linear regression from all that is read and known to all steps,
                  with a penalty of 1 on the weights of what enters

    Where a source has not the targets' own past there is nothing to repeat.
    """
    batch = _on_host(batch)
    shape = batch.target.shape
    shift, scale = (each[:, None].astype(np.float64) for each in batch.given[2:])
    found = {"mean": np.broadcast_to(fitted.mean, shape)}
    if source.own:
        own = _own(batch, source)
        with np.errstate(invalid="ignore"):
            there = ~np.isnan(own)
            mean = np.where(there, own, 0).sum(1) / np.maximum(there.sum(1), 1)
        first = batch.given.first[:, None]
        found = {
            "last": np.broadcast_to(first, shape),
            "seasonal": _seasonal(own, batch, target.season),
            "mean": np.broadcast_to(mean[:, None], shape),
        }
    flat = _inputs(batch, int(fitted.steps)) @ fitted.weights
    found["ridge"] = flat.reshape(shape)
    return {name: shift + scale * values for name, values in found.items()}


def mean_step(values: np.ndarray, season: int) -> np.ndarray:
    """The mean of |y(t) - y(t - season)| where both are there, else NaN.

    Shapes: values [L, G] -> [G].

    >>> mean_step(np.array([[1.0], [2.0], [5.0], [np.nan]]), 1).tolist()
    [2.0]
    """
    changes = np.abs(values[season:] - values[:-season])
    there = ~np.isnan(changes)
    total = np.where(there, changes, 0).sum(0)
    count = there.sum(0)
    return np.where((count > 0) & (total > 0), total / np.maximum(count, 1), np.nan)


def errors(
    split: Bucket, of_batch: Callable[[Batch], Mapping[str, np.ndarray]], most: int
) -> dict[str, dict[str, float]]:
    """Mean absolute and root mean squared errors of forecasts on a split.

    Args:
      split: its bucket.
      of_batch: the forecasts of a batch, by name; see `forecasts`.
      most: how many windows are looked at, spread evenly over all.
    """
    names: dict[str, list[np.ndarray]] = {}
    for batch in batches_of(split, most):
        shift, scale = (each[:, None].astype(np.float64) for each in batch.given[2:])
        wanted = shift + scale * batch.target
        for name, found in of_batch(batch).items():
            wrong = found - wanted
            names.setdefault(name, []).append(wrong[~np.isnan(wrong)])
    every = {name: np.concatenate(parts) for name, parts in names.items()}
    return {
        name: {
            "mae": float(np.abs(wrong).mean()),
            "rmse": float(np.sqrt((wrong**2).mean())),
        }
        for name, wrong in every.items()
    }


def batches_of(bucket: Bucket, most: int) -> Iterator[Batch]:
    """At most so many windows, spread evenly over a bucket or drawn; of numpy."""
    size = most if bucket.size is None else bucket.size
    rows = np.linspace(0, size - 1, min(size, most)).round().astype(np.int32)
    fetch = jax.jit(bucket.fetch)
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        filled = np.full(min(CHUNK, len(rows)), -1, np.int32)
        filled[: len(some)] = some
        batch = fetch(bucket.store, filled)
        count = len(some)
        yield jax.tree.map(lambda leaf, n=count: np.asarray(leaf)[:n], batch)


def _on_host(batch: Batch) -> Any:
    """A batch of numpy's arrays."""
    return jax.tree.map(np.asarray, batch)


def _own(batch: Any, source: Numbers) -> np.ndarray:
    """The targets' past as it enters, NaN where it is missing or beyond the length."""
    own = batch.source[..., : source.own].astype(np.float64)
    for place, name in enumerate(source.names[: source.own]):
        mask = name + THERE
        if mask in source.names:
            there = batch.source[..., source.names.index(mask)] > 0
            own[..., place] = np.where(there, own[..., place], np.nan)
    within = np.arange(own.shape[1]) < batch.source_lengths[:, None]
    return np.where(within[..., None], own, np.nan)


def _seasonal(own: np.ndarray, batch: Any, season: int) -> np.ndarray:
    """The number so many seasons before each step that is the last one there."""
    found = np.broadcast_to(batch.given.first[:, None], batch.target.shape).copy()
    rows = np.arange(len(own))
    width = own.shape[1]
    for step in range(found.shape[1]):
        missing = np.ones((len(own), own.shape[2]), bool)
        at = batch.source_lengths + step
        for _ in range(-(-(width + step) // season)):
            at = at - season
            value = own[rows, np.clip(at, 0, width - 1)]
            is_read = (at >= 0) & (at < batch.source_lengths)
            takes = missing & is_read[:, None] & ~np.isnan(value)
            found[:, step] = np.where(takes, value, found[:, step])
            missing &= ~takes
            if not missing.any():
                break
    return found


def _steps(batch: Any) -> int:
    """How many of the last steps of a context a regression reads."""
    room = INPUTS - batch.given.known[0].size
    steps, width = batch.source.shape[1:]
    return max(1, min(steps, room // max(width, 1)))


def _inputs(batch: Any, steps: int) -> np.ndarray:
    """The last steps of each context, what is known ahead, and a 1: [B, inputs + 1]."""
    ends = batch.source_lengths[:, None] - np.arange(steps)[::-1]
    rows = np.arange(len(ends))[:, None]
    read = batch.source[rows, np.maximum(ends - 1, 0)]
    read = np.where((ends > 0)[..., None], read, 0)
    parts = (read, batch.given.known)
    flat = [each.reshape(len(ends), -1).astype(np.float64) for each in parts]
    return np.concatenate([*flat, np.ones((len(ends), 1))], axis=1)


def _ridge(inputs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Weights of least squares with a penalty on all but the constant.

    Shapes: inputs [N, D], target [N, P], NaN where missing -> [D, P].
    """
    penalty = PENALTY * np.eye(inputs.shape[1])
    penalty[-1, -1] = 1e-9
    there = ~np.isnan(target)
    if there.all():
        return _solved(inputs, target, penalty)
    columns = [
        _solved(inputs[own], target[own, place], penalty)
        for place, own in enumerate(there.T)
    ]
    return np.stack(columns, axis=1)


def _solved(inputs: np.ndarray, target: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ target)
    return found


def arrays(fitted: Fitted) -> Mapping[str, np.ndarray]:
    """What is fitted, as a run keeps it."""
    return {f"fitted_{name}": array for name, array in fitted._asdict().items()}


def from_arrays(kept: Mapping[str, np.ndarray]) -> Fitted:
    """What `arrays` made of it."""
    return Fitted(*(kept[f"fitted_{name}"] for name in Fitted._fields))

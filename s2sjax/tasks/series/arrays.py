"""Examples of numbers in one file of numpy's arrays, for what is no calendar."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from s2sjax.config import TaskConfig, fields
from s2sjax.errors import UsageError
from s2sjax.tasks.series import baselines, columns, table
from s2sjax.tasks.series.columns import WINDOW_MEAN, Column, Columns
from s2sjax.tasks.series.kept import ORIGINS, TRAIN, Read, bucket
from s2sjax.tasks.series.numbers import Numbers, are_counts
from s2sjax.tasks.series.rows import Rows, Store
from s2sjax.tasks.task import SPLITS

NEEDED = ("source", "target")
NAMES = (*NEEDED, "lengths", "target_lengths", "known")
COLUMNS = ("targets", "past", "future", "static", "id", "time")
WINDOWS = ("context", "horizon", "stride")


def is_it(path: Path) -> bool:
    """Whether a file is one of examples, and not one of columns."""
    if not path.name.lower().endswith(".npz"):
        return False
    names = table.npz_names(path)
    return set(NEEDED) <= set(names)


def check(task: TaskConfig) -> None:
    """Whether a config asks nothing of such a file that it has not.

    Raises:
      UsageError: it names columns, or windows, or a scale that needs the past.
    """
    for name in (*COLUMNS, *WINDOWS):
        value, default = getattr(task, name), fields()[f"task.{name}"].default
        if value != default:
            raise UsageError(
                f"task.{name}={value} means nothing to a file with the arrays source "
                f"and target, whose rows are examples"
            )
    if task.scaling == WINDOW_MEAN:
        raise UsageError(
            f"task.scaling={WINDOW_MEAN} takes the past of targets, which a file with "
            f"the arrays source and target does not tell; use standard, minmax or none"
        )


def read(path: Path, task: TaskConfig) -> Read:
    """What a file of examples holds.

    Its arrays are `source` [N, S, F] and `target` [N, T, G], `lengths` [N] of the
    sources where they differ, and of the targets `target_lengths` [N]; `known`
    [N, T, C] is known ahead. The first rows are training's, the last ones test's.

    Raises:
      UsageError: an array is missing, of another shape or of no numbers, or a number
        is not finite.
    """
    arrays = _arrays(path)
    count = len(arrays["source"])
    bounds = [0, *(_cut(task, name, count) for name in ("valid_from", "test_from"))]
    bounds.append(count)
    if bounds != sorted(bounds):
        raise UsageError(
            f"task.test_from={task.test_from} is before task.valid_from="
            f"{task.valid_from}; the test part is the last"
        )
    scaled = _fitted(
        path, task, {name: own[: bounds[1]] for name, own in arrays.items()}
    )
    has_target = ~np.isnan(arrays["target"]).all(axis=(1, 2))
    ids = np.arange(count, dtype=np.int32)
    notes, parts = [], {}
    seasonal = _seasonal(arrays["target"][: bounds[1]], task.season)
    for split, begin, end in zip(SPLITS, bounds, bounds[1:], strict=False):
        own = ids[begin:end][has_target[begin:end]]
        if len(own) < end - begin:
            notes.append(
                f"{end - begin - len(own):,} rows of {split} are left out: no target "
                f"is there"
            )
        if not len(own):
            raise UsageError(
                f"{path}: task.valid_from={task.valid_from} and task.test_from="
                f"{task.test_from} leave no row with a target to {split}"
            )
        parts[split] = _part(arrays, scaled, own, seasonal)
    fetch = Rows(arrays["source"].shape[1], arrays["target"].shape[1])
    fitted = baselines.fit(bucket(fetch, parts[TRAIN]))
    reads = Columns(scaled.past)
    source = Numbers(
        reads.read,
        fetch.context,
        shift=tuple(shift for shift, _ in reads.scales),
        scale=tuple(scale for _, scale in reads.scales),
        least=tuple(fitted.least.tolist()),
        most=tuple(fitted.most.tolist()),
    )
    target = Numbers(
        tuple(column.name for column in scaled.targets),
        fetch.horizon,
        known=columns.with_masks(scaled.future),
        season=task.season,
        scaling=task.scaling,
        gaps=bool(np.isnan(arrays["target"]).any()),
        counts=are_counts(arrays["target"]),
    )
    return Read(source, target, scaled, fetch, parts, fitted, notes)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, NaN beyond the lengths."""
    found = {n: own for n, own in table.npz(path).items() if n in NAMES}
    for name in (*NEEDED, "known"):
        own = found.get(name)
        if own is None:
            continue
        if own.dtype.kind not in "fiub":
            raise UsageError(f"{path}: {name} is of {own.dtype}, not of numbers")
        if own.ndim != 3:
            raise UsageError(
                f"{path}: {name} has shape {own.shape}; it has three axes: examples, "
                f"steps, numbers"
            )
        found[name] = own = own.astype(np.float64)
        beyond = np.argwhere(np.abs(own) > table.LARGEST)
        if len(beyond):
            row, step, place = beyond[0].tolist()
            raise UsageError(
                f"{path}: {name}[{row}, {step}, {place}] is "
                f"{own[row, step, place]:g}, not a finite number of float32; a missing "
                f"one is NaN"
            )
    source, target = found["source"], found["target"]
    found.setdefault("known", np.zeros((*target.shape[:2], 0)))
    found.setdefault("lengths", np.full(len(source), source.shape[1]))
    found.setdefault("target_lengths", np.full(len(target), target.shape[1]))
    for name, own in found.items():
        if len(own) != len(source):
            raise UsageError(
                f"{path}: {name} has {len(own)} rows and source {len(source)}"
            )
    if found["known"].shape[1] != target.shape[1]:
        raise UsageError(
            f"{path}: known has {found['known'].shape[1]} steps and target "
            f"{target.shape[1]}"
        )
    for name, side, least in (("lengths", source, 0), ("target_lengths", target, 1)):
        own = found[name]
        if own.ndim != 1 or own.dtype.kind not in "iu":
            raise UsageError(f"{path}: {name} is not a whole number a row")
        wrong = (own < least) | (own > side.shape[1])
        if wrong.any():
            row = int(wrong.argmax())
            raise UsageError(
                f"{path}: {name}[{row}] is {own[row]}; it is from {least} to "
                f"{side.shape[1]}"
            )
    if 0 in source.shape or 0 in target.shape:
        raise UsageError(
            f"{path}: source has shape {source.shape} and target {target.shape}; "
            f"neither is empty"
        )
    for name, lengths in (("source", "lengths"), ("target", "target_lengths")):
        within = np.arange(found[name].shape[1]) < found[lengths][:, None]
        found[name] = np.where(within[..., None], found[name], np.nan)
    return found


def _cut(task: TaskConfig, field: str, count: int) -> int:
    text = getattr(task, field)
    try:
        number = float(text)
    except ValueError:
        raise UsageError(
            f"task.{field}={text} is neither a row nor a share between 0 and 1"
        ) from None
    row = int(np.floor(np.round(number * count, 6))) if 0 < number < 1 else int(number)
    return min(max(row, 0), count)


def _fitted(
    path: Path, task: TaskConfig, training: Mapping[str, np.ndarray]
) -> Columns:
    """How the numbers enter, by those of training's rows."""
    within = np.arange(training["source"].shape[1]) < training["lengths"][:, None]

    def column(name: str, values: np.ndarray) -> Column:
        there = values[~np.isnan(values)]
        shift, scale = columns.scaler(there, task.scaling)
        return Column(name, shift, scale, masked=len(there) < len(values))

    def every(name: str, rows: np.ndarray) -> tuple[Column, ...]:
        return tuple(column(f"{name}_{n}", own) for n, own in enumerate(rows.T))

    targets = _steps(training["target"])
    for number, own in enumerate(targets.T):
        try:
            columns.check_target(f"target_{number}", own, task.scaling)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
    return Columns(
        every("target", targets),
        every("source", training["source"][within]),
        every("known", _steps(training["known"])),
        scaling=task.scaling,
    )


def _steps(values: np.ndarray) -> np.ndarray:
    """All steps of all examples, [N * T, C]; C may be 0."""
    rows, steps, width = values.shape
    return values.reshape(rows * steps, width)


def _part(
    arrays: Mapping[str, np.ndarray],
    scaled: Columns,
    rows: np.ndarray,
    seasonal: np.ndarray,
) -> dict[str, np.ndarray]:
    """The arrays of a split."""
    source = arrays["source"][rows]
    within = np.arange(source.shape[1]) < arrays["lengths"][rows][:, None]
    shift, scale = np.array([(c.shift, c.scale) for c in scaled.targets], np.float32).T
    store = (
        np.where(within[..., None], _entering(source, scaled.past), 0),
        arrays["lengths"][rows].astype(np.int32),
        _scaled(arrays["target"][rows], scaled.targets),
        arrays["target_lengths"][rows].astype(np.int32),
        _entering(arrays["known"][rows], scaled.future),
        shift,
        scale,
        rows,
    )
    origins = (
        rows.astype(str),
        rows.astype(np.float64),
        np.tile(seasonal, (len(rows), 1)),
    )
    return {
        **dict(zip(Store._fields, store, strict=True)),
        **dict(zip(ORIGINS, origins, strict=True)),
    }


def _scaled(values: np.ndarray, own: tuple[Column, ...]) -> np.ndarray:
    shift = np.array([column.shift for column in own])
    scale = np.array([column.scale for column in own])
    return ((values - shift) / scale).astype(np.float32)


def _entering(values: np.ndarray, own: tuple[Column, ...]) -> np.ndarray:
    """What is missing as 0, then masks."""
    there = ~np.isnan(values)
    some = [place for place, column in enumerate(own) if column.masked]
    filled = np.where(there, _scaled(values, own), 0)
    return np.concatenate([filled, there[..., some]], axis=-1).astype(np.float32)


def _seasonal(targets: np.ndarray, season: int) -> np.ndarray:
    """The mean |y(t) - y(t - season)| of training's targets, [G]; see `Origins`."""
    gaps = np.full((len(targets), season, targets.shape[2]), np.nan)
    rows = np.concatenate([targets, gaps], axis=1)
    return baselines.mean_step(rows.reshape(-1, targets.shape[2]), season)

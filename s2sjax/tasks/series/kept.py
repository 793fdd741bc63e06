"""What a run keeps of a file of numbers, and the task that it is."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from s2sjax.errors import UsageError
from s2sjax.runs import bundle
from s2sjax.tasks.series import baselines, columns, rows, windows
from s2sjax.tasks.series.baselines import Fitted
from s2sjax.tasks.series.columns import Columns
from s2sjax.tasks.series.numbers import Numbers, Origins
from s2sjax.tasks.series.rows import Rows
from s2sjax.tasks.series.windows import Windows
from s2sjax.tasks.task import SPLITS, Bucket, Task
from s2sjax.tasks.vocabulary import Symbol
from s2sjax.types import Batch

ABOUT = "series.json"
HELD_OUT = "held_out.npz"
TRAIN = SPLITS[0]
ORIGINS = tuple(f"origin_{name}" for name in Origins._fields)
EVALUATED = 5000  # windows of a split at the most, by which baselines are judged

Arrays = Mapping[str, np.ndarray]
"""Of a split, by name: the fields of a store, and `ORIGINS`."""


class Read(NamedTuple):
    """What is made of a file: all that a run keeps of it."""

    source: Numbers
    target: Numbers
    columns: Columns
    fetch: Windows | Rows
    parts: Mapping[str, Arrays]  # by split
    fitted: Fitted
    notes: Sequence[str]


def files(read: Read) -> dict[str, bytes]:
    """What a run keeps, by name; training's arrays can be mapped."""
    about = {
        name: dataclasses.asdict(getattr(read, name))
        for name in ("source", "target", "columns", "fetch")
    }
    held_out = {
        f"{split}_{name}": array
        for split, part in read.parts.items()
        for name, array in part.items()
        if split != TRAIN
    }
    return {
        ABOUT: json.dumps(about, sort_keys=True).encode(),
        HELD_OUT: bundle.pack({**held_out, **baselines.arrays(read.fitted)}),
        **{
            f"{TRAIN}_{name}{bundle.ARRAY}": bundle.array(array)
            for name, array in read.parts[TRAIN].items()
        },
    }


def from_files(directory: Path | None, *, training: bool) -> Read:
    """What `files` made of it.

    Args:
      directory: that holds them.
      training: whether training's part is wanted, too.

    Raises:
      UsageError: the directory is missing, damaged or of another task.
    """
    kept, about = bundle.read(directory, (ABOUT, HELD_OUT))
    assert directory is not None
    arrays = bundle.unpack(kept[HELD_OUT])
    parts = {split: _part(arrays, split) for split in SPLITS[1:]}
    try:
        records = json.loads(kept[ABOUT])
        fetch: Windows | Rows
        fields: tuple[str, ...]
        if "masked" in records["fetch"]:
            fetch = columns.record(Windows, records["fetch"])
            fields = windows.Store._fields
        else:
            fetch = columns.record(Rows, records["fetch"])
            fields = rows.Store._fields
        if training:
            names = [f"{TRAIN}_{name}" for name in (*fields, *ORIGINS)]
            mapped = bundle.mapped(directory, names) or {}
            parts = {TRAIN: _part(mapped, TRAIN), **parts}
        for part in parts.values():
            if not part.keys() >= {*fields, *ORIGINS}:
                raise KeyError("arrays")
        return Read(
            columns.record(Numbers, records["source"]),
            columns.record(Numbers, records["target"]),
            columns.from_json(records["columns"]),
            fetch,
            parts,
            baselines.from_arrays(arrays),
            about.get("notes", ()),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{directory} is damaged: {error!r}") from None


def bucket(fetch: Windows | Rows, part: Arrays) -> Bucket:
    """The bucket of a split."""
    kind: Any = windows if isinstance(fetch, Windows) else rows
    store = kind.Store(*(jnp.asarray(part[name]) for name in kind.Store._fields))
    return Bucket(
        len(store.ids),
        fetch.context,
        fetch.horizon,
        store,
        fetch,
        references=Origins(*(part[name] for name in ORIGINS)),
        take=kind.taken,
    )


def task(name: str, read: Read) -> Task:
    """The task of a file, with the parts that are there."""
    source: Any = read.source
    target: Any = read.target
    buckets: dict[str, tuple[Bucket, ...]] = {
        split: (bucket(read.fetch, part),) for split, part in read.parts.items()
    }

    def expected(symbols: Sequence[Symbol]) -> list[Symbol] | None:
        return None

    def unseen(sources: list[list[int]], count: int) -> float:
        return 1.0  # what is forecast comes after training

    def forecasts(batch: Batch) -> Mapping[str, np.ndarray]:
        return baselines.forecasts(read.fitted, batch, source, target)

    @functools.cache
    def judged(split: str) -> Mapping[str, Mapping[str, float]]:
        return baselines.errors(buckets[split][0], forecasts, EVALUATED)

    return Task(
        name=name,
        source_vocabulary=source,
        target_vocabulary=target,
        buckets=buckets,
        expected=expected,
        unseen=unseen,
        notes=tuple(read.notes),
        baselines=judged,
        forecasts=forecasts,
    )


def _part(arrays: Arrays, split: str) -> Arrays:
    return {
        name.removeprefix(f"{split}_"): array
        for name, array in arrays.items()
        if name.startswith(f"{split}_")
    }

"""Series in memory, a frame or arrays, as the task that trains on them."""

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s2sjax.config import TaskConfig, fields
from s2sjax.errors import UsageError, unknown
from s2sjax.runs import bundle
from s2sjax.tasks.series import arrays
from s2sjax.tasks.series.panel import panel
from s2sjax.tasks.series.roles import Roles, roles
from s2sjax.tasks.series.table import of_columns

ROLES = ("targets", "past", "future", "static")


def series(
    data: Any,
    *,
    targets: Sequence[str] = (),
    past: Sequence[str] = (),
    future: Sequence[str] = (),
    static: Sequence[str] = (),
    path: str | os.PathLike[str] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """A frame or arrays as the fields of `task` that train on them.

    Args:
      data: a frame of pandas, a table of pyarrow or a dict of columns of equal length;
        or a dict of the arrays `source` [N, S, F] and `target` [N, T, G], and what else
        such a file has (docs/data.md).
      targets, past, future, static: columns by role; a static one whose numbers are
        names is written `"shop:category"`.
      path: a file called .npz in which the numbers are written, for a sweep of several
        processes, or to train with later; None: a temporary one, which goes with this
        process. A run keeps what it needs.
      options: other fields of `task`, e.g. `id`, `time`, `context`, `horizon`.

    Returns:
      The fields by name, for `task` of a config that `s2s.train` is given.

    Raises:
      UsageError: a column that is not there, has two roles or holds what cannot be, a
        field that there is not, or a file that cannot be written.

    >>> found = series({"y": range(9), "t": range(9)}, targets=["y"], time="t")
    >>> found["name"], found["targets"], found["time"]
    ('series', 'y', 't')
    """
    columns = _columns(data)
    named = dict(zip(ROLES, (targets, past, future, static), strict=True))
    for name, names in named.items():
        if isinstance(names, str):
            raise UsageError(f'{name}="{names}" is a text; it is a list of names')
    task: dict[str, Any] = {"name": "series"} | {
        name: ",".join(map(str, names)) for name, names in named.items() if names
    }
    known = {field.removeprefix("task.") for field in fields() if field[:5] == "task."}
    for name, value in options.items():
        if name not in known:
            raise unknown("field of task", name, known)
        task[name] = value
    if set(arrays.NEEDED) <= columns.keys() and not targets:
        given = {name: np.asarray(array) for name, array in columns.items()}
    else:
        given = _typed(columns, roles(TaskConfig(**task)))
    packed = bundle.pack(given)
    return {**task, "path": str(_written(packed, path))}


def _columns(data: Any) -> Mapping[str, Any]:
    """What a frame, a table or a dict holds, by name."""
    if isinstance(data, Mapping):
        return data
    if hasattr(data, "column_names"):  # of pyarrow
        return {name: data.column(name).to_numpy() for name in data.column_names}
    if hasattr(data, "columns"):
        return {str(name): data[name] for name in data.columns}
    raise UsageError(
        f"data is of {type(data).__name__}; it is a frame, or a dict of columns or "
        f"arrays by name"
    )


def _typed(columns: Mapping[str, Any], own: Roles) -> dict[str, np.ndarray]:
    """Columns as a file of numpy's arrays can have them."""
    table = of_columns("data", columns, own.every)
    panel(table, own)  # whether they are series
    found = {name: table.numbers(name) for name in own.numbers}
    for name in own.static:
        is_number = name not in own.categories and table.are_numbers(name)
        found[name] = table.numbers(name) if is_number else table.texts(name)
    if own.id:
        found[own.id] = table.texts(own.id)
    if own.time:
        found[own.time] = table.times(own.time)
    return {
        name: array.astype(str) if array.dtype == object else array
        for name, array in found.items()
    }


def _written(packed: bytes, path: str | os.PathLike[str] | None) -> Path:
    if path is None:
        folder = Path(tempfile.mkdtemp(prefix="s2sjax-series-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        file = folder / f"{hashlib.sha256(packed).hexdigest()[:8]}.npz"
    else:
        file = Path(path).expanduser()
        if file.suffix.lower() != ".npz":
            raise UsageError(f"path={path} is a file called .npz")
    try:
        file.write_bytes(packed)
    except OSError as error:
        raise UsageError(f"path={file}: {error.strerror}") from None
    return file.absolute()

"""The task of forecasting series of numbers, from a file that a user gives."""

import hashlib
import os
from pathlib import Path

from s2sjax.config import Config, TaskConfig
from s2sjax.errors import UsageError
from s2sjax.runs import bundle
from s2sjax.tasks.series import arrays, kept, reading, table
from s2sjax.tasks.series.kept import Read
from s2sjax.tasks.series.numbers import check_counts
from s2sjax.tasks.series.roles import roles
from s2sjax.tasks.task import Task


def create(config: Config, directory: Path | None) -> Task:
    """Reads the file of a config; keeps in `directory` what is made of it.

    Where `directory` is there, that is what counts: the file is compared with the one
    that it was made of where it is there, too, and is not needed.

    Raises:
      UsageError: a file that cannot be used, or another one than before.
    """
    if directory is not None and bundle.exists(directory):
        check_source(config, directory)
        return load_all(config, directory)
    known = sources(config)
    new = read(config.task)
    check_counts(config, new.target, str(_path(config.task)))
    if directory is not None:
        about = {**bundle.kept(known), "notes": list(new.notes)}
        bundle.write(directory, kept.files(new), about)
    return kept.task(config.task.name, new)


def sources(config: Config) -> tuple[bundle.Known, ...]:
    """What tells the file of a config from others.

    Raises:
      UsageError: it cannot be read.
    """
    path = _path(config.task)
    table.check(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        raise UsageError(f"task.path: {path}: {error.strerror}") from None
    return (bundle.Known("task.path", str(path), size, digest),)


def check(config: Config) -> None:
    """Whether the file of a config is there, and each column has one role.

    Raises:
      UsageError: it is not, or one has several.
    """
    if not config.task.path:  # of a config that is to be completed
        return
    path = _path(config.task)
    table.check(path)
    if arrays.is_it(path):
        arrays.check(config.task)
    else:
        roles(config.task)


def check_source(config: Config, directory: Path) -> None:
    """Compares the file of a config, where it is there, with the one that was read.

    Raises:
      UsageError: it holds something else.
    """
    if os.path.exists(_path(config.task)):
        bundle.check_sources(directory, bundle.kept(sources(config))["sources"])


def load(config: Config, directory: Path | None) -> Task:
    """The task from what `create` kept, without training's windows.

    Raises:
      UsageError: a directory that is missing or damaged.
    """
    return kept.task(config.task.name, kept.from_files(directory, training=False))


def load_all(config: Config, directory: Path | None) -> Task:
    """As `load`, with training's windows.

    Raises:
      UsageError: as `load`.
    """
    return kept.task(config.task.name, kept.from_files(directory, training=True))


def read(task: TaskConfig) -> Read:
    """What the file of a task holds.

    Raises:
      UsageError: as FILE:LINE where a line is the reason.
    """
    path = _path(task)
    if arrays.is_it(path):
        arrays.check(task)
        return arrays.read(path, task)
    return reading.read(path, task)


def _path(task: TaskConfig) -> Path:
    if not task.path:
        raise UsageError(
            "task.path is not set; it is a file of numbers (.csv, .parquet or .npz)"
        )
    return Path(task.path).expanduser()

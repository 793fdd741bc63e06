"""Which files a config names, and which split each is of."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from s2sjax import compressed, places
from s2sjax.config import TaskConfig
from s2sjax.errors import UsageError
from s2sjax.tasks.files.formats import Files, format_of
from s2sjax.tasks.task import SPLITS, VALID_NAMES

TRAIN, VALID, TEST = range(len(SPLITS))
LAYOUT = "train, valid (or dev, or val) and test"
USAGE = (
    f"task.path is a file of pairs, or a folder with {LAYOUT}; or task.train, "
    f"task.valid and task.test are files"
)


class Source(NamedTuple):
    """Files that hold pairs together."""

    field: str  # of the config, which names them
    split: int  # position in SPLITS; of training others may be cut off
    files: Files


def sources(task: TaskConfig) -> tuple[Source, ...]:
    """The files of a config, in the order of the splits; none is opened.

    Raises:
      UsageError: there are none, or one is missing, or of two splits.
    """
    suffixes = _suffixes(task)
    given = {name: getattr(task, name) for name in SPLITS if getattr(task, name)}
    if task.path and given:
        name, value = next(iter(given.items()))
        raise UsageError(
            f"task.path={task.path} and task.{name}={value} say the same; set task."
            f"path, or task.train, task.valid and task.test"
        )
    if task.path:
        found = tuple(_of_path(Path(task.path).expanduser(), suffixes))
    elif given and SPLITS[TRAIN] not in given:
        raise UsageError(f"task.train is not set, beside task.{next(iter(given))}")
    elif given:
        found = tuple(
            Source(f"task.{name}", SPLITS.index(name), files)
            for name, path in given.items()
            for files in _of_split(f"task.{name}", Path(path).expanduser(), suffixes)
        )
    else:
        raise UsageError(f"task.path is not set; {USAGE}")
    _check_apart(found)
    return found


def formats(found: Sequence[Source]) -> tuple[str, ...]:
    """The format of each source.

    Raises:
      UsageError: a file is missing, empty or unreadable, or a folder's are mixed.
    """
    all_ = tuple(format_of(source.files) for source in found)
    first: dict[str, tuple[str, Path]] = {}  # of each field
    for source, format_ in zip(found, all_, strict=True):
        other, path = first.setdefault(source.field, (format_, source.files[0]))
        if other != format_:
            raise UsageError(
                f"{path} is {other} and {source.files[0]} is {format_}; the files of "
                f"a folder are of one format"
            )
    return all_


def _suffixes(task: TaskConfig) -> tuple[str, ...]:
    suffixes = tuple(part.strip().lstrip(".") for part in task.suffixes.split(","))
    if len(set(suffixes)) != 2 or not all(suffixes):
        raise UsageError(
            f"task.suffixes={task.suffixes} is not two names with a comma between, "
            f"source first, e.g. de,en"
        )
    return suffixes


def _of_path(path: Path, suffixes: tuple[str, ...]) -> Iterator[Source]:
    field = "task.path"
    if not os.path.isdir(path):  # which raises nothing, whatever the name
        yield Source(field, TRAIN, _of_name(field, path, suffixes))
        return
    inside = _units(path, suffixes)
    for number, split in enumerate(SPLITS):
        names = VALID_NAMES if number == VALID else (split,)
        there = [name for name in names if name in inside]
        if len(there) > 1:
            raise UsageError(
                f"{path} has files of {' and of '.join(there)}, which are names of one "
                f"split; keep those of one"
            )
        units = inside[there[0]] if there else []
        if len(units) > 1:
            listed = " and ".join(files[0].name for files in units)
            raise UsageError(
                f"{path} has {listed}: which is {there[0]}? Of parallel files task."
                f"suffixes names both ends, source first (it is {','.join(suffixes)}); "
                f"of others keep one, or set task.{split}"
            )
        if units:
            _check_there(units[0])
            yield Source(field, number, units[0])
        elif number != VALID:
            raise UsageError(f"{path} has no files called {split}; {USAGE}")


def _of_split(field: str, path: Path, suffixes: tuple[str, ...]) -> list[Files]:
    if not os.path.isdir(path):
        return [_of_name(field, path, suffixes)]
    units = [files for each in _units(path, suffixes).values() for files in each]
    if not units:
        raise UsageError(f"{field}={path} is an empty folder")
    _check_there(path for files in units for path in files)
    return units


def _of_name(field: str, path: Path, suffixes: tuple[str, ...]) -> Files:
    """A file, or two parallel ones whose common beginning a path is."""
    if not os.path.lexists(path):
        pair = _pair(path, suffixes)
        if any(side.exists() for side in pair):
            _check_there(pair)
            return pair
        raise UsageError(
            f"{field}: {path} does not exist{places.hint(path) or '; ' + USAGE}"
        )
    return (path,)


def _units(folder: Path, suffixes: tuple[str, ...]) -> Mapping[str, list[Files]]:
    """The files of a folder by their names without endings, parallel ones together."""
    units: dict[str, list[Files]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        bare = compressed.bare(path.name)
        stem, _, suffix = bare.rpartition(".")
        files: Files = (path,)
        if stem and suffix in suffixes:
            files = _pair(folder / stem, suffixes)
        stems = units.setdefault(stem or bare, [])
        if files not in stems:
            stems.append(files)
    return units


def _pair(path: Path, suffixes: tuple[str, ...]) -> Files:
    return tuple(
        _as_it_is(path.with_name(f"{path.name}.{suffix}")) for suffix in suffixes
    )


def _as_it_is(path: Path) -> Path:
    """A file, or its compressed form where that alone is there."""
    forms = (path.with_name(path.name + suffix) for suffix in compressed.SUFFIXES)
    return path if path.exists() else next((p for p in forms if p.exists()), path)


def _check_there(files: Iterable[Path]) -> None:
    for path in files:
        if not path.exists():
            raise UsageError(
                f"{path} does not exist; of parallel files there are both, for {LAYOUT}"
            )


def _check_apart(found: Iterable[Source]) -> None:
    """No file is of two splits, whatever it is called."""
    splits: dict[str, Source] = {}
    for source in found:
        for path in source.files:
            other = splits.setdefault(os.path.realpath(path), source)
            one, two = SPLITS[other.split], SPLITS[source.split]
            if one != two:
                raise UsageError(
                    f"{path} is of {one} and of {two}; a file is of one split"
                )

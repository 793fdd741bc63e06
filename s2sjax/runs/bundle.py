"""Folders of plain files with their hashes: a run's data, and its copies of code."""

import contextlib
import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np

from s2sjax import json_objects
from s2sjax.errors import RunError, UsageError

ARRAY = ".npy"  # how files of arrays end that are mapped
ABOUT = "about.json"  # the hashes of the other files, and what else there is to say


class _About(TypedDict):
    """`about.json`."""

    format_version: int
    files: dict[str, str]
    sources: NotRequired[dict[str, str]]
    sizes: NotRequired[dict[str, int]]
    notes: NotRequired[list[str]]
    baselines: NotRequired[dict[str, dict[str, dict[str, float]]]]


class Known(NamedTuple):
    """What tells a file of the user's from others."""

    field: str  # of the config, which names it
    path: str
    size: int  # bytes, uncompressed
    sha256: str  # of those


def kept(files: Iterable[Known]) -> dict[str, Any]:
    """What a folder says about the files that it was made from."""
    files = tuple(files)
    return {
        "sources": {file.path: file.sha256 for file in files},
        "sizes": {file.path: file.size for file in files},
    }


def exists(directory: Path | None) -> bool:
    """Whether the folder has been written."""
    return directory is not None and (directory / ABOUT).is_file()


def write(
    directory: Path,
    files: Mapping[str, bytes],
    about: dict[str, Any],
    shared: Path | None = None,
) -> None:
    """Writes all files beside the folder, then renames: a kill leaves all or nothing.

    Args:
      directory: the folder.
      files: what is written, by name.
      about: what else there is to say.
      shared: a folder of arrays that others have too: of equal bytes one is kept, which
        each folder has by a name of its own, where the file system can do so.

    Raises:
      UsageError: the folder is there and holds something else.
      RunError: the disk is full, or not writable.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} is not the data of a run; move it away")
    hashes = {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    whole = {
        json_objects.VERSION: json_objects.FORMAT_VERSION,
        "files": hashes,
        **about,
    }
    temporary = directory.with_name(f".{directory.name}.unfinished")
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
        temporary.mkdir(parents=True)
        for name, content in {
            **files,
            ABOUT: json_objects.encode(whole).encode(),
        }.items():
            with (temporary / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if shared is not None and name.endswith(ARRAY):
                _share(temporary / name, shared / (hashes[name] + ARRAY))
        os.replace(temporary, directory)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise RunError(f"cannot write {directory}: {error.strerror}") from None


def _share(file: Path, kept: Path) -> None:
    """Has one file for both paths, where `kept` is not there yet or has the same bytes.

    Each of them can be removed without the other. Where there are no such links, or too
    many of one file, nothing changes.
    """
    twin = file.with_name(f"{file.name}.twin")
    with contextlib.suppress(OSError):
        kept.parent.mkdir(exist_ok=True)
        try:
            os.link(file, kept)
        except FileExistsError:
            with kept.open("rb") as there:
                digest = hashlib.file_digest(there, "sha256").hexdigest()
            if kept.name == digest + ARRAY:
                os.link(kept, twin)
                os.replace(twin, file)


def read(
    directory: Path | None, names: Sequence[str] = ()
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files by name, checked against their hashes, and what `about` said.

    `names` are the files that must be there. Of arrays that are mapped when they are
    asked for (`mapped`) nothing is read.

    Raises:
      UsageError: the folder is missing, incomplete, damaged or of another format.
    """
    if directory is None or not exists(directory):
        raise UsageError(f"{directory} does not hold the data of a run")
    about = json_objects.read(directory / ABOUT, _About)
    files = {}
    for name, expected in about["files"].items():
        if name.endswith(ARRAY):
            continue
        path = directory / name
        try:
            content = b"" if path.parent != directory else path.read_bytes()
        except OSError:
            raise UsageError(f"{path} is missing") from None
        if hashlib.sha256(content).hexdigest() != expected:
            raise UsageError(f"{path} is damaged: its hash is not the one kept")
        files[name] = content
    if not set(names) <= files.keys():
        missing = ", ".join(sorted(set(names) - files.keys()))
        raise UsageError(f"{directory} is the data of another task: no {missing}")
    return files, dict(about)


def mapped(directory: Path, names: Sequence[str]) -> dict[str, np.ndarray] | None:
    """Arrays of files that are checked and stay on the disk; None without the first.

    Raises:
      UsageError: one is missing or damaged.
    """
    kept = json_objects.read(directory / ABOUT, _About)["files"]
    if names[0] + ARRAY not in kept:
        return None
    arrays = {}
    for name in names:
        path = directory / (name + ARRAY)
        if path.name not in kept:
            continue
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            raise UsageError(f"{path} is missing") from None
        if digest != kept[path.name]:
            raise UsageError(f"{path} is damaged: its hash is not the one kept")
        try:
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:  # a run may come from elsewhere
            raise UsageError(f"{path} is damaged: {error}") from None
    return arrays


def array(values: np.ndarray) -> bytes:
    """An array as the bytes of a file that can be mapped."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def check_sources(directory: Path | None, sources: Mapping[str, str]) -> None:
    """Compares the files that a task reads with those that the folder was made from.

    What they hold counts, and their order, but not what they are called.

    Args:
      directory: the folder.
      sources: the SHA-256 of each file, by its path.

    Raises:
      UsageError: a file holds something else, or there are more or fewer of them.
    """
    _, about = read(directory)
    stored = about.get("sources")
    before = list(stored.values()) if isinstance(stored, dict) else []
    for number, (path, now) in enumerate(sources.items()):
        if before[number : number + 1] != [now] or len(before) != len(sources):
            raise UsageError(
                f"{path} is not the file that this run was started with (its SHA-256 "
                "differs); bring that one back, or start a new run"
            )


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as the bytes of an npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of an npz file; nothing in it is ever executed.

    Raises:
      UsageError: it is none.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # numpy and zipfile raise many kinds
        raise UsageError(f"a run's arrays are damaged: {error}") from None

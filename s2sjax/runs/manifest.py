"""What a checkpoint says about itself, with a checksum over every part of it."""

import dataclasses
import json
import zlib
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from s2sjax import json_objects

NAME = "manifest.json"


class Damaged(Exception):
    """A checkpoint is not what was saved; the message says in what way."""


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One saved array."""

    path: tuple[str, ...]  # e.g. ("params", "encoder", "kernel")
    shape: tuple[int, ...]
    dtype: str  # numpy's name, e.g. "float32", "bfloat16"
    crc32: int  # of the bytes in C order

    @property
    def name(self) -> str:
        """The path as people read it: `params/encoder/kernel`."""
        return "/".join(self.path)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """One saved step."""

    step: int
    metric: float | None  # None: not evaluated, or not finite
    progress: dict[str, Any]  # the JSON of the training loop
    leaves: tuple[Leaf, ...]
    files: dict[str, tuple[int, int]]  # relative path: bytes, crc32
    nll: float | None = None  # by which equal metrics are ranked, as `metric`


class _Outer(TypedDict):
    crc32: int
    body: str


class _Leaf(TypedDict):
    path: list[str]
    shape: list[int]
    dtype: str
    crc32: int


class _Body(TypedDict):
    step: int
    metric: float | None
    progress: dict[str, Any]
    leaves: list[_Leaf]
    files: dict[str, list[int]]
    nll: float | None


def describe(path: tuple[str, ...], array: np.ndarray) -> Leaf:
    """The record of an array.

    >>> describe(("step",), np.zeros((), np.int32))
    Leaf(path=('step',), shape=(), dtype='int32', crc32=558161692)
    """
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return Leaf(path, array.shape, array.dtype.name, zlib.crc32(data.data))


def scan_files(directory: Path) -> dict[str, tuple[int, int]]:
    """Size and checksum of each file below `directory`."""
    return {
        path.relative_to(directory).as_posix(): _size_and_crc(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def check_files(directory: Path, files: dict[str, tuple[int, int]]) -> None:
    """Checks the bytes on the disk before any library interprets them.

    Raises:
      Damaged: a file is missing, cut or changed.
    """
    for name, expected in files.items():
        try:
            actual = _size_and_crc(directory / name)
        except OSError as error:
            raise Damaged(f"{name}: {error.strerror}") from None
        if actual[0] != expected[0]:
            raise Damaged(f"{name} has {actual[0]} bytes, not {expected[0]}")
        if actual != expected:
            raise Damaged(f"the checksum of {name} is wrong")


def steps(directory: Path) -> list[int]:
    """The steps of which there seems to be a checkpoint, whole or not, ascending."""
    if not directory.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in directory.iterdir()
        if path.name.isascii()
        and path.name.isdigit()
        and len(path.name) < 19
        and str(int(path.name)) == path.name
        and path.is_dir()
        and not path.is_symlink()
    )


def encode(manifest: Manifest) -> str:
    """The manifest as JSON, with its own checksum.

    Raises:
      ValueError: `progress` holds what JSON cannot say, such as NaN.
    """
    body = json.dumps(dataclasses.asdict(manifest), allow_nan=False, sort_keys=True)
    return json.dumps({"crc32": zlib.crc32(body.encode()), "body": body}) + "\n"


def read(directory: Path) -> Manifest:
    """The manifest of the checkpoint in `directory`.

    Raises:
      Damaged: there is none, or it is not what was written.
    """
    try:
        text = (directory / NAME).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Damaged(f"{NAME} is not text") from None
    except OSError as error:
        raise Damaged(f"{NAME}: {error.strerror}") from None
    try:
        outer = json_objects.checked(json_objects.loads(text), _Outer)
        if zlib.crc32(outer["body"].encode()) != outer["crc32"]:
            raise Damaged(f"the checksum of {NAME} is wrong")
        body = json_objects.checked(json_objects.loads(outer["body"]), _Body)
        return Manifest(
            body["step"],
            body["metric"],
            body["progress"],
            tuple(
                Leaf(tuple(x["path"]), tuple(x["shape"]), x["dtype"], x["crc32"])
                for x in body["leaves"]
            ),
            {name: (size, crc) for name, (size, crc) in body["files"].items()},
            body["nll"],
        )
    except ValueError as error:
        raise Damaged(f"{NAME} cannot be read: {error}") from None


def _size_and_crc(path: Path) -> tuple[int, int]:
    size, crc = 0, 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return size, crc

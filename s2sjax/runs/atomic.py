"""Files that are there whole or not at all, and folders that are taken back."""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of a text in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Puts `data` into `path` in one step: a reader sees the old file or the new one.

    A symbolic link at `path` is replaced, not followed.

    Raises:
      OSError: it could not be written; the old file is intact.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        # A killed writer may have left one; "x" then makes sure that it is our own.
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def missing_folders(path: Path) -> list[Path]:
    """The folders that making the folder `path` would make, outermost first."""
    folders = [path, *path.absolute().parents]
    first = next(place for place, each in enumerate(folders) if os.path.lexists(each))
    return folders[:first][::-1]


def take_back(folders: Iterable[Path], inside: Iterable[Path]) -> None:
    """Removes what was made for something that cannot be; what fails stays.

    Args:
      folders: that were made, outermost first; they stay if they hold anything else.
      inside: files, and folders with all that they hold.
    """
    with contextlib.suppress(OSError):
        for path in inside:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    for folder in reversed(list(folders)):
        with contextlib.suppress(OSError):
            folder.rmdir()


def sync_directory(path: Path) -> None:
    """Makes the names in a directory outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

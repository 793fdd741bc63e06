"""Files that are there whole or not at all."""

import contextlib
import os
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


def sync_directory(path: Path) -> None:
    """Makes the names in a directory outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

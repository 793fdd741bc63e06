"""One writer per run directory: a lock that the kernel frees when its owner dies."""

import errno
import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from s2sjax.errors import RunError, UsageError

NAME = "lock"


class Lock:
    """An exclusive lock on `directory/lock`, held until `close` or death.

    The file names the owner; it stays when the lock is freed and means nothing then.

    Raises:
      UsageError: another process holds it, or the file cannot be made.
      RunError: the disk is full.
    """

    def __init__(self, directory: Path):
        path = directory / NAME
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            raise UsageError(
                f"--workdir={directory}: {NAME}: {error.strerror}"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, _owner(), 0)
        except OSError as error:
            os.close(self._descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise UsageError(
                    f"--workdir={directory} is in use by {_holder(path)}; "
                    f"wait for it or choose another directory"
                ) from None
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise RunError(f"cannot write {path}: {error.strerror}") from None
            raise UsageError(
                f"--workdir={directory}: {NAME}: {error.strerror}"
            ) from None

    def close(self) -> None:
        """Frees the lock; again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_lock(path: Path) -> bool:
    """Whether a file was made by `Lock`, perhaps killed before it named its owner."""
    try:
        text = path.read_text(encoding="utf-8")
        return text == "" or "pid" in json.loads(text)
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def _owner() -> bytes:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    return (json.dumps(owner) + "\n").encode()


def _holder(path: Path) -> str:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return "another process"

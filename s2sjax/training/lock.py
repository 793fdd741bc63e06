"""One writer per run directory: a lock that the kernel frees when its owner dies."""

import errno
import fcntl
import json
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from s2sjax.errors import RunError, UsageError

NAME = "lock"
CHILD_SECONDS = 5.0  # a fork that has not yet become its own program


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
            _take(self._descriptor, path)
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


def _take(descriptor: int, path: Path) -> None:
    """Locks, or raises an OSError where a living process holds the lock.

    A child that its owner had just forked shares the lock until it executes its own
    program: an owner that was killed at that moment is waited for.
    """
    end = time.monotonic() + CHILD_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if not _is_dead(path) or time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def _is_dead(path: Path) -> bool:
    """Whether the owner that a lock names is a process of this machine that ended."""
    owner = _read(path)
    if owner is None or owner["host"] != socket.gethostname():
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


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
    owner = _read(path)
    if owner is None:
        return "another process"
    return f"process {owner['pid']} on {owner['host']} since {owner['since']}"


def _read(path: Path) -> dict[str, Any] | None:
    """What a lock says of its owner; None where it says nothing."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return {
            "pid": int(owner["pid"]),
            "host": owner["host"],
            "since": owner["since"],
        }
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None

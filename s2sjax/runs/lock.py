"""One writer per run directory: a lock that the kernel frees when its owner dies."""

import errno
import fcntl
import json
import os
import re
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from s2sjax import json_objects
from s2sjax.errors import UsageError, cannot_write, writing

NAME = "lock"
BEGIN = b'{"pid": '
LONGEST = 4096  # bytes in a lock
# Options of file systems with which no other node knows of a lock.
_NFS = ("nolock", "local_lock=all", "local_lock=flock")
LOCAL_LOCKS = {"lustre": ("localflock", "noflock"), "nfs": _NFS, "nfs4": _NFS}
CHILD_SECONDS = 5.0  # a fork that has not yet become its own program


class _Owner(TypedDict):
    pid: int
    host: str
    since: str


class Lock:
    """An exclusive lock on `directory/lock`, held until `close` or death.

    The file names the owner; it stays when the lock is freed and means nothing then.

    Raises:
      UsageError: another process holds it, or the file cannot be made.
      RunError: the disk is full.
    """

    def __init__(self, directory: Path):
        path = directory / NAME
        is_new = not os.path.lexists(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with writing(f"path={directory}: {NAME}"):
            self._descriptor = os.open(path, flags, 0o644)
        try:
            _take(self._descriptor, path)
            os.ftruncate(self._descriptor, 0)
            _write(self._descriptor, _owner())
        except OSError as error:
            taken = error.errno in (errno.EWOULDBLOCK, errno.EACCES)
            if is_new and not taken:
                path.unlink(missing_ok=True)
            os.close(self._descriptor)
            if taken:
                raise UsageError(
                    f"path={directory} is in use by {_holder(path)}; "
                    f"wait for it or choose another directory"
                ) from None
            raise cannot_write(f"path={directory}: {NAME}", error) from None

    def close(self) -> None:
        """Frees the lock; again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _write(descriptor: int, data: bytes) -> None:
    """Writes all of it: of a disk that is nearly full the system takes a part."""
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], written)


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
    """Whether a file was made by `Lock`.

    A kill or a power cut may have left it empty, cut anywhere, or zeros in its place.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LONGEST + 1)
    except OSError:
        return False
    begun = data.rstrip(b"\0")
    return len(data) <= LONGEST and (begun.startswith(BEGIN) or BEGIN.startswith(begun))


def _owner() -> bytes:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    return (json.dumps(owner) + "\n").encode()


def _holder(path: Path) -> str:
    owner = _read(path)
    if owner is None:
        return "another process"
    host, since = ascii(owner["host"])[1:-1], ascii(owner["since"])[1:-1]
    return f"process {owner['pid']} on {host} since {since}"


def _read(path: Path) -> _Owner | None:
    """What a lock says of its owner; None where it says nothing."""
    try:
        owner = json_objects.checked(json_objects.loads(path.read_bytes()), _Owner)
    except (OSError, ValueError):
        return None
    return owner if 0 < owner["pid"] < 2**31 else None


def held_since(directory: Path) -> float | None:
    """The wall clock when the owner that a lock names took it, if it names one."""
    owner = _read(directory / NAME)
    try:
        return (
            None
            if owner is None
            else datetime.fromisoformat(owner["since"]).timestamp()
        )
    except ValueError:
        return None


def only_of_this_node(directory: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """What to say where a lock keeps out processes of this machine alone; or nothing.

    Lustre with `localflock`, and NFS with `nolock` or `local_lock`, have locks that the
    other nodes do not know; Lustre with `noflock` has none.

    Args:
      directory: that is locked, there or not yet.
      mounts: where the system lists what is mounted.
    """
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""  # another system
    place = Path(os.path.realpath(directory))
    found = Path(), "", list[str]()
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 4:
            continue
        point = Path(
            re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[1])
        )
        # Of two on one point the later one covers the other.
        if place.is_relative_to(point) and len(point.parts) >= len(found[0].parts):
            found = point, fields[2], fields[3].split(",")
    point, kind, options = found
    local = [each for each in options if each in LOCAL_LOCKS.get(kind, ())]
    if not local:
        return ""
    return (
        f"path={directory} is on {kind}, mounted at {point} with {local[0]}: its locks "
        f"hold on one node alone, and nothing keeps a process of another node out of a "
        f"trial that is trained here; launch from this node only, with its own "
        f"processes, or have it mounted with locks for all nodes (docs/sweeps.md)"
    )


def is_held(directory: Path) -> bool:
    """Whether some process trains in a directory right now."""
    try:
        descriptor = os.open(directory / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)

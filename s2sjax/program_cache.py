"""Compiled programs, kept between runs in the user's cache folder.

They are machine code, and whoever can write one has it executed: the folder is the
user's alone, and never in a run or sweep, which may come from elsewhere. It is named
after the jaxlib and the processor that the programs were compiled for. Imports no jax.
"""

import contextlib
import hashlib
import os
import platform
import stat
from collections.abc import MutableMapping
from pathlib import Path

from s2sjax.environment import jaxlib_version

FOLDER = "JAX_COMPILATION_CACHE_DIR"  # jax's own names, which a user may set
ENABLED = "JAX_ENABLE_COMPILATION_CACHE"
# Programs that compile in no time are kept too: a start reads forty of them.
ALL_PROGRAMS = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
MOST_BYTES = 500 * 2**20  # of all programs that are kept


def keep(environ: MutableMapping[str, str], most: int = MOST_BYTES) -> list[str]:
    """Has jax keep compiled programs between runs, before it is imported.

    Does nothing where the user has chosen a folder, has turned the cache off
    (`JAX_ENABLE_COMPILATION_CACHE=false`), or has no folder that can be written.

    Args:
      environ: `os.environ`; edited in place.
      most: bytes of all programs; those that were read longest ago go.

    Returns:
      A line on a folder that is not the user's alone and is left unused.
    """
    if FOLDER in environ or is_off(environ):
        return []
    programs = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    programs = programs / "s2sjax" / "programs"
    folder = programs / f"jaxlib-{jaxlib_version()}-{processor()}"
    try:
        folder.parent.parent.mkdir(parents=True, exist_ok=True)
        for each in (programs, folder):
            each.mkdir(mode=0o700, exist_ok=True)
            if not _is_private(each):
                return [
                    f"{each} is not yours alone (chmod 700), so that compiled programs "
                    f"are not kept between runs"
                ]
        _bound(programs, most)
    except OSError:
        return []
    if os.access(folder, os.W_OK):
        environ[FOLDER] = str(folder)
        for name, value in ALL_PROGRAMS.items():
            environ.setdefault(name, value)
    return []


def is_off(environ: MutableMapping[str, str]) -> bool:
    """Whether the user keeps no compiled programs.

    >>> is_off({"JAX_ENABLE_COMPILATION_CACHE": "false"}), is_off({})
    (True, False)
    """
    return environ.get(ENABLED, "").lower() in ("0", "false", "off", "no", "n", "f")


def processor() -> str:
    """A name for what this machine's processor can do: programs use all of it."""
    features = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        named = [line for line in lines if line.startswith(("flags", "Features"))]
        features += named[:1]
    return hashlib.sha256("\n".join(features).encode()).hexdigest()[:12]


def _is_private(folder: Path) -> bool:
    is_ = os.lstat(folder)
    return (
        stat.S_ISDIR(is_.st_mode)
        and is_.st_uid == os.getuid()
        and not stat.S_IMODE(is_.st_mode) & 0o077
    )


def _bound(folder: Path, most: int) -> None:
    """Removes the files that were read longest ago until `most` bytes are left."""
    files = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # another process has just removed it
            is_ = path.lstat()
            if stat.S_ISREG(is_.st_mode):
                files.append((max(is_.st_atime, is_.st_mtime), is_.st_size, path))
    left = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if left <= most:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            left -= size

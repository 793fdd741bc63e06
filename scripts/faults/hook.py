"""What happens to a process from within: errors, kills and limits at a chosen moment.

The campaign copies this file as `sitecustomize.py` to a folder of PYTHONPATH, so that
every Python process of a command runs it first, workers of sweeps too. `FAULTS` in the
environment says what is to happen, as JSON:

    under    the folder whose files count, absolute
    reads    whether opening a file to read counts, too; writes, renames, removals
             and new folders always do
    at       the how many-th of these, from 1; 0: none
    action   "kill" (SIGKILL), or the name of an errno, e.g. "ENOSPC", which is raised
             in place of what was about to happen
    once     a file that the first process to get there makes; others go on
    limits   resource limits by name, e.g. {"FSIZE": 1000}
    count    a file to which the number of what happened is written at the end

Without the variable nothing is done. SIGUSR1 prints every thread's stack.
"""

import atexit
import errno
import faulthandler
import json
import os
import resource
import signal
import sys
from typing import Any

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink")


def install(settings: dict[str, Any]) -> None:
    """Begins to count, and sets the limits."""
    for name, value in settings.get("limits", {}).items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    under, reads = settings.get("under"), settings.get("reads", False)
    at, action, seen = settings.get("at", 0), settings.get("action"), 0
    busy = False  # what this hook itself does is not counted

    def happen() -> None:
        nonlocal busy
        busy = True
        try:
            if settings.get("once"):
                os.close(os.open(settings["once"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        finally:
            busy = False
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, str(action))
        raise OSError(number, os.strerror(number))

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal seen
        if busy or not _counts(event, given, reads) or not _within(given[0], under):
            return
        seen += 1
        if seen == at:
            happen()

    sys.addaudithook(hook)
    if settings.get("count"):

        def write() -> None:
            nonlocal busy
            busy = True
            with open(settings["count"], "w", encoding="utf-8") as file:
                file.write(str(seen))

        atexit.register(write)


def _counts(event: str, given: tuple[Any, ...], reads: bool) -> bool:
    if event == "open":
        flags = given[2] if isinstance(given[2], int) else 0
        return reads or bool(flags & (os.O_WRONLY | os.O_RDWR))
    return event in CHANGES


def _within(path: Any, under: str | None) -> bool:
    """Whether a path is in the folder; a relative one is taken to be."""
    if under is None or isinstance(path, int):
        return False
    text = os.fsdecode(path)
    return not os.path.isabs(text) or text == under or text.startswith(under + os.sep)


if os.environ.get("FAULTS"):
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    install(json.loads(os.environ["FAULTS"]))

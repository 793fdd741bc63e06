"""A trial's command on another machine, which shares the file system with this one.

A cluster calls a `RemoteCommand`, which runs the same command as everywhere else. A
file in the trial's directory says when it shall end, whatever the cluster's means are.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s2sjax.runs import atomic
from s2sjax.runs.run_files import TRIAL
from s2sjax.sweeps.pools import guard
from s2sjax.sweeps.protocols import UNSEEN, Ended, unseen

CONTROL = "control"  # holds the name of the signal that the command is to get
WORKER = "worker"  # is written when the command begins, and says where
SECONDS = 0.2  # between two looks at it


@dataclass
class RemoteCommand:
    """A command as plain data, which a cluster pickles and calls."""

    command: Sequence[str]
    log: str  # absolute, in the trial's directory
    folder: str  # where the launcher was started

    def __call__(self) -> Ended:
        """Runs the command to its end.

        Where the directory of the trial or the program is not, nothing is run, and why
        says so.
        """
        directory, here = Path(self.log).parent, socket.gethostname()
        control = directory / CONTROL
        if not (directory / TRIAL).is_file():
            return unseen(directory, here)
        if shutil.which(self.command[0]) is None:
            why = f"{self.command[0]} is not on {here}: all nodes must have it"
            return Ended(UNSEEN, why)
        (directory / WORKER).write_text(f"{here}\n", encoding="utf-8")
        guard.rest()
        alive, held = os.pipe()
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                guard.guarded(self.command, alive),
                pass_fds=[alive],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
            )
        os.close(alive)
        sent = ""
        while process.poll() is None:
            time.sleep(SECONDS)
            wanted = _read(control)
            if wanted != sent:
                sent = wanted
                with contextlib.suppress(ProcessLookupError, KeyError):
                    os.killpg(process.pid, signal.Signals[wanted])
        os.close(held)
        return Ended(process.returncode)


class Control:
    """The launcher's side of the file."""

    def __init__(self, log: Path):
        self._path, self._worker = log.with_name(CONTROL), log.with_name(WORKER)
        for left in (self._path, self._worker):
            left.unlink(missing_ok=True)

    @property
    def since(self) -> float | None:
        """When the command began; None before it has."""
        try:
            return self._worker.stat().st_mtime
        except OSError:
            return None

    def stop(self) -> None:
        """Asks the command to save and end."""
        self._send("SIGTERM")

    def kill(self) -> None:
        """Ends it."""
        self._send("SIGKILL")

    def _send(self, name: str) -> None:
        with contextlib.suppress(OSError):
            atomic.write_text(self._path, name)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""

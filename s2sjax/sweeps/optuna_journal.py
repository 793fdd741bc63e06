"""What Optuna knows of a search, on the disk: each step whole, or not at all."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2sjax.errors import UsageError
from s2sjax.sweeps import optuna_specs


class Journal:
    """The file of an Optuna `JournalStorage` that this process alone writes.

    Optuna makes a proposal, hears of an evaluation and judges it in several operations.
    They are kept together, at `commit`: a search that is killed between two of them
    makes the whole step again, from what the file holds, and so makes it as before.

    Raises:
      UsageError: the file is damaged.
    """

    def __init__(self, path: Path):
        self._path = path
        data = path.read_bytes() if path.is_file() else b""
        self._size = data.rfind(b"\n") + 1  # a killed launcher left half a line
        self._lines = data[: self._size].splitlines()
        self._first, self._kept = 0, len(self._lines)  # the number of `_lines[0]`
        try:
            self.storage = optuna_specs.load().storages.JournalStorage(self)
        except Exception:  # whatever Optuna makes of a line that it did not write
            what = f"{path} is damaged: not what a search wrote"
            raise UsageError(what) from None

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """See Optuna's `BaseJournalBackend`."""
        return [
            json.loads(line) for line in self._lines[log_number_from - self._first :]
        ]

    def append_logs(self, logs: Sequence[dict[str, Any]]) -> None:
        """See Optuna's `BaseJournalBackend`."""
        self._lines += [json.dumps(log, separators=(",", ":")).encode() for log in logs]

    def commit(self) -> None:
        """Ends a step: its operations reach the disk.

        Raises:
          OSError: they could not be written.
        """
        new = self._lines[self._kept - self._first :]
        if new:
            data = b"\n".join([*new, b""])
            descriptor = os.open(
                self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666
            )
            with open(descriptor, "rb+") as file:
                file.truncate(self._size)
                file.seek(self._size)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._size += len(data)
        # Optuna has read them all, and keeps what they say.
        self._first += len(self._lines)
        self._kept, self._lines = self._first, []

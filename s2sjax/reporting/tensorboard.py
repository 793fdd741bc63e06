"""Scalars for TensorBoard, which never stop a run."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from s2sjax.inference.evaluate import Sample
from s2sjax.training.observer import Observer

FLUSH_SECONDS = 2.0  # each flush waits for the disk


class TensorBoard(Observer):
    """Writes `train/...` and `valid/...` as event files to a directory.

    A run that goes on writes another file, which hides what an earlier one has of
    later steps. The first error is said, and is the end of it.

    The events are written here and now: tensorboardX's `SummaryWriter` has a thread
    for it, whose errors nobody could catch.
    """

    def __init__(self, directory: Path, say: Callable[[str], None]):
        self._directory = directory
        self._say = say
        self._writer: Any = None
        self._flushed = -math.inf

    def started(self, step: int, steps: int, about: str) -> None:
        """Opens a file."""
        self._guarded(lambda: self._open(step))

    def logged(self, step: int, values: dict[str, Any]) -> None:
        """Writes the training metrics."""
        self._guarded(lambda: self._add(step, "train", values))

    def evaluated(
        self, step: int, values: dict[str, Any], samples: Sequence[Sample], best: bool
    ) -> None:
        """Writes the validation metrics."""
        self._guarded(lambda: self._add(step, "valid", values))

    def ended(self, step: int, reason: str) -> None:
        """Closes the file."""
        self._guarded(self.close)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever it is, the run goes on
            with contextlib.suppress(Exception):
                self.close()
            reason = " ".join(str(error).split()) or type(error).__name__
            self._say(
                f"TensorBoard events are not written to {self._directory} from now "
                f"on: {reason}"
            )

    def _open(self, step: int) -> None:
        from tensorboardX import RecordWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        self.close()
        self._directory.mkdir(parents=True, exist_ok=True)
        # Files are read in the order of their names. A path that is absolute cannot
        # look like an address ("s3:...").
        name = f"events.out.tfevents.{time.time_ns()}"
        self._writer = RecordWriter(str(self._directory.absolute() / name))
        self._write(file_version="brain.Event:2")
        begin = SessionLog(status=SessionLog.START)
        self._write(step=step + 1, session_log=begin)
        self._writer.flush()

    def _add(self, step: int, group: str, values: dict[str, Any]) -> None:
        from tensorboardX.summary import scalar

        if self._writer is None:
            return
        for name, value in values.items():
            if isinstance(value, int | float):
                self._write(step=step, summary=scalar(f"{group}/{name}", value))
        now = time.monotonic()
        if group == "valid" or now - self._flushed > FLUSH_SECONDS:
            self._flushed = now
            self._writer.flush()

    def _write(self, **event: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        record = Event(wall_time=time.time(), **event)
        self._writer.write(record.SerializeToString())

    def close(self) -> None:
        """Closes the file; again does nothing."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

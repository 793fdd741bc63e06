"""TensorBoard: event files in the run's own directory."""

import json
import math
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2sjax.inference.kind import Sample
from s2sjax.reporting.trackers.base import TrackedRun, numbers
from s2sjax.training.observer import Observer

FLUSH_SECONDS = 2.0  # each flush waits for the disk


class TensorBoard(Observer):
    """Writes `train/...`, `valid/...`, config, samples and pictures.

    A run that goes on writes another file, which hides what an earlier one has of
    later steps.

    The events are written here and now: tensorboardX's `SummaryWriter` has a thread
    for it, whose errors nobody could catch.
    """

    def __init__(self, run: TrackedRun):
        self._run = run
        self._directory = run.path / "tensorboard"
        self._writer: Any = None
        self._flushed = -math.inf
        self._step = 0

    def started(self, step: int, steps: int, about: str) -> None:
        """Opens a file."""
        from tensorboardX import RecordWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        self.close()
        self._directory.mkdir(parents=True, exist_ok=True)
        # Files are read in the order of their names. A path that is absolute cannot
        # look like an address ("s3:...").
        name = f"events.out.tfevents.{time.time_ns()}"
        self._writer = RecordWriter(str(self._directory.absolute() / name))
        self._step = step
        self._write(file_version="brain.Event:2")
        begin = SessionLog(status=SessionLog.START)
        self._write(step=step + 1, session_log=begin)
        self._write_text("config", json.dumps(self._run.fields, indent=1), step)
        self._writer.flush()

    def logged(self, step: int, values: dict[str, Any]) -> None:
        """Writes the training metrics."""
        self._write_numbers("train", step, values)

    def evaluated(
        self, step: int, values: dict[str, Any], samples: Sequence[Sample], best: bool
    ) -> None:
        """Writes the validation metrics and the samples."""
        if samples:
            lines = [f"{s.source} → {s.output} (right: {s.target})" for s in samples]
            self._write_text("samples", "\n".join(lines), step)
        self._write_numbers("valid", step, values)

    def tested(self, values: dict[str, Any]) -> None:
        """Writes the metrics of the best checkpoint on test data."""
        self._write_numbers("test", values.get("step", self._step), values)

    def drawn(self, picture: Path) -> None:
        """Writes a picture, which is a PNG file."""
        from tensorboardX.proto.summary_pb2 import Summary

        data = picture.read_bytes()
        width, height = struct.unpack(">II", data[16:24])  # as PNG has them
        image = Summary.Image(
            width=width, height=height, colorspace=4, encoded_image_string=data
        )
        value = Summary.Value(tag=picture.stem, image=image)
        self._write(step=self._step, summary=Summary(value=[value]))

    def close(self) -> None:
        """Closes the file; again does nothing."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def _write_numbers(self, group: str, step: int, values: dict[str, Any]) -> None:
        from tensorboardX.summary import scalar

        self._step = step
        for name, value in numbers(group, values).items():
            self._write(step=step, summary=scalar(name, value))
        now = time.monotonic()
        if group != "train" or now - self._flushed > FLUSH_SECONDS:
            self._flushed = now
            if self._writer is not None:
                self._writer.flush()

    def _write_text(self, tag: str, text: str, step: int) -> None:
        from tensorboardX.summary import text as as_text

        shown = "".join(f"    {line}\n" for line in text.splitlines())  # as Markdown
        self._write(step=step, summary=as_text(tag, shown))

    def _write(self, **event: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        if self._writer is not None:
            record = Event(wall_time=time.time(), **event)
            self._writer.write(record.SerializeToString())

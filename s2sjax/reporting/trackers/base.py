"""What trackers share: the run, their record of it, errors that stop no run."""

import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypedDict

from s2sjax import config as configs
from s2sjax import json_objects, places
from s2sjax.config import Config
from s2sjax.inference.kind import Sample
from s2sjax.runs import logged, run_files
from s2sjax.runs.progress import Progress
from s2sjax.training.observer import Observer, Relay

FOLDER = "trackers"  # in a run's directory


@dataclasses.dataclass(frozen=True)
class TrackedRun:
    """A run, before or after it has begun.

    >>> TrackedRun(Path("runs/mine"), Config()).name
    'mine'
    """

    path: Path  # its directory, which need not be there yet
    config: Config

    @property
    def sweep(self) -> str:
        """The name of the sweep of which it is a trial; else empty."""
        folder = self.path.absolute().parent
        return folder.parent.name if folder.name == places.TRIALS else ""

    @property
    def name(self) -> str:
        """A name for people: of a trial, that of its sweep too."""
        name = self.path.absolute().name
        return f"{self.sweep}/{name}" if self.sweep else name

    @property
    def fields(self) -> dict[str, Any]:
        """The config by dotted path, such as "model.units"."""
        return configs.flatten(self.config)

    @staticmethod
    def record_of(path: Path, tracker: str) -> Path:
        """The file in a run's directory that names the tracker's record of it."""
        return path / FOLDER / f"{tracker}.json"


class Guarded(Relay):
    """An observer that cannot stop the run: its first error is said, and is its end.

    Args:
      observer: that may raise.
      name: of it, for the line that is said.
      call: calls its methods.
    """

    def __init__(
        self,
        observer: Observer,
        name: str,
        call: Callable[[Callable[[], object]], object] = lambda action: action(),
    ):
        self.say: Callable[[str], None] = lambda line: None  # for a person to read
        self._observer: Observer | None = observer
        self._name = name
        self._call = call

    def tell(self, event: str, *args: Any, **named: Any) -> None:
        """Tells the observer, as long as it has not failed."""
        if self._observer is None:
            return
        try:
            method = getattr(self._observer, event)
            self._call(functools.partial(method, *args, **named))
        except Exception as error:  # whatever it is, the run goes on
            failed, self._observer = self._observer, None
            with contextlib.suppress(Exception):
                self._call(failed.close)
            reason = " ".join(str(error).split()) or type(error).__name__
            self.say(f"the tracker {self._name} is told no more of this run: {reason}")


class _Record(TypedDict):
    """`trackers/NAME.json`."""

    id: str  # the tracker's own, of the record
    train: int  # the last steps whose metrics were sent
    valid: int


class Tracker(Observer):
    """Sends a run to a service that knows records by an identity.

    The identity is kept in the run's directory, so that a run that goes on is added to
    the record that it has; lines that were sent before it was stopped, and come again
    to the bit, are not sent again. A subclass says how things are sent.
    """

    NAME: ClassVar[str]

    def __init__(self, run: TrackedRun):
        self.run = run
        self._record: _Record | None = None  # None: not open
        self._reason = "failed"  # why it ended, unless `ended` says it

    def prepare(self) -> None:
        """Makes what the runs of a sweep share, before those begin at once."""

    # How to send; each may raise whatever the service's client raises.

    def open(self, identity: str | None) -> str:
        """Opens the record with that identity, or makes one; its identity."""
        raise NotImplementedError

    def send_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers at a step, by names such as "train/loss"."""
        raise NotImplementedError

    def send_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """Predictions on validation examples at a step."""
        raise NotImplementedError

    def send_summary(self, values: Mapping[str, float]) -> None:
        """Numbers of the whole run, by names such as "test/exact"."""
        raise NotImplementedError

    def send_picture(self, path: Path) -> None:
        """A picture that lies in a file."""
        raise NotImplementedError

    def finish(self, reason: str) -> None:
        """Closes the record: "done", "patience", "signal", "pruned" or "failed"."""
        raise NotImplementedError

    # What an observer is told.

    def started(self, step: int, steps: int, about: str) -> None:
        """Opens the record."""
        path = self.run.record_of(self.run.path, self.NAME)
        record = json_objects.read(path, _Record) if path.is_file() else None
        identity = self.open(record["id"] if record else None)
        self._record = record or {"id": identity, "train": -1, "valid": -1}
        self._keep()

    def logged(self, step: int, values: dict[str, Any]) -> None:
        """Sends the training metrics."""
        if self._record and step > self._record["train"]:
            self.send_metrics(step, numbers("train", values))
            self._record["train"] = step
            self._keep()

    def evaluated(
        self, step: int, values: dict[str, Any], samples: Sequence[Sample], best: bool
    ) -> None:
        """Sends the validation metrics and the samples."""
        if self._record and step > self._record["valid"]:
            self.send_metrics(step, numbers("valid", values))
            if samples:
                self.send_samples(step, samples)
            self._record["valid"] = step
            self._keep()

    def ended(self, step: int, reason: str) -> None:
        """Notes why."""
        self._reason = reason

    def tested(self, values: dict[str, Any]) -> None:
        """Sends the metrics of the best checkpoint on test data."""
        if self._record:
            self.send_summary(numbers("test", values))

    def drawn(self, picture: Path) -> None:
        """Sends a picture."""
        if self._record:
            self.send_picture(picture)

    def close(self) -> None:
        """Closes the record; again does nothing."""
        if self._record:
            self._record = None
            self.finish(self._reason)

    def _keep(self) -> None:
        """Writes the record's identity and how far it is; a kill leaves the old one."""
        assert self._record is not None
        path = self.run.record_of(self.run.path, self.NAME)
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json_objects.encode(self._record))
        os.replace(temporary, path)


def numbers(group: str, values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among some values, by names that begin with a group.

    >>> numbers("train", {"loss": 0.5, "name": "x", "grad_norm": None})
    {'train/loss': 0.5}
    """
    return {
        f"{group}/{name}": value
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def replay(run: TrackedRun, observer: Observer, reason: str) -> None:
    """Tells an observer of a run that has ended, from its files alone.

    So a trial is shown that was trained in one program with others.

    Args:
      run: it has a journal, and may have results on test data.
      observer: is closed at the end.
      reason: why it ended; see `Observer.ended`, "pruned" or "failed".
    """
    metric = run.config.train.metric_name
    lines = logged.entries(run.path)
    samples = {
        line["step"]: [Sample(*each) for each in line["samples"]]
        for line in lines
        if line["kind"] == "samples"
    }
    progress, step = Progress(), 0
    with contextlib.closing(observer):
        observer.started(0, run.config.train.steps or 0, "")
        for line in lines:
            step = line["step"]
            values = {k: v for k, v in line.items() if k not in ("step", "kind")}
            if line["kind"] == "train":
                observer.logged(step, values)
            elif line["kind"] == "valid":
                before = progress
                known = {k: math.nan if v is None else v for k, v in values.items()}
                progress = progress.after_evaluation(step, metric, known)
                shown = samples.get(step, [])
                observer.evaluated(step, values, shown, progress.improves_on(before))
        observer.ended(step, reason)
        tested = run_files.read_test(run.path)
        if tested:
            observer.tested(tested)

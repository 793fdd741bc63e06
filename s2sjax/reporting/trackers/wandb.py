"""Weights & Biases: a run of it for each of ours, a group for each sweep."""

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s2sjax.inference.kind import Sample
from s2sjax.reporting.trackers.base import FOLDER, TrackedRun, Tracker

PROJECT = "s2sjax"  # WANDB_PROJECT overrides


class WeightsAndBiases(Tracker):
    """Sends as the user's WANDB_... say; WANDB_MODE=offline keeps it for `wandb sync`.

    What is offline lies in the run's folder `trackers/wandb`. The axis of all curves is
    the metric `step`: W&B's own steps must rise, and steps of training and validation
    are the same ones.
    """

    NAME = "wandb"

    def __init__(self, run: TrackedRun):
        super().__init__(run)
        self._run: Any = None

    def open(self, identity: str | None) -> str:
        """See `Tracker`."""
        import wandb

        folder = self.run.path / FOLDER
        folder.mkdir(exist_ok=True)
        identity = identity or uuid.uuid4().hex[:16]
        quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=identity,
            name=self.run.name,
            group=self.run.sweep or None,
            dir=os.environ.get("WANDB_DIR", str(folder)),
            config=self.run.fields,
            resume="allow",
            allow_val_change=True,
            reinit="create_new",  # whatever runs the user has open
            settings=quiet,
        )
        self._run.define_metric("step", hidden=True)
        for group in ("train", "valid"):
            self._run.define_metric(f"{group}/*", step_metric="step")
        return identity

    def send_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log({"step": step, **values})

    def send_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """See `Tracker`."""
        import wandb

        rows = [list(sample) for sample in samples]
        table = wandb.Table(columns=list(Sample._fields), data=rows)
        self._run.log({"step": step, "samples": table})

    def send_summary(self, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.summary.update(dict(values))

    def send_picture(self, path: Path) -> None:
        """See `Tracker`."""
        import wandb

        self._run.log({path.stem: wandb.Image(str(path))})

    def finish(self, reason: str) -> None:
        """See `Tracker`."""
        self._run.summary["ended"] = reason
        self._run.finish(exit_code=int(reason == "failed"))

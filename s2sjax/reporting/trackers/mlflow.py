"""MLflow: a run of it for each of ours, an experiment for each sweep."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s2sjax.inference.kind import Sample
from s2sjax.reporting.trackers.base import TrackedRun, Tracker

EXPERIMENT = "s2sjax"  # of runs that are of no sweep; MLFLOW_EXPERIMENT_NAME overrides
LONGEST = 6000  # letters of a parameter that every store takes
STATUS = {"done": "FINISHED", "patience": "FINISHED", "signal": "KILLED"}
STATUS |= {"pruned": "KILLED", "failed": "FAILED"}


class MLflow(Tracker):
    """Sends to where MLFLOW_TRACKING_URI says, or to MLflow's own default.

    The config goes to parameters and to the artifact `config.json`, samples and
    pictures to artifacts, results on test data to metrics `test/...`.
    """

    NAME = "mlflow"

    def __init__(self, run: TrackedRun):
        super().__init__(run)
        self._client: Any = None
        self._id = ""

    def prepare(self) -> None:
        """The store, whose tables MLflow makes when it is first used, and the
        experiment."""
        import mlflow

        self._client = mlflow.MlflowClient()
        self._experiment()

    def open(self, identity: str | None) -> str:
        """See `Tracker`."""
        import mlflow

        # Not the global run of `mlflow.start_run`, which may be the user's own.
        self._client = mlflow.MlflowClient()
        if identity is None:
            made = self._client.create_run(
                self._experiment(), run_name=self.run.name, tags=self._tags()
            )
            self._id = made.info.run_id
            self._send_config()
        else:
            self._id = identity
            self._client.set_terminated(self._id, "RUNNING")
        self._client.log_dict(self._id, self.run.fields, "config.json")
        return self._id

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        name = self.run.sweep or os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:  # another trial made it just now
                experiment = self._client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        return str(experiment.experiment_id)

    def _tags(self) -> dict[str, str]:
        tags = {"directory": str(self.run.path.absolute())}
        return tags | ({"sweep": self.run.sweep} if self.run.sweep else {})

    def _send_config(self) -> None:
        from mlflow.entities import Param

        params = [
            Param(name, str(value)[:LONGEST]) for name, value in self.run.fields.items()
        ]
        for start in range(0, len(params), 100):  # as many as a request may have
            self._client.log_batch(self._id, params=params[start : start + 100])

    def send_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def send_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """See `Tracker`."""
        rows = [sample._asdict() for sample in samples]
        self._client.log_dict(self._id, {"samples": rows}, f"samples/{step:08d}.json")

    def send_summary(self, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self.send_metrics(0, values)

    def send_picture(self, path: Path) -> None:
        """See `Tracker`."""
        self._client.log_artifact(self._id, str(path))

    def finish(self, reason: str) -> None:
        """See `Tracker`."""
        self._client.set_terminated(self._id, STATUS[reason])

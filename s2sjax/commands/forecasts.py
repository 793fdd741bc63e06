"""What a trained run forecasts: the face of `Run.forecast`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from s2sjax.errors import UsageError
from s2sjax.forecasts import LEVELS, Forecasts
from s2sjax.inference.evaluate import chosen, enough, outcomes
from s2sjax.inference.forecasts import far_lines, outside
from s2sjax.inference.load import Trained, with_training
from s2sjax.runs.run_files import DATA
from s2sjax.tasks.series.ahead import ahead
from s2sjax.tasks.task import Bucket


class Forecast(NamedTuple):
    """Forecasts of N series or windows, T steps of G numbers each, in their units."""

    series: np.ndarray  # [N], what each is of
    times: np.ndarray  # [N, T] of the steps; numbers from 1 where there are no times
    names: tuple[str, ...]  # of series, time and the G numbers, as a file calls them
    mean: np.ndarray  # [N, T, G]
    median: np.ndarray  # [N, T, G]
    quantiles: np.ndarray | None  # [N, T, G, Q] of `LEVELS`; None: of a point
    target: np.ndarray  # [N, T, G], NaN where nothing is known to have come
    levels: tuple[float, ...] = LEVELS

    def columns(self) -> dict[str, np.ndarray]:
        """A row for each series and step: what `pandas.DataFrame` takes, and a file of
        forecasts has. `NAME` is the mean, `NAME_q0.05` a quantile."""
        count, steps, _ = self.mean.shape
        series, time, *numbers = self.names
        found = {series: np.repeat(self.series, steps), time: self.times.reshape(-1)}
        for place, name in enumerate(numbers):
            found[name] = self.mean[..., place].reshape(-1)
            found[f"{name}_median"] = self.median[..., place].reshape(-1)
            for index, level in enumerate(self.levels):
                if self.quantiles is not None:
                    own = self.quantiles[..., place, index]
                    found[f"{name}_q{level}"] = own.reshape(-1)
        assert all(len(column) == count * steps for column in found.values())
        return found

    def __repr__(self) -> str:
        count, steps, _ = self.mean.shape
        return f"Forecast({', '.join(self.names[2:])}: {count} of {steps} steps)"


def of_file(
    trained: Trained, path: Path, horizon: int | None
) -> tuple[Forecast, list[str]]:
    """What follows the series of a file, and lines about it for a person.

    Raises:
      UsageError: a file that cannot be used; see `tasks.series.ahead`.
    """
    task = trained.config.task
    if task.name != "series":
        raise UsageError(
            f"{path}: the task {task.name} draws its series, and reads no file; give a "
            f"split"
        )
    found = ahead(task, trained.path / DATA, path, horizon)
    target: Any = trained.task.target_vocabulary
    said = list(found.notes)
    if horizon is not None and horizon != target.steps:
        said.append(
            f"{horizon} steps are forecast; the run was trained to forecast "
            f"{target.steps}"
        )
    forecast, more = _of(trained, (found.bucket,), found.columns)
    return forecast._replace(times=found.times), [*said, *more]


def of_split(
    trained: Trained, split: str, examples: int | None
) -> tuple[Forecast, list[str]]:
    """What is forecast of the windows of a split, and lines for a person.

    Raises:
      UsageError: an endless split and no number, or training data that are gone.
    """
    if split == "train":
        trained = with_training(trained)
    buckets = enough(trained.task.buckets[split], split, examples)
    target: Any = trained.task.target_vocabulary
    task = trained.config.task
    names = (task.id or "series", task.time or "step", *target.names)
    return _of(trained, chosen(buckets, examples or 0), names)


def _of(
    trained: Trained, buckets: Sequence[Bucket], names: tuple[str, ...]
) -> tuple[Forecast, list[str]]:
    results: Forecasts
    results, sources = outcomes(trained.system, buckets)
    steps = np.arange(1, results.target.shape[1] + 1)
    forecast = Forecast(
        results.series,
        np.tile(steps, (len(results.target), 1)),
        names,
        results.mean,
        results.median,
        results.quantiles,
        results.target,
    )
    return forecast, far_lines(outside(trained.task, sources), len(sources))

"""What the directory of a trial keeps beside its run, and how it is read back.

    trial.json    index, overrides, command line and config, as they were launched
    config.json   the config, from which `s2sjax train` starts and continues the run
    result.json   how the trial ended, written once it has; see `Result`
    log           what its workers printed
    test.json     its evaluation on test data, written by the run

Imports no jax.
"""

import dataclasses
import json
import math
import os
import shlex
import shutil
from pathlib import Path
from typing import Any, TypedDict

from s2sjax import config as configs
from s2sjax import json_objects
from s2sjax.errors import RunError, UsageError
from s2sjax.runs import atomic, journal, run_files
from s2sjax.runs.lock import is_held
from s2sjax.runs.progress import Progress, finite
from s2sjax.sweeps.trials import Trial

TRIAL, RESULT, LOG = run_files.TRIAL, "result.json", "log"
ENDINGS = ("done", "failed", "pruned")
AGAIN = "pending"  # of a trial that ended in an earlier launch and is tried again
# Numbers of an evaluation that say what was evaluated, and are no metric.
_ABOUT = ("seed", "step")


@dataclasses.dataclass(frozen=True)
class Result:
    """How a trial ended."""

    status: str  # one of ENDINGS, or AGAIN
    # On validation examples, at the best step: what trials are compared by.
    valid: dict[str, float] = dataclasses.field(default_factory=dict)
    # Of the same parameters on test examples, where the trial is done.
    test: dict[str, float] = dataclasses.field(default_factory=dict)
    best_step: int | None = None
    seed: int | None = None  # of its config
    seconds: float = 0.0  # that it was worked at, in no queue
    device: str = ""
    error: str = ""
    attempts: int = 1  # of all launches that came to an end


class _Launched(TypedDict):
    """`trial.json`."""

    index: int
    overrides: dict[str, Any]
    config: dict[str, Any]
    command: str


def create(folder: Path, trial: Trial, command: str) -> Path:
    """Makes the directory of a trial in one step: it is there whole, or not at all.

    Raises:
      OSError: it could not be written.
    """
    made, half = folder / trial.name, folder / f".{trial.name}"
    shutil.rmtree(half, ignore_errors=True)  # of a launcher that was killed
    half.mkdir()
    config = configs.canonical_json(trial.config)
    (half / run_files.CONFIG).write_text(config + "\n", encoding="utf-8")
    (half / TRIAL).write_text(_launched(trial, command), encoding="utf-8")
    os.replace(half, made)
    return made


def move_files(directory: Path, trial: Trial, command: str) -> None:
    """Keeps that the user's files of a trial lie where its config has them now.

    Raises:
      OSError: it could not be written.
      UsageError: its run is damaged.
    """
    if (directory / run_files.CONFIG).is_file():
        run = run_files.read_config(directory)
        moved = configs.with_files(run, configs.user_files(trial.config))
        run_files.write_changes(directory / run_files.CONFIG, moved)
    atomic.write_text(directory / TRIAL, _launched(trial, command))


def read(directory: Path) -> tuple[Trial, str]:
    """A trial and its command line where it is now, from its directory.

    Raises:
      UsageError: it is damaged, or not that of a trial.
    """
    path = directory / TRIAL
    try:
        launched = json_objects.read(path, _Launched)
        config = configs.resolve(launched["config"])
        words = shlex.split(launched["command"])
    except (UsageError, ValueError) as error:  # a quotation without an end
        message = str(error)
        where = "" if str(path) in message else f"{path}: "
        raise UsageError(f"{where}{message}") from None
    trial = Trial(launched["index"], launched["overrides"], config, directory.name)
    return trial, shlex.join(run_files.placed(words, directory))


def restore_config(directory: Path, trial: Trial) -> None:
    """Puts `config.json` back where a run that could not begin took it away.

    And where it was changed before a run has begun: with it, another would begin.
    """
    path = directory / run_files.CONFIG
    data = (configs.canonical_json(trial.config) + "\n").encode()
    begun = (directory / run_files.RECORD).is_file()
    if not path.is_file() or (not begun and path.read_bytes() != data):
        directory.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(path, data)


def write_result(directory: Path, result: Result) -> None:
    """Says how a trial ended, whole or not at all."""
    text = json_objects.encode(dataclasses.asdict(result))
    atomic.write_text(directory / RESULT, text)


def read_result(directory: Path) -> Result | None:
    """How a trial ended; None where nothing says so.

    Raises:
      UsageError: the file is damaged.
    """
    path = directory / RESULT
    if not path.is_file():
        return None
    try:
        result = json_objects.built(json_objects.read(path, dict), Result)
        if result.status not in (*ENDINGS, AGAIN):
            raise ValueError(f"status is {result.status!r}")
        if result.status == "done" and not result.test:
            raise ValueError("test is empty")
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}") from None
    return result


class Measured(TypedDict):
    """What a trial has measured so far; fields of `Result`."""

    valid: dict[str, float]
    test: dict[str, float]
    best_step: int | None


def measured(directory: Path, metric: str) -> Measured:
    """The numbers of a trial at its best step.

    That is the step that was tested, or before a test the one that is the best so far.

    Args:
      directory: of the trial.
      metric: what its best checkpoint is chosen by.
    """
    test, progress = run_files.read_object(directory / run_files.TEST), Progress()
    step = test.get("step")
    entries = validations(directory)
    if not test:
        for entry in entries:
            values = {name: _or_nan(entry.get(name)) for name in (metric, "nll")}
            progress = progress.after_evaluation(entry["step"], metric, values)
        step = progress.best_step if progress.best_step >= 0 else None
    return Measured(valid=_at(step, entries), test=numbers(test), best_step=step)


def validations(directory: Path) -> list[dict[str, Any]]:
    """The evaluations on validation examples, in order."""
    return _entries(directory, "valid")


def trained_seconds(directory: Path) -> float:
    """How long a trial has trained, as its run counts; 0 where that is not known."""
    entries = _entries(directory, "train")
    return (entries and finite(entries[-1].get("seconds"))) or 0.0


def _entries(directory: Path, kind: str) -> list[dict[str, Any]]:
    try:
        entries = journal.read(directory / run_files.METRICS)
    except RunError:  # the run says so when it goes on
        return []
    return [entry for entry in entries if entry.get("kind") == kind]


def has_begun(directory: Path) -> bool:
    """Whether a process of its own trains a trial, or has left a checkpoint of it."""
    checkpoints = directory / run_files.CHECKPOINTS
    return (checkpoints.is_dir() and any(checkpoints.iterdir())) or is_held(directory)


def device(directory: Path) -> str:
    """What the run of a trial was begun on; empty where it has not begun."""
    return str(run_files.read_object(directory / run_files.RECORD).get("device", ""))


def _launched(trial: Trial, command: str) -> str:
    launched = {
        "index": trial.index,
        "overrides": trial.overrides,
        "command": command,
        "config": json.loads(configs.canonical_json(trial.config)),
    }
    return json_objects.encode(launched)


def _at(step: int | None, entries: list[dict[str, Any]]) -> dict[str, float]:
    """The numbers of the evaluation at a step; empty where there is none."""
    return next((numbers(each) for each in entries if each["step"] == step), {})


def _or_nan(value: Any) -> float:
    number = finite(value)
    return math.nan if number is None else number


def numbers(values: dict[str, Any]) -> dict[str, float]:
    """What an evaluation measured, without what is not finite or no metric."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and name not in _ABOUT
    }

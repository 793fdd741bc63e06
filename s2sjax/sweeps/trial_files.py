"""What the directory of a trial keeps beside its run, and how it is read back.

    trial.json    index, overrides, command line and config, as they were launched
    config.json   the config, from which `s2sjax train` starts and continues the run
    result.json   how the trial ended, written once it has; see `Result`
    log           what its workers said
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
from typing import Any

from s2sjax import config as configs
from s2sjax.errors import RunError, UsageError
from s2sjax.sweeps.pool import is_held
from s2sjax.sweeps.trial import Trial
from s2sjax.training import atomic, journal, run_files

TRIAL, RESULT, LOG = run_files.TRIAL, "result.json", "log"
ENDINGS = ("done", "failed", "pruned")
AGAIN = "pending"  # of a trial that ended in an earlier launch and is tried again
# Numbers of an evaluation that say what was evaluated, and are no metric.
_ABOUT = ("seed",)


@dataclasses.dataclass(frozen=True)
class Result:
    """How a trial ended."""

    status: str  # one of ENDINGS, or AGAIN
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0  # that its workers took
    device: str = ""
    error: str = ""
    attempts: int = 1  # of all launches that came to an end


def create(folder: Path, trial: Trial, command: str) -> Path:
    """Makes the directory of a trial in one step: it is there whole, or not at all.

    Raises:
      OSError: it could not be written.
    """
    made, half = folder / trial.name, folder / f".{trial.name}"
    shutil.rmtree(half, ignore_errors=True)  # of a launcher that was killed
    half.mkdir()
    config = configs.canonical_json(trial.config)
    kept = {
        "index": trial.index,
        "overrides": trial.overrides,
        "command": command,
        "config": json.loads(config),
    }
    (half / run_files.CONFIG).write_text(config + "\n", encoding="utf-8")
    (half / TRIAL).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    os.replace(half, made)
    return made


def read(directory: Path) -> tuple[Trial, str]:
    """A trial and its command line where it is now, from its directory.

    Raises:
      UsageError: it is damaged, or not that of a trial.
    """
    path = directory / TRIAL
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        config = configs.resolve(kept["config"])
        trial = Trial(int(kept["index"]), kept["overrides"], config, directory.name)
        words = shlex.split(str(kept.get("command", "")))
        return trial, shlex.join(run_files.placed(words, directory))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        raise UsageError(f"{path} is damaged: not what a sweep wrote") from None


def restore_config(directory: Path, trial: Trial) -> None:
    """Puts `config.json` back where a run that could not begin took it away."""
    if not (directory / run_files.CONFIG).is_file():
        directory.mkdir(parents=True, exist_ok=True)
        text = configs.canonical_json(trial.config) + "\n"
        atomic.write_text(directory / run_files.CONFIG, text)


def write_result(directory: Path, result: Result) -> None:
    """Says how a trial ended, whole or not at all."""
    text = json.dumps(dataclasses.asdict(result), indent=1) + "\n"
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
        result = Result(**run_files.read_object(path))
        known = result.status in (*ENDINGS, AGAIN)
        if known and _is_whole(result) and (result.metrics or result.status != "done"):
            return result
    except TypeError:
        pass
    raise UsageError(f"{path} is damaged: not what a sweep wrote")


def _is_whole(result: Result) -> bool:
    """Whether every field is of its type."""
    texts = isinstance(result.device, str) and isinstance(result.error, str)
    found: Any = {"seconds": result.seconds, "attempts": result.attempts}
    metrics: Any = result.metrics
    return (
        texts
        and numbers(found) == found
        and isinstance(metrics, dict)
        and numbers(metrics) == metrics
    )


def test_metrics(directory: Path) -> dict[str, float]:
    """The numbers of `test.json`; empty where there is none, or half of one."""
    return numbers(run_files.read_object(directory / run_files.TEST))


def validations(directory: Path) -> list[dict[str, Any]]:
    """The evaluations on validation examples, in order."""
    try:
        entries = journal.read(directory / "metrics.jsonl")
    except RunError:  # damaged: the run says so when it goes on
        return []
    return [entry for entry in entries if entry.get("kind") == "valid"]


def last_validation(directory: Path) -> dict[str, float]:
    """The numbers of the last evaluation on validation examples, with its step."""
    valid = validations(directory)
    return numbers(valid[-1]) if valid else {}


def has_begun(directory: Path) -> bool:
    """Whether a process of its own trains a trial, or has left a checkpoint of it."""
    checkpoints = directory / "checkpoints"
    return (checkpoints.is_dir() and any(checkpoints.iterdir())) or is_held(directory)


def device(directory: Path) -> str:
    """What the run of a trial was begun on; empty where it has not begun."""
    return str(run_files.read_object(directory / run_files.RECORD).get("device", ""))


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

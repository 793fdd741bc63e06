"""What an evaluation says: everything that `s2sjax eval --json` prints."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2sjax import json_objects, metrics
from s2sjax.config import Config
from s2sjax.errors import RunError
from s2sjax.metrics import Outcomes
from s2sjax.tasks.task import Task
from s2sjax.training import atomic, run_files
from s2sjax.training.journal import plain
from s2sjax.training.text_scores import of_tokens


def evaluation(
    task: Task,
    config: Config,
    step: int,
    split: str,
    results: Outcomes,
    sources: Sequence[list[int]],
    *,
    confusion: bool = False,
) -> dict[str, Any]:
    """The numbers of one evaluation by name; no times and no paths.

    Args:
      task: that was evaluated.
      config: of the run.
      step: of the parameters.
      split: that the examples are of.
      results: what became of them.
      sources: their rows of ids, without padding.
      confusion: whether to count which symbol came for which.
    """
    target = task.target_vocabulary

    def named(token: int) -> str:
        return str((target.decode([token]) or ["<eos>"])[0])

    found = metrics.summary(results) | {
        "split": split,
        "step": step,
        "decode": config.decode.strategy,
        "seed": config.seed,
        "unseen": task.unseen(list(sources), step * config.train.batch_size),
        "by_length": metrics.by_length(results),
        "by_symbol": {
            named(token): row for token, row in metrics.by_symbol(results).items()
        },
    }
    found |= of_tokens(target, results.output.tolist(), results.target.tolist())
    if confusion:
        found["confusion"] = {
            named(token): {named(came): count for came, count in row.items()}
            for token, row in metrics.confusion(results).items()
        }
    return found


def write(run: Path, found: dict[str, Any]) -> None:
    """Keeps the evaluation of a run that has ended, on test data.

    Raises:
      RunError: it could not be written.
    """
    path = run / run_files.TEST
    try:
        atomic.write_text(path, json_objects.encode(plain(found)))
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None

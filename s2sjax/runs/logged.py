"""The journal of a run, compared with what its checkpoints say was written to it.

Imports no jax.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s2sjax.errors import UsageError
from s2sjax.runs import journal, manifest, run_files
from s2sjax.runs.journal import Mark
from s2sjax.runs.manifest import Damaged, Manifest
from s2sjax.runs.progress import Progress

Say = Callable[[str], None]


def entries(run: Path, say: Say = lambda line: None) -> list[dict[str, Any]]:
    """The lines of a run's journal, also while it is trained.

    Args:
      run: its directory.
      say: takes one line for a person, where lines are damaged or missing.

    Raises:
      RunError: the journal cannot be read.
    """
    known = _marks(run)  # first, for lines are written before their mark
    return journal.read(run / run_files.METRICS, known, say)


def cut_back(path: Path, step: int, progress: Progress, say: Say) -> None:
    """Takes the lines after a checkpoint from a journal; they are written again.

    Args:
      path: of the journal.
      step: of the checkpoint, -1 before the first.
      progress: that the checkpoint kept.
      say: takes one line for a person, where lines are damaged or missing.
    """
    journal.read(path, [progress.mark], say)
    # An evaluation that was written but not saved is done, and written, again.
    journal.truncate_after(
        path,
        step,
        lambda line: line["kind"] == "train" or line["step"] <= progress.evaluated,
    )


def _marks(run: Path) -> list[Mark]:
    """The marks that a run's checkpoints kept; of a replica, those of its group."""
    progresses = _progress(run / run_files.CHECKPOINTS)
    if (run / run_files.REPLICA).is_file():
        try:
            replica = run_files.read_replica(run)
        except UsageError:  # whoever reads its parameters says so
            return []
        for progress in _progress(run / replica["checkpoints"]):
            replicas = progress.get("replicas")
            if isinstance(replicas, list) and replica["replica"] < len(replicas):
                progresses.append(replicas[replica["replica"]])
    marks = []
    for progress in progresses:
        try:
            marks.append(Progress.from_json(progress).mark)
        except UsageError:
            continue
    return marks


def _progress(checkpoints: Path) -> list[dict[str, Any]]:
    """What the checkpoints that are whole keep, beside their arrays."""
    progresses = []
    for step in manifest.steps(checkpoints):
        try:
            file = (checkpoints / str(step) / manifest.NAME).stat()
            saved = _read(checkpoints / str(step), file.st_mtime_ns, file.st_size)
        except (OSError, Damaged):  # or deleted just now
            continue
        progresses.append(saved.progress)
    return progresses


@functools.lru_cache(maxsize=8)  # of a group, all of whose trials are asked for
def _read(checkpoint: Path, changed: int, size: int) -> Manifest:
    return manifest.read(checkpoint)

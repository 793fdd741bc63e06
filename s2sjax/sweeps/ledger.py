"""`trials.jsonl`: a row per trial, derived from the trials' directories.

It is for people and for `s2sjax report`, and never read to decide what to do: a row
that is lost or half written comes back whole with the next launch.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from s2sjax import json_objects
from s2sjax.errors import RunError, UsageError
from s2sjax.runs import atomic
from s2sjax.sweeps import trial_files
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.trials import Trial

NAME = "trials.jsonl"
SECONDS, MANY = 1.0, 1000  # between two writings of it, for each so many trials


class Ledger:
    """How all trials of a sweep stand; written at the end, and now and then before.

    That is once a second, of some thousand trials as many times less often: what is
    written grows with the time that the sweep takes, and not with its size besides.

    `results` holds how each trial ended, by name; those that have not are missing.

    Args:
      sweep: the trials.
      say: takes a line for each trial whose end cannot be read.
    """

    def __init__(
        self, sweep: SweepDirectory, say: Callable[[str], None] = lambda line: None
    ):
        self._sweep = sweep
        self.results: dict[str, Result] = {}
        self.running: set[str] = set()
        self._written = -math.inf
        self._lines: dict[str, str] = {}
        self._attempts: dict[str, int] = {}  # before those whose end is to come
        for trial in sweep.trials:
            try:
                result = trial_files.read_result(sweep.of(trial))
            except UsageError as error:
                say(f"{error}; the trial's end is found again")
                continue
            if result is None:
                continue
            if result.status == trial_files.AGAIN:
                self._attempts[trial.name] = result.attempts
            else:
                self.results[trial.name] = result

    def status(self, trial: Trial) -> str:
        """done, failed, pruned, running or pending."""
        if trial.name in self.results:
            return self.results[trial.name].status
        return "running" if trial.name in self.running else "pending"

    def count(self, status: str, trials: Sequence[Trial]) -> int:
        """How many of some trials have a status."""
        return sum(self.status(trial) == status for trial in trials)

    def begin(self, trial: Trial) -> None:
        """A trial runs, again perhaps: how it ended before counts no more.

        Raises:
          RunError: the disk is full.
        """
        before = self.results.pop(trial.name, None)
        if before is not None:
            self._attempts[trial.name] = before.attempts
            self._write_result(
                trial, Result(trial_files.AGAIN, attempts=before.attempts)
            )
        self.running.add(trial.name)
        self._changed(trial)

    def pause(self, trial: Trial) -> None:
        """A trial stopped before its end, and waits for another turn."""
        self.running.discard(trial.name)
        self._changed(trial)

    def end(self, trial: Trial, result: Result) -> None:
        """A trial ended: written to its directory first, then to the table.

        Raises:
          RunError: the disk is full; the trial is run again by the next launch.
        """
        attempts = self._attempts.pop(trial.name, 0) + result.attempts
        seed = trial.config.seed
        result = dataclasses.replace(result, attempts=attempts, seed=seed)
        self._write_result(trial, result)
        self.running.discard(trial.name)
        self.results[trial.name] = result
        self._changed(trial)

    def passed(self) -> None:
        """Writes the table where it is behind; to be called now and then."""
        if len(self._lines) < len(self._sweep.trials):
            self._write_sometimes()

    def write(self) -> None:
        """Writes the table.

        Raises:
          RunError: it could not be written.
        """
        for trial in self._sweep.trials:
            if trial.name not in self._lines:
                row = json_objects.encode(self.row(trial), indent=None)
                self._lines[trial.name] = row
        lines = (self._lines[trial.name] for trial in self._sweep.trials)
        try:
            atomic.write_text(self._sweep.path / NAME, "".join(lines))
        except OSError as error:
            path = self._sweep.path / NAME
            raise RunError(f"cannot write {path}: {error.strerror}") from None
        self._written = time.monotonic()

    def row(self, trial: Trial) -> dict[str, Any]:
        """What the table says of a trial."""
        attempts, seed = self._attempts.get(trial.name, 0), trial.config.seed
        empty = Result("pending", attempts=attempts)
        result = dataclasses.asdict(self.results.get(trial.name, empty))
        return {
            "index": trial.index,
            "name": trial.name,
            "overrides": trial.overrides,
            **result,
            "seed": seed,
            "status": self.status(trial),
            "config_hash": trial.config_hash,
            "command": self._sweep.commands[trial.name],
        }

    def _write_result(self, trial: Trial, result: Result) -> None:
        directory = self._sweep.of(trial)
        try:
            trial_files.restore_config(directory, trial)
            trial_files.write_result(directory, result)
        except OSError as error:
            raise RunError(f"cannot write to {directory}: {error.strerror}") from None

    def _changed(self, trial: Trial) -> None:
        self._lines.pop(trial.name, None)
        self._write_sometimes()

    def _write_sometimes(self) -> None:
        wait = SECONDS * max(1.0, len(self._sweep.trials) / MANY)
        if time.monotonic() - self._written >= wait:
            self.write()

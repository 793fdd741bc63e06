"""Runs the trials of a sweep in a pool, whatever happens to their workers.

A worker may end well, fail, be preempted, fall silent; none of it touches another
trial. What is known stands in files, so that a launcher that is killed loses nothing.
"""

import dataclasses
import math
import os
import re
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from s2sjax import config as configs
from s2sjax.runs import manifest
from s2sjax.runs.lock import is_held
from s2sjax.sweeps import trial_files
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.protocols import (
    FREED,
    UNSEEN,
    AdoptedWorker,
    Command,
    Ended,
    Job,
    Pool,
    SweepObserver,
    TrialQueue,
)
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.trials import Trial
from s2sjax.training.interruption import Signals

POLL_SECONDS = 0.05
STOP_SECONDS = 7.0  # that workers have to save in when the launcher is to end
# After which a worker that was killed has ended, whatever its engine says.
KILLED_SECONDS = 10.0
WORD_SECONDS = 30.0  # of waiting before a line says what for
# Asked to end, or killed by what owns the machine: SIGTERM, SIGINT, SIGKILL.
PREEMPTED = (143, 130, 137, -15, -2, -9)
USAGE = 2  # trying again gives the same
_SIGNS_OF_LIFE = ("metrics.jsonl", "checkpoints", "run.json", trial_files.LOG)


@dataclasses.dataclass(frozen=True)
class Budgets:
    """How often a trial is tried again, and how long its worker may be silent.

    Preemptions count from the last checkpoint: a trial that comes any further between
    two of them, or two time limits, is healthy.
    """

    failed: int = 1
    preempted: int = 10
    silence: float = 1800.0  # seconds


@dataclasses.dataclass
class _Running:
    trial: Trial
    job: Job
    step: int  # of its newest checkpoint when it was started
    ending: str = ""  # "pruned", "silent" or "stopped": why we asked it to end
    due: float = math.inf  # when it has ended whatever its engine says, monotonic


def run(
    sweep: SweepDirectory,
    ledger: Ledger,
    queue: TrialQueue,
    pool: Pool,
    command: Command,
    signals: Signals,
    budgets: Budgets | None = None,
    observer: SweepObserver | None = None,
) -> None:
    """Runs the trials of a queue until it has no more, or a signal comes.

    Args:
      sweep: where the trials are.
      ledger: is told what becomes of each.
      queue: gives them.
      pool: where they run.
      command: of a trial's directory; it starts or continues its run.
      signals: the first one makes all workers save and end.
      budgets: of new tries.
      observer: is told how it goes.

    Raises:
      RunError: the disk is full; workers are stopped.
    """
    to = sweep, ledger, queue, pool, command
    watched = budgets or Budgets(), observer or SweepObserver(), signals
    scheduler = _Scheduler(*to, *watched)
    try:
        scheduler.run()
    finally:
        scheduler.stop(lambda running, ended: None)  # after an error of our own
        ledger.write()


@dataclasses.dataclass
class _Scheduler:
    sweep: SweepDirectory
    ledger: Ledger
    queue: TrialQueue
    pool: Pool
    command: Command
    budgets: Budgets
    observer: SweepObserver
    signals: Signals

    def __post_init__(self) -> None:
        self.running: dict[int, _Running] = {}  # by slot
        self.again: list[Trial] = []
        self.failed: Counter[str] = Counter()
        self.preempted: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.waits = math.inf  # since when the pool waits, monotonic
        self.said: set[str] = set()  # of what it waits for, and of nodes

    def run(self) -> None:
        while not self.signals.received:
            self._fill()
            if not self.running:
                return
            self._pass(self._ended)
        self.stop(self._ended)

    def stop(self, ended: Callable[[_Running, Ended], None]) -> None:
        """Has what runs save and end, and leaves what has not after some seconds."""
        for running in self.running.values():
            running.ending = running.ending or "stopped"
            running.job.stop()
        until = time.monotonic() + STOP_SECONDS
        while self.running and time.monotonic() < until:
            self._pass(ended)
        left = [f"{r.trial.name} ({r.job})" for r in self.running.values()]
        if left:
            what = ", ".join(left[:5]) + f" and {len(left) - 5} more" * (len(left) > 5)
            self.observer.message(f"not ended yet, and left as they are: {what}")
        for running in self.running.values():
            self.ledger.pause(running.trial)
        self.running.clear()

    def _pass(self, ended: Callable[[_Running, Ended], None]) -> None:
        begun = time.monotonic()
        time.sleep(POLL_SECONDS)
        for slot, running in list(self.running.items()):
            how = running.job.poll()
            if how is None and time.monotonic() > running.due:
                how = Ended(-9)
            if how is not None:
                del self.running[slot]
                ended(running, how)
            else:
                self._watch(running)
        self._tell_waiting()
        if self.running and all(r.job.since is None for r in self.running.values()):
            self.observer.waited(time.monotonic() - begun)
        self.observer.passed()
        self.ledger.passed()

    def _tell_waiting(self) -> None:
        """Says what jobs wait for, once for each thing that it may be."""
        what, now = self.pool.waiting(), time.monotonic()
        if not what:
            self.waits = math.inf
            return
        self.waits = min(self.waits, now)
        kind = re.sub(r"\d+", "", what)  # and not how many
        if now - self.waits >= WORD_SECONDS and kind not in self.said:
            self.said.add(kind)
            self.observer.message(f"waiting: {what}")

    def _fill(self) -> None:
        for slot in range(self.pool.size):
            while slot not in self.running:
                if self.signals.received:
                    return
                trial = self.queue.next() or (self.again.pop(0) if self.again else None)
                if trial is None:
                    return
                self._start(trial, slot)

    def _start(self, trial: Trial, slot: int) -> None:
        name, directory = trial.name, self.sweep.of(trial)
        step = _newest_step(directory)  # before a worker can come any further
        self.ledger.begin(trial)
        self.attempts[name] += 1
        job = self.pool.adopt(directory)
        if job is None and is_held(directory):
            job = AdoptedWorker(directory)
        if job is not None:
            what = f"{name} is under way already"
            self.observer.message(f"{what}; waiting for {job}")
        elif self._is_done(trial):
            return
        else:
            trial_files.restore_config(directory, trial)
            log = directory / trial_files.LOG
            job = self.pool.start(self.command(directory), log, slot)
        self.running[slot] = _Running(trial, job, step)

    def _watch(self, running: _Running) -> None:
        directory = self.sweep.of(running.trial)
        if running.ending in ("silent", "stopped"):
            return
        if self._silence(running, directory) > self.budgets.silence:
            running.ending = running.ending or "silent"
            running.due = time.monotonic() + KILLED_SECONDS
            running.job.kill()
        elif not running.ending and self.queue.prunes(running.trial, directory):
            running.ending = "pruned"
            running.job.stop()

    def _silence(self, running: _Running, directory: Path) -> float:
        if running.job.since is None:
            return 0.0
        last = max(_modified(directory / name) for name in _SIGNS_OF_LIFE)
        return time.time() - max(last, running.job.since)

    def _is_done(self, trial: Trial) -> bool:
        """Whether a worker has brought a trial to its end; it is ended then."""
        directory = self.sweep.of(trial)
        measured = trial_files.measured(directory, trial.config.train.metric_name)
        if measured["test"]:
            self._end(trial, Result("done", **measured))
        return bool(measured["test"])

    def _ended(self, running: _Running, ended: Ended) -> None:
        trial, name = running.trial, running.trial.name
        directory, since = self.sweep.of(trial), running.job.since
        files = configs.user_files(trial.config).values()
        gone = [file for file in files if not os.path.exists(file)]
        if since is not None:
            self.seconds[name] += max(time.time() - since, 0.0)
        came_further = _newest_step(directory) > running.step
        if ended.code in (0, FREED) and self._is_done(trial):
            return
        if running.ending == "pruned":
            metric = trial.config.train.metric_name
            measured = trial_files.measured(directory, metric)
            self._end(trial, Result("pruned", **measured))
        elif running.ending == "stopped":
            self.ledger.pause(trial)
        elif running.ending == "silent":
            self._failed(trial, f"no sign of life for {self.budgets.silence:g} s")
        # A launcher that was killed had started a worker, which took the lock before
        # ours could: it is waited for.
        elif ended.code == FREED or (ended.code == USAGE and is_held(directory)):
            self._once_more(trial)
        elif ended.code == USAGE and gone:
            said = f"{gone[0]} is gone; {name} waits for the next launch"
            self.observer.message(said)
            self.ledger.pause(trial)
        elif ended.code in PREEMPTED:
            why = ended.why or _described(ended.code)
            self._preempted(trial, why, "was preempted", is_healthy=came_further)
        elif ended.code == UNSEEN:
            if ended.why not in self.said:
                self.said.add(ended.why)
                self.observer.message(ended.why)
            self._preempted(trial, ended.why)
        else:
            why = ended.why or _why(directory / trial_files.LOG, ended.code)
            self._failed(trial, why, final=ended.code == USAGE)

    def _preempted(
        self, trial: Trial, why: str, said: str = "", is_healthy: bool = False
    ) -> None:
        count = self.preempted[trial.name] = (
            0 if is_healthy else self.preempted[trial.name] + 1
        )
        if count > self.budgets.preempted:
            error = f"preempted {count} times, {why}"
            self._end(trial, Result("failed", error=error))
        else:
            self._once_more(trial, said and f"{said} ({why})")

    def _failed(self, trial: Trial, why: str, final: bool = False) -> None:
        self.failed[trial.name] += 1
        if final or self.failed[trial.name] > self.budgets.failed:
            self._end(trial, Result("failed", error=why))
        else:
            self._once_more(trial, f"failed ({why})")

    def _once_more(self, trial: Trial, what: str = "") -> None:
        self.ledger.pause(trial)
        self.again.append(trial)
        if what:
            self.observer.message(f"{trial.name} {what}; it is tried again")

    def _end(self, trial: Trial, result: Result) -> None:
        directory = self.sweep.of(trial)
        # Where only earlier launches saw it, the run knows how long it trained.
        seconds = self.seconds[trial.name] or trial_files.trained_seconds(directory)
        result = dataclasses.replace(
            result,
            seconds=round(seconds, 3),
            device=trial_files.device(directory),
            attempts=self.attempts[trial.name],
        )
        self.ledger.end(trial, result)
        self.queue.ended(trial, result)
        self.observer.ended(trial, result)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _newest_step(directory: Path) -> int:
    """Of the checkpoints of a trial; -1 where there is none."""
    return max(manifest.steps(directory / "checkpoints"), default=-1)


def _described(code: int) -> str:
    """An exit code in words.

    >>> _described(-9), _described(143)
    ('signal 9', 'exit code 143')
    """
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _why(log: Path, code: int) -> str:
    """The last line that a worker printed, where that is the reason why it ended.

    Before a signal it printed what it did, and no reason; but where it sent itself one,
    to abort.
    """
    try:
        with open(log, "rb") as file:
            file.seek(max(log.stat().st_size - 4096, 0))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        lines = []
    printed = [line.strip() for line in lines if line.strip()]
    last = printed[-1].removeprefix("s2sjax: ")[:500] if printed else ""
    if code == 0:
        last = "it ended without an evaluation on test data"
    elif (code < 0 or code > 128) and code not in (-signal.SIGABRT, 134):
        return _described(code)
    return f"{_described(code)}: {last or 'it printed nothing'}"

"""Runs the trials of a sweep in a pool, whatever happens to their workers.

A worker may end well, fail, be preempted, fall silent; none of it touches another
trial. What is known stands in files, so that a launcher that is killed loses nothing.
"""

import dataclasses
import os
import time
from collections import Counter, defaultdict
from pathlib import Path

from s2sjax import config as configs
from s2sjax.runs.lock import is_held
from s2sjax.sweeps import trial_files
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.protocols import (
    FREED,
    AdoptedWorker,
    Command,
    Job,
    Pool,
    SweepObserver,
    TrialQueue,
)
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.trials import Trial
from s2sjax.training.interruption import Signals

POLL_SECONDS = 0.05
# Asked to end, or killed by what owns the machine: SIGTERM, SIGINT, SIGKILL.
PREEMPTED = (143, 130, 137, -15, -2, -9)
USAGE = 2  # trying again gives the same
_SIGNS_OF_LIFE = ("metrics.jsonl", "checkpoints", "run.json", trial_files.LOG)


@dataclasses.dataclass(frozen=True)
class Budgets:
    """How often a trial is tried again, and how long its worker may be silent."""

    failed: int = 1
    preempted: int = 10
    silence: float = 1800.0  # seconds


@dataclasses.dataclass
class _Running:
    trial: Trial
    job: Job
    since: float  # wall clock, comparable with the times of files
    ending: str = ""  # "pruned", "silent" or "stopped": why we stopping it to end


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
    scheduler = _Scheduler(*to, budgets or Budgets(), observer or SweepObserver())
    try:
        scheduler.run(signals)
    finally:
        scheduler.stop()
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

    def __post_init__(self) -> None:
        self.running: dict[int, _Running] = {}  # by slot
        self.again: list[Trial] = []
        self.failed: Counter[str] = Counter()
        self.preempted: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def run(self, signals: Signals) -> None:
        stopping = False
        while True:
            if signals.received and not stopping:
                stopping = True
                self._stop_all()
            if not stopping:
                self._fill()
            if not self.running:
                return
            time.sleep(POLL_SECONDS)
            for slot, running in list(self.running.items()):
                code = running.job.poll()
                if code is not None:
                    del self.running[slot]
                    self._ended(running, code)
                elif not running.ending:
                    self._watch(running)
            self.observer.passed()
            self.ledger.passed()

    def stop(self) -> None:
        """Ends what still runs, after an error of our own."""
        self._stop_all()
        for running in self.running.values():
            while (
                not isinstance(running.job, AdoptedWorker)
                and running.job.poll() is None
            ):
                time.sleep(POLL_SECONDS)
            self.ledger.running.discard(running.trial.name)

    def _stop_all(self) -> None:
        for running in self.running.values():
            running.ending = running.ending or "stopped"
            running.job.stop()
        waiting = [
            s for s, r in self.running.items() if isinstance(r.job, AdoptedWorker)
        ]
        for slot in waiting:
            self.ledger.pause(self.running.pop(slot).trial)

    def _fill(self) -> None:
        for slot in range(self.pool.size):
            if slot in self.running:
                continue
            trial = self.queue.next() or (self.again.pop(0) if self.again else None)
            if trial is None:
                return
            self._start(trial, slot)

    def _start(self, trial: Trial, slot: int) -> None:
        directory = self.sweep.of(trial)
        self.ledger.begin(trial)
        since = time.time()
        job: Job
        if is_held(directory):
            self.observer.message(
                f"{trial.name} is being trained already; waiting for it"
            )
            job = AdoptedWorker(directory)
        else:
            trial_files.restore_config(directory, trial)
            log = directory / trial_files.LOG
            self.attempts[trial.name] += 1
            job = self.pool.start(self.command(directory), log, slot)
        self.running[slot] = _Running(trial, job, since)

    def _watch(self, running: _Running) -> None:
        directory = self.sweep.of(running.trial)
        if self._silence(running, directory) > self.budgets.silence:
            running.ending = "silent"
            running.job.kill()
        elif self.queue.prunes(running.trial, directory):
            running.ending = "pruned"
            running.job.stop()

    def _silence(self, running: _Running, directory: Path) -> float:
        last = max(_modified(directory / name) for name in _SIGNS_OF_LIFE)
        if self.pool.queues and last < running.since:
            return 0.0
        return time.time() - max(last, running.since)

    def _ended(self, running: _Running, code: int) -> None:
        trial, name = running.trial, running.trial.name
        directory = self.sweep.of(trial)
        files = configs.user_files(trial.config).values()
        gone = [file for file in files if not os.path.exists(file)]
        self.seconds[name] += time.time() - running.since
        measured = trial_files.measured(directory, trial.config.train.metric_name)
        # A launcher that was killed had started a worker, which took the lock before
        # ours could: it is waited for.
        if code == FREED or (code == USAGE and is_held(directory)):
            self._once_more(trial)
        elif code == 0 and measured["test"]:
            self._end(trial, Result("done", **measured))
        elif running.ending == "pruned":
            self._end(trial, Result("pruned", **measured))
        elif running.ending == "stopped":
            self.ledger.pause(trial)
        elif code == USAGE and gone:
            said = f"{gone[0]} is gone; {name} waits for the next launch"
            self.observer.message(said)
            self.ledger.pause(trial)
        elif code in PREEMPTED and running.ending != "silent":
            self.preempted[name] += 1
            if self.preempted[name] > self.budgets.preempted:
                times = f"preempted {self.preempted[name]} times"
                self._end(trial, Result("failed", error=f"{times}, {_described(code)}"))
            else:
                self._once_more(trial, f"was preempted ({_described(code)})")
        else:
            self._failed(running, code)

    def _failed(self, running: _Running, code: int) -> None:
        trial, name = running.trial, running.trial.name
        why = _why(self.sweep.of(trial) / trial_files.LOG, code)
        if running.ending == "silent":
            why = f"no sign of life for {self.budgets.silence:g} s"
        self.failed[name] += 1
        if code == USAGE or self.failed[name] > self.budgets.failed:
            self._end(trial, Result("failed", error=why))
        else:
            self._once_more(trial, f"failed ({why})")

    def _once_more(self, trial: Trial, what: str = "") -> None:
        self.ledger.pause(trial)
        self.again.append(trial)
        if what:
            self.observer.message(f"{trial.name} {what}; it is tried again")

    def _end(self, trial: Trial, result: Result) -> None:
        result = dataclasses.replace(
            result,
            seconds=round(self.seconds[trial.name], 3),
            device=trial_files.device(self.sweep.of(trial)),
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


def _described(code: int) -> str:
    """An exit code in words.

    >>> _described(-9), _described(143)
    ('signal 9', 'exit code 143')
    """
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _why(log: Path, code: int) -> str:
    """The last line that a worker printed, which is the reason of one that failed."""
    try:
        with open(log, "rb") as file:
            file.seek(max(log.stat().st_size - 4096, 0))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        lines = []
    printed = [line.strip() for line in lines if line.strip()]
    last = (
        printed[-1].removeprefix("s2sjax: ")[:500] if printed else "it printed nothing"
    )
    return f"{_described(code)}: {last}"

"""One compiled program per group of trials, in this process; see `batched.loop`."""

import contextlib
import dataclasses
import sys
from collections import deque
from collections.abc import Sequence

import jax
from jax.errors import JaxRuntimeError

from s2sjax import tasks
from s2sjax.config import Config
from s2sjax.errors import RunError, UsageError
from s2sjax.runs import code, directory, provenance, run_files, slices
from s2sjax.sweeps import backends, trial_files
from s2sjax.sweeps.batched import fitting, grouping, stored_group
from s2sjax.sweeps.batched.loop import Callbacks, ReplicaLoop
from s2sjax.sweeps.batched.programs import padded_size
from s2sjax.sweeps.batched.replica import Replica
from s2sjax.sweeps.batched.stored_group import StoredGroup
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.protocols import SweepObserver, TrialQueue
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.trials import Trial
from s2sjax.training.interruption import Signals

OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"  # as XLA calls it
PROPOSALS = 8  # of a search at a time, or as many as there are devices


def check(trials: Sequence[Trial]) -> None:
    """Refuses what cannot be trained like this, before anything is written.

    Raises:
      UsageError: a trial whose examples are of several widths, or that is too large
        for the device.
    """
    reason = backends.obstacle(trials)
    if reason:
        raise UsageError(f"{reason}; use backend=processes")
    fitting.fit(trials)


def proposals() -> int:
    """How many trials of a search are trained at a time: the devices share them."""
    return padded_size(PROPOSALS, len(jax.devices()))


def run(
    sweep: SweepDirectory,
    ledger: Ledger,
    queue: TrialQueue,
    signals: Signals,
    observer: SweepObserver,
    at_once: int | None = None,
) -> None:
    """Trains the trials of a queue, group by group, in this process.

    Args:
      sweep: where the trials are.
      ledger: notes what becomes of each.
      queue: gives them.
      signals: the first one makes the group in training save and end.
      observer: is told how it goes.
      at_once: trials that are taken from the queue before the first of them is
        trained; None: all that it has.

    Raises:
      UsageError: a trial that cannot be trained like this.
      RunError: the disk is full.
    """
    launch = _Launch(sweep, ledger, queue, signals, observer)
    trained: set[str] = set()
    try:
        while not signals.received and (taken := _taken(queue, at_once)):
            left = [trial for trial in taken if trial.name not in trained]
            for trial in left:
                if trial_files.has_begun(sweep.of(trial)):
                    raise UsageError(
                        f"{sweep.of(trial)} was begun by another backend; go on with "
                        f"backend=processes"
                    )
            waiting = deque(launch.groups(left))
            while waiting and not signals.received:
                group, names = waiting.popleft()
                trained |= names
                waiting.extendleft(reversed(launch.train(group, names)))
    finally:
        ledger.write()


Left = tuple[StoredGroup, set[str]]  # a group, and the names of those left to train


@dataclasses.dataclass(frozen=True)
class _Launch:
    """What a launch trains, and who is told; see `run`."""

    sweep: SweepDirectory
    ledger: Ledger
    queue: TrialQueue
    signals: Signals
    observer: SweepObserver

    def groups(self, trials: Sequence[Trial]) -> list[Left]:
        """The groups that hold some trials: those that were begun, then new ones.

        A trial that failed leaves its group, which has nothing for it to go on from. A
        group that was begun goes on with all of its trials, `trials` or not, since
        they take their steps together.
        """
        begun = stored_group.read(self.sweep.path, self.sweep.trials)
        home = {trial.name: group for group in begun for trial in group.trials}
        over = self.ledger.results
        wanted = [home.get(trial.name) for trial in trials if trial.name not in over]
        unfinished = [
            (group, {n for n in home if home[n] is group and n not in over})
            for group in begun
            if group in wanted
        ]
        grouped = {name for _, names in unfinished for name in names}
        new = fitting.fit([t for t in trials if t.name not in grouped])
        return unfinished + self._write([group.trials for group in new])

    def _write(self, groups: Sequence[Sequence[Trial]]) -> list[Left]:
        devices = len(jax.devices())
        written = []
        for trials in groups:
            size = padded_size(len(trials), devices)
            group = stored_group.write(self.sweep.path, trials, size)
            written.append((group, {trial.name for trial in trials}))
        return written

    def train(self, group: StoredGroup, names: set[str]) -> list[Left]:
        """Trains those of a group that are left to their end, or until a signal.

        Returns:
          The groups to train in place of this one, where it did not fit into memory
          in spite of the estimate; else none.

        Raises:
          RunError: the disk is full.
        """
        reason = ""
        try:
            self._run(group, names)
        except OSError as error:
            what = f"cannot write to {group.path}"
            raise RunError(f"{what}: {error.strerror}") from None
        except JaxRuntimeError as error:
            reason = str(error).partition("\n")[0]
        finally:
            running = [t for t in group.trials if t.name in self.ledger.running]
            for trial in running:
                self.ledger.pause(trial)
        if not reason or not running:
            return []
        if OUT_OF_MEMORY in reason and len(group.trials) > 1 and not group.has_saved:
            return self._split(group, running, reason)
        for trial in running:
            self._end(trial, Result("failed", error=reason))
        return []

    def _run(self, group: StoredGroup, names: set[str]) -> None:
        replicas = self._begin(group, names)
        widest = grouping.Group(group.trials).widest
        widest = code.of_run(replicas[0].book.folder, widest)
        with _precision(widest):
            ReplicaLoop(group, widest, replicas, self._callbacks()).run()

    def _split(
        self, group: StoredGroup, trials: list[Trial], reason: str
    ) -> list[Left]:
        """Two groups, from their first step on, in place of this one."""
        half = (len(trials) + 1) // 2
        self.observer.message(
            f"{len(group.trials)} trials do not fit into memory together ({reason}); "
            f"they are trained in parts of {half}"
        )
        parts = [part for part in (trials[:half], trials[half:]) if part]
        written = self._write(parts)
        stored_group.forget(group)
        return written

    def _begin(self, group: StoredGroup, names: set[str]) -> list[Replica]:
        environment = provenance.describe(["s2sjax", *sys.argv[1:]])
        replicas = []
        for place, trial in enumerate(group.trials):
            path = self.sweep.of(trial)
            # First, for files that cannot be used any more are refused before a start.
            task = tasks.create(trial.config, path / run_files.DATA)
            if trial.name in names:
                self.ledger.begin(trial)
                trial_files.restore_config(path, trial)
                with directory.open_for_training(
                    path,
                    trial.config,
                    environment=environment,
                    check_data=tasks.check_sources,
                    say=self.observer.message,
                ):
                    slices.write(path, group.checkpoints, place)
            replica = Replica.of(trial, path, task)
            replica.ended = "" if trial.name in names else "over"
            replicas.append(replica)
        self.ledger.write()  # that they run: compiling takes a while
        return replicas

    def _callbacks(self) -> Callbacks:
        return Callbacks(
            stop=lambda: self.signals.received is not None,
            passed=self._passed,
            failed=lambda r, error: self._end(
                r.trial, Result("failed", error=error), r
            ),
            tested=lambda replica: self._measured(replica, "done"),
            prunes=lambda r: self.queue.prunes(r.trial, r.book.folder),
            pruned=lambda replica: self._measured(replica, "pruned"),
            message=self.observer.message,
        )

    def _passed(self) -> None:
        self.observer.passed()
        self.ledger.passed()

    def _measured(self, replica: Replica, status: str) -> None:
        metric = replica.trial.config.train.metric_name
        measured = trial_files.measured(replica.book.folder, metric)
        self._end(replica.trial, Result(status, **measured), replica)

    def _end(
        self, trial: Trial, result: Result, replica: Replica | None = None
    ) -> None:
        """Reports a trial's end, once."""
        if trial.name in self.ledger.results:
            return
        result = dataclasses.replace(
            result,
            seconds=round(replica.book.progress.seconds, 3) if replica else 0.0,
            device=trial_files.device(self.sweep.of(trial)),
        )
        self.ledger.end(trial, result)
        self.queue.ended(trial, result)
        self.observer.ended(trial, result)


def _taken(queue: TrialQueue, most: int | None) -> list[Trial]:
    """The next trials of a queue, those that it has or the first so many."""
    trials: list[Trial] = []
    while most is None or len(trials) < most:
        trial = queue.next()
        if trial is None:
            break
        trials.append(trial)
    reason = backends.obstacle(trials)
    if reason:
        raise UsageError(f"{reason}; use backend=processes")
    return trials


def _precision(config: Config) -> contextlib.AbstractContextManager[None]:
    """That of the matrix products, as `s2sjax train` sets it for the whole process."""
    if config.train.precision == "default":
        return contextlib.nullcontext()
    return jax.default_matmul_precision(config.train.precision)

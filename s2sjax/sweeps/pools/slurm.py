"""Trials as jobs of Slurm, by its own `sbatch`, `squeue` and `scancel`.

Slurm requeues nothing: the launcher does, which counts. `squeue` is asked for all jobs
at once and needs no accounting; a job that it does not know has ended.
"""

import math
import os
import re
import shutil
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from s2sjax.errors import RunError, UsageError, unknown
from s2sjax.sweeps.pools import slurm_files
from s2sjax.sweeps.pools.slurm_files import NO_PROGRAM, NO_TRIAL, Notes
from s2sjax.sweeps.pools.slurm_programs import (
    ANSWER_SECONDS,
    Answer,
    Call,
    Row,
    Squeue,
)
from s2sjax.sweeps.protocols import UNSEEN, Ended, unseen

SIZE = 100  # jobs at a time, where nobody says
# Slurm sends SIGTERM so long before a job's limit, or up to a minute earlier.
SAVE_SECONDS = 60
LEAST_MINUTES = 5
LOOK_SECONDS = 0.5  # between two looks at a job
EXPLAIN_SECONDS = 4.0  # that squeue and a note may differ
AGAIN_SECONDS = 30.0  # before a job that was refused is offered again
_KILLED = (128 + signal.SIGTERM, 128 + signal.SIGKILL)
# What sbatch says also of nodes that are down.
_NOT_NOW = ("node configuration is not available", "drained", "busy")


@dataclass(frozen=True)
class Request:
    """What a trial asks of Slurm; what is empty or 0 is the cluster's default."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    cpus: int = 1
    gpus: int = 0
    memory: float = 0.0  # GiB
    minutes: int = 60

    def flags(self) -> list[str]:
        """As sbatch has them."""
        given = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "gpus-per-node": self.gpus,
            "mem": f"{self.memory * 1024:.0f}M" if self.memory else "",
            "cpus-per-task": self.cpus,
            "time": self.minutes,
            "signal": f"TERM@{SAVE_SECONDS}",
            "output": os.devnull,
        }
        flags = [f"--{name}={value}" for name, value in given.items() if value]
        return ["--parsable", "--nodes=1", "--ntasks=1", "--no-requeue", *flags]


class Slurm:
    """A pool of jobs; the directory of the sweep is on a file system of all nodes.

    Args:
      sweep: the directory of the sweep.
      size: jobs that wait or run at a time; None: a hundred.
      request: what each asks for.

    Raises:
      UsageError: Slurm is not here, or refuses such jobs.
    """

    def __init__(self, sweep: Path, size: int | None, request: Request):
        self.size = size or SIZE
        self._name, self._request = sweep.absolute().name, request
        if request.minutes < LEAST_MINUTES:
            raise UsageError(
                f"minutes={request.minutes} is no time to train and save in: Slurm "
                f"has a job save up to 2 minutes before its limit; "
                f"minutes={LEAST_MINUTES} would do"
            )
        _try(request)
        self.squeue = Squeue()
        self._jobs: list[SlurmJob] = []  # that have a number
        self._offered: list[SlurmJob] = []  # that are to get one, in turn
        self._offer_at = 0.0
        self._refusal = ""
        self._has_taken = False  # whether Slurm has taken any
        self._missing: set[str] = set()  # nodes that can run no trial
        self._to_end: defaultdict[str, list[str]] = defaultdict(list)  # by signal
        self._calls: dict[str, Call] = {}  # that run, one of a program

    def start(self, command: Sequence[str], log: Path, slot: int) -> "SlurmJob":
        """Queues a command; see `Pool`."""
        directory = log.parent.absolute()
        text = slurm_files.script(directory, command, self._request.cpus)
        job = SlurmJob(self, directory, text)
        self._offered.append(job)
        return job

    def adopt(self, directory: Path) -> "SlurmJob | None":
        """See `Pool`; also a job of which squeue says nothing right now."""
        number = slurm_files.read_number(directory)
        if not number:
            return None
        self.squeue.wait()
        row = self.squeue.row(number)
        has_ended = slurm_files.read_notes(directory, number).code is not None
        if has_ended or (row is not None and row.is_over):
            return None
        job = SlurmJob(self, directory.absolute())
        job.number = number
        self._jobs.append(job)
        return job

    def waiting(self) -> str:
        """See `Pool`."""
        pending = defaultdict(list)
        for job in self._jobs:
            row = self.squeue.row(job.number, job.queued)
            if row is not None and row.waits:
                pending[row.partition].append(
                    row.reason.replace("None", "no reason yet")
                )
        what = []
        for partition, reasons in pending.items():
            jobs = f"{len(reasons)} job{'s' * (len(reasons) > 1)}"
            why = ", ".join(sorted({*reasons} - {"None"}))
            what.append(
                f"{jobs} pending in partition {partition}" + f" ({why})" * bool(why)
            )
        if self._refusal:
            what.append(f"Slurm takes no more jobs: {self._refusal}")
        sbatch = self._calls.get("sbatch")
        if sbatch is not None and sbatch.seconds > ANSWER_SECONDS:
            what.append("an answer to sbatch")
        if self.squeue.silence:
            what.append(f"squeue says nothing of jobs: {self.squeue.silence}")
        return "; ".join(what)

    def close(self) -> None:
        """Tells Slurm of the last jobs that are to end, and waits for nothing else."""
        until = time.monotonic() + 1.0
        while (self._to_end or "scancel" in self._calls) and time.monotonic() < until:
            self._cancel()
            time.sleep(0.02)
        for call in self._calls.values():
            call.close()
        self.squeue.close()

    def turn(self) -> None:
        """Takes what Slurm has answered, and asks what is to be asked."""
        self._offer()
        self._cancel()
        self.squeue.turn(bool(self._jobs))

    def withdraw(self, job: "SlurmJob") -> bool:
        """Whether a job without a number gets none; sbatch may have it already."""
        is_at_sbatch = "sbatch" in self._calls and job is self._offered[0]
        if job in self._offered and not is_at_sbatch:
            self._offered.remove(job)
        return job not in self._offered

    def end(self, job: "SlurmJob", name: str = "") -> None:
        """Sends a signal to the trial of a job; without a name, ends the job."""
        self._to_end[name].append(job.number)

    def forget(self, job: "SlurmJob") -> None:
        """A job is over."""
        self._jobs.remove(job)

    def leave_out(self, host: str) -> None:
        """Has no trial run on a node, those in the queue included."""
        self._missing.add(host)
        rows = {job.number: self.squeue.row(job.number) for job in self._jobs}
        numbers = [number for number, row in rows.items() if row and row.waits]
        self._answer("scontrol")
        if numbers and "scontrol" not in self._calls:
            jobs, nodes = ",".join(numbers), ",".join(sorted(self._missing))
            words = ("update", f"jobid={jobs}", f"excnodelist={nodes}")
            self._calls["scontrol"] = Call("scontrol", *words)

    def _answer(self, program: str) -> Answer | None:
        """What a program has answered, if it runs and has; it runs no more then."""
        call = self._calls.get(program)
        answer = None if call is None else call.answer()
        if answer is not None:
            del self._calls[program]
        return answer

    def _offer(self) -> None:
        if "sbatch" in self._calls:
            answer = self._answer("sbatch")
            if answer is not None:
                self._answered(self._offered.pop(0), answer)
        elif self._offered and time.monotonic() >= self._offer_at:
            job = self._offered[0]
            flags = [*self._request.flags(), f"--job-name={job.index}-{self._name}"]
            if self._missing:
                flags.append(f"--exclude={','.join(sorted(self._missing))}")
            self._calls["sbatch"] = Call(
                "sbatch", *flags, text=job.text, limit=math.inf
            )

    def _answered(self, job: "SlurmJob", answer: Answer) -> None:
        if not answer.error:
            self._refusal, self._has_taken = "", True
            job.number = answer.output.strip().split("\n")[-1].split(";")[0]
            job.queued = time.monotonic()
            self._jobs.append(job)
            slurm_files.keep_number(job.directory, job.number)
            if job.is_unwanted:
                self.end(job)
        elif not job.is_unwanted:
            if not self._jobs and (self._missing or not self._has_taken):
                raise RunError(f"Slurm takes no job: {answer.error}")
            self._offered.insert(0, job)
            self._refusal = answer.error
            self._offer_at = time.monotonic() + AGAIN_SECONDS

    def _cancel(self) -> None:
        if "scancel" in self._calls:
            if self._answer("scancel") is not None:
                self.squeue.hurry()
        elif self._to_end:
            name, numbers = self._to_end.popitem()
            signals = [f"--signal={name}"] * bool(name)
            self._calls["scancel"] = Call("scancel", "--quiet", *signals, *numbers)


class SlurmJob:
    """A job of Slurm's as a job.

    Args:
      pool: whose it is.
      directory: of its trial.
      text: that a node executes; none where it has a number.
    """

    def __init__(self, pool: Slurm, directory: Path, text: str = ""):
        self._pool, self.directory, self.text = pool, directory, text
        self.number = ""
        self.queued = -math.inf  # when it got its number, monotonic
        self.is_unwanted = False
        self.since: float | None = None
        self._look_at = 0.0
        self._explain_until = math.inf

    @property
    def index(self) -> str:
        """The number of its trial."""
        return self.directory.name.partition("-")[0]

    def poll(self) -> Ended | None:
        """See `Job`; a job that squeue does not know has ended."""
        self._pool.turn()
        now = time.monotonic()
        if not self.number:
            is_over = self.is_unwanted and self._pool.withdraw(self)
            return Ended(_KILLED[0]) if is_over else None
        if now < self._look_at:
            return None
        self._look_at = now + LOOK_SECONDS
        row = self._pool.squeue.row(self.number, self.queued) or Row("UNKNOWN")
        notes = slurm_files.read_notes(self.directory, self.number)
        if notes.began is not None:
            self.since = notes.began
        elif row.state == "RUNNING" and self.since is None:
            self.since = time.time()
        if notes.code is None and not row.is_over:
            return None
        # A note says what the trial did, squeue what was done to it: the other one
        # comes a little later.
        is_told = row.is_over if notes.code in _KILLED else notes.code is not None
        is_told = is_told or row.code in (NO_TRIAL, NO_PROGRAM)
        if not (is_told or self.is_unwanted):
            self._explain_until = min(self._explain_until, now + EXPLAIN_SECONDS)
            if now < self._explain_until:
                self._pool.squeue.hurry()
                return None
        self._pool.forget(self)
        return self._ended(notes, row)

    def stop(self) -> None:
        """See `Job`."""
        notes = slurm_files.read_notes(self.directory, self.number)
        self._end("TERM" if notes.began is not None else "")

    def kill(self) -> None:
        """See `Job`; Slurm leaves it some seconds to save in."""
        self._end()

    def __str__(self) -> str:
        number = f"job {self.number}" if self.number else "a job without a number yet"
        return f"{number} of Slurm"

    def _end(self, name: str = "") -> None:
        self.is_unwanted = True
        if self.number:
            self._pool.end(self, name)

    def _ended(self, notes: Notes, row: Row) -> Ended:
        if notes.code is None and notes.began is None and row.code:
            if row.code in (NO_TRIAL, NO_PROGRAM):
                self._pool.leave_out(row.host)
            if row.code == NO_TRIAL:
                return unseen(self.directory, row.host)
            if row.code == NO_PROGRAM:
                why = f"{sys.executable} is not on {row.host}: all nodes must have it"
                return Ended(UNSEEN, why)
            if notes.said:  # srun could not
                return Ended(1, f"{self}: {notes.said}")
        if notes.code is None:
            self._pool.end(self)  # what may be left of it
            return Ended(-signal.SIGKILL, self._why(notes, row))
        if notes.code not in _KILLED or self.is_unwanted:
            return Ended(notes.code)
        code = 1 if row.state == "OUT_OF_MEMORY" else notes.code
        return Ended(code, self._why(notes, row))

    def _why(self, notes: Notes, row: Row) -> str:
        """What Slurm did; nothing where it did not."""
        nearly = row.limit - 2 * SAVE_SECONDS
        if row.state == "TIMEOUT" or (row.is_plain and notes.seconds >= nearly):
            return f"{self} reached its limit of {row.limit / 60:g} min"
        if notes.code is not None and (row.is_plain or not row.is_over):
            return notes.said and f"{self}: {notes.said}"
        reason = f" ({row.reason})" * (row.reason not in ("", "None"))
        return f"{self}: {row.state or 'squeue does not know it'}{reason}"


def _try(request: Request) -> None:
    """Raises UsageError where Slurm is not here, or can run no such job."""
    for program in ("sbatch", "squeue", "scancel"):
        if shutil.which(program) is None:
            raise UsageError(
                f"backend=slurm: there is no {program} here; launch the sweep on a "
                f"machine where jobs are submitted"
            )
    trial = Call("sbatch", "--test-only", *request.flags(), text="#!/bin/sh\n").wait()
    if not trial.error:
        return
    nodes = _nodes()
    names = sorted({node.partition for node in nodes})
    if request.partition and names and request.partition not in names:
        raise unknown("partition", request.partition, names)
    usable = [n for n in nodes if request.partition in ("", n.partition)]
    for name in ("cpus", "gpus", "memory"):
        asked = getattr(request, name)
        most = max((getattr(node, name) for node in usable), default=asked)
        if asked > most:
            raise UsageError(f"{name}={asked:g}: no node of Slurm has over {most:g}")
    if not any(words in trial.error for words in _NOT_NOW):
        raise UsageError(f"backend=slurm: Slurm refuses such jobs: {trial.error}")


class _Node(NamedTuple):
    """What a node has, in one of its partitions."""

    partition: str
    cpus: int
    memory: float  # GiB
    gpus: int


def _nodes() -> list[_Node]:
    """All there are, down or not."""
    listed = Call("sinfo", "--noheader", "--Node", "--format=%R|%c|%m|%G").wait()
    found = [line.split("|") for line in listed.output.splitlines()]
    return [
        _Node(name, int(cpus), int(memory) / 1024, _gpus(resources))
        for name, cpus, memory, resources in found
    ]


def _gpus(resources: str) -> int:
    """How many GPUs a node's generic resources hold.

    >>> _gpus("gpu:a100:4(S:0-1),gpu:t4:2,shard:8"), _gpus("(null)")
    (6, 0)
    """
    return sum(map(int, re.findall(r"\bgpu(?::[^:,()]+)?:(\d+)", resources)))

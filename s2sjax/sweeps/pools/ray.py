"""Trials as tasks of Ray, on a cluster that runs or on a local one. Extra `ray`.

The launcher itself is no part of the cluster: a process of its own is, the driver,
which Ray may hold up, print into and end (see `ray_driver`). The two talk by a pipe, in
the records below.
"""

import contextlib
import importlib.util
import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from s2sjax.errors import RunError, UsageError
from s2sjax.sweeps.pools.remote import Control, RemoteCommand
from s2sjax.sweeps.protocols import Ended

LOCAL = "local"  # an address: a cluster of this machine, begun and ended with the pool
JOIN_SECONDS = 90.0  # until a cluster that answers has taken us in
LEAVE_SECONDS = 1.5
# A line of Ray's log: when and how bad, where; longer messages go on below it.
_LOGGED = re.compile(r".*(?: [EF] |ERROR|WARNING)\S* .*?\S+:\d+:?(?: --)? (?P<text>.+)")


def said(text: str) -> str:
    """What Ray says before it tells where to read more.

    >>> said("Task failed since its node is dead. Node IP: 10.0.0.2, node ID: 42a1.")
    'Task failed since its node is dead. Node IP: 10.0.0.2'
    >>> said("The worker died. Check python-core-worker-*.log files for more.")
    'The worker died'
    """
    line = text.strip().split("\n")[0]
    before, is_of_node, _ = line.partition(", node ID")
    return before if is_of_node else line.split(". ")[0].removesuffix(".")


class Join(NamedTuple):
    """The launcher's first word."""

    address: str
    needs: Mapping[str, float]  # of one trial, by Ray's names: CPU, GPU, memory, others


class Start(NamedTuple):
    """Queue a command; Ray starts it where what it needs is free."""

    number: int  # by which both sides know it
    remote: RemoteCommand


class Leave(NamedTuple):
    """Take a command out of the queue; one that runs goes on."""

    number: int


class Kill(NamedTuple):
    """End a command and its worker, or take it out of the queue."""

    number: int


class Refused(NamedTuple):
    """The driver's only word where it cannot join."""

    reason: str


class Cluster(NamedTuple):
    """How the cluster stands: the driver's first word, and whenever it changes."""

    size: int  # trials that all its nodes can train at a time
    free: str  # how much of what a trial needs, for a person


class Over(NamedTuple):
    """A command has ended."""

    number: int
    ended: Ended


class RayCluster:
    """A pool of tasks; the directory of the sweep is on a file system of all nodes.

    Args:
      address: of the cluster; `LOCAL`: start one on this machine.
      size: tasks at a time; None: as many as the cluster holds, also when it grows.
      needs: of one trial, by Ray's names.
      say: takes a line of Ray's own for a person.

    Raises:
      UsageError: Ray is not installed, nobody answers at the address, or no node has
        what one trial needs.
    """

    def __init__(
        self,
        address: str,
        size: int | None,
        needs: Mapping[str, float],
        say: Callable[[str], None] = lambda line: None,
    ):
        if importlib.util.find_spec("ray") is None:
            raise UsageError("backend=ray needs Ray; pip install 's2sjax[ray]'")
        self._address, self._size, self._say = address, size, say
        self._jobs: dict[int, RayJob] = {}  # that have not ended
        self._started = 0
        self._gone = ""
        self._pipe, theirs = multiprocessing.Pipe()
        with theirs:
            self._driver = _Driver(theirs.fileno())
        self._pipe.send(Join(address, needs))
        self._cluster = self._joined()

    @property
    def size(self) -> int:
        """See `Pool`."""
        self.hear()
        return self._size or max(self._cluster.size, 1)

    def start(self, command: Sequence[str], log: Path, slot: int) -> "RayJob":
        """Queues a command; see `Pool`."""
        self.hear()
        if self._gone:
            raise RunError(self._gone)
        self._started += 1
        job = RayJob(self, self._started, Control(log))
        self._jobs[self._started] = job
        remote = RemoteCommand(list(command), str(log.absolute()), str(Path.cwd()))
        self.tell(Start(self._started, remote))
        return job

    def adopt(self, directory: Path) -> None:
        """See `Pool`; Ray ends what a launcher that is gone has started."""

    def waiting(self) -> str:
        """See `Pool`."""
        self.hear()
        count = sum(job.since is None for job in self._jobs.values())
        tasks = f"{count:,} task" + "s" * (count > 1)
        return f"{tasks} of Ray ({self._cluster.free})" if count else ""

    def close(self) -> None:
        """Leaves the cluster; a local one ends."""
        self._pipe.close()
        self._driver.end()

    def tell(self, word: Any) -> None:
        """Says a word to the driver, if there is one."""
        with contextlib.suppress(OSError):  # it has ended, which `hear` finds
            self._pipe.send(word)

    def hear(self) -> None:
        """Takes in what the driver has said."""
        for line in self._driver.printed():
            self._say(f"Ray: {line}")
        try:
            while not self._gone and self._pipe.poll():
                self._heard(self._pipe.recv())
        except (EOFError, OSError):
            self._gone = f"the Ray cluster at {self._address} is gone"
            for number in list(self._jobs):
                self._heard(Over(number, Ended(-9, self._gone)))

    def _heard(self, word: Any) -> None:
        match word:
            case Cluster():
                self._cluster = word
            case Over(number, ended):
                self._jobs.pop(number).ended = ended

    def _joined(self) -> Cluster:
        try:
            answers = self._pipe.poll(JOIN_SECONDS)
            word = (
                self._pipe.recv()
                if answers
                else Refused(
                    f"ray_address={self._address}: the cluster does not take us in"
                )
            )
        except EOFError:
            printed = [*self._driver.printed(), "its process has ended"]
            word = Refused(f"ray_address={self._address}: {printed[0]}")
        if isinstance(word, Refused):
            self.close()
            raise UsageError(word.reason)
        return word


class RayJob:
    """A task as a job."""

    def __init__(self, cluster: RayCluster, number: int, control: Control):
        self._cluster, self._number, self._control = cluster, number, control
        self.ended: Ended | None = None
        self._since: float | None = None

    @property
    def since(self) -> float | None:
        """See `Job`."""
        self._since = self._since or self._control.since
        return self._since

    def poll(self) -> Ended | None:
        """See `Job`; a node that was lost reads as a worker that was killed."""
        self._cluster.hear()
        return self.ended

    def stop(self) -> None:
        """See `Job`."""
        self._control.stop()
        self._cluster.tell(Leave(self._number))

    def kill(self) -> None:
        """See `Job`."""
        self._control.kill()
        self._cluster.tell(Kill(self._number))

    def __str__(self) -> str:
        return "a task of Ray"


class _Driver:
    """The process that Ray knows; it ends when its pipe does."""

    def __init__(self, descriptor: int):
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.ray_driver", str(descriptor)],
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the launcher alone
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)
        self._half = b""
        self._said: set[str] = set()

    def printed(self) -> list[str]:
        """What Ray has newly said: of each message the first line, once."""
        *lines, self._half = (self._half + (self._output.read() or b"")).split(b"\n")
        found = []
        for line in lines:
            logged = _LOGGED.match(line.decode(errors="replace"))
            text = said(logged["text"]) if logged else ""
            if text and text not in self._said:
                self._said.add(text)
                found.append(text)
        return found

    def end(self) -> None:
        """Waits for its end, a little."""
        try:
            self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

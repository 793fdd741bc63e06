"""What joins a Ray cluster for a launcher, in a process of its own.

    python -m s2sjax.sweeps.pools.ray_driver DESCRIPTOR

Ray ends a process that has joined a cluster when that is gone, takes minutes to answer
meanwhile, and prints its logs there; none of that may befall a launcher, which has the
other end of the descriptor's pipe. When that end closes, so does this process, and Ray
ends what it has started.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

from s2sjax.sweeps.pools.ray import (
    LOCAL,
    Cluster,
    Join,
    Kill,
    Leave,
    Over,
    Refused,
    Start,
    said,
)
from s2sjax.sweeps.pools.remote import RemoteCommand
from s2sjax.sweeps.protocols import UNSEEN, Ended

KNOCK_SECONDS = 5.0
GONE_SECONDS = 20  # without a word of its head, after which a cluster is gone
POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0  # between two looks at the nodes
LEAVE_SECONDS = 3.0
KILL_SECONDS = 3.0  # for a worker to end its command, before it is killed itself
NODE = "ray.io/node-id"  # Ray's label of a node
# The first bytes of a client of gRPC, which Ray's head answers at once: those of HTTP/2
# and a frame of no settings.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_GIB = 2.0**30
# How a person writes an amount, and what of, by Ray's names.
_WRITTEN = {"CPU": ("cpus", 1.0), "GPU": ("gpus", 1.0), "memory": ("memory", _GIB)}

Resources = Mapping[str, float]


def main(descriptor: int) -> None:
    """Joins, and does what the launcher says until it is silent for good."""
    os.set_inheritable(descriptor, False)
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", f"{GONE_SECONDS}")
    if _has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    silent = EOFError, BrokenPipeError, ConnectionResetError
    with Connection(descriptor) as pipe, contextlib.suppress(*silent):
        _serve(ray, pipe)
    leaving = threading.Timer(LEAVE_SECONDS, os._exit, (1,))
    leaving.daemon = True
    leaving.start()
    ray.shutdown()


def _has_token() -> bool:
    """Whether there is one to show. A head asks for it where it has found one itself,
    but Ray shows none where it is not told to; other heads do not mind.
    """
    is_named = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    return bool(is_named) or (Path.home() / ".ray" / "auth_token").is_file()


def _serve(ray: ModuleType, pipe: Connection) -> None:
    join: Join = pipe.recv()
    refused = _join(ray, join.address)
    if not refused:
        try:
            tasks = _Tasks(ray, pipe, join.needs)
            lacks = lacking(tasks.nodes.values(), join.needs)
            refused = lacks and f"backend=ray: {lacks}"
        except ValueError as error:  # amounts that Ray does not take
            refused = f"backend=ray: {error}"
    if refused:
        pipe.send(Refused(refused))
    else:
        tasks.run()


def _join(ray: ModuleType, address: str) -> str:
    """Joins a cluster; why not, where it cannot."""
    given = {"include_dashboard": False} if address == LOCAL else {}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="error", **given)
    except OSError as error:  # also a ConnectionError of Ray's
        return f"ray_address={address} does not answer: {said(str(error))}"
    except (RuntimeError, ValueError, ray.exceptions.RayError) as error:
        return f"ray_address={address}: {said(str(error))}"
    return ""


class _Tasks:
    """The commands of a launcher as tasks of a cluster that was joined."""

    def __init__(self, ray: ModuleType, pipe: Connection, needs: Resources):
        self._ray, self._pipe, self._needs = ray, pipe, needs
        others = {name: n for name, n in needs.items() if name not in _WRITTEN}
        # One process per trial, and a lost node is for our own budgets to count.
        self._command = ray.remote(
            num_cpus=needs.get("CPU", 0.0),
            num_gpus=needs.get("GPU", 0.0),
            memory=needs.get("memory"),
            resources=others,
            max_calls=1,
            max_retries=0,
        )(_run)
        self._tasks: dict[int, Any] = {}
        self._killed: dict[int, float] = {}  # and when to kill the worker too
        self._left_out: set[str] = set()  # nodes without the directory
        self._told: Cluster | None = None
        self._look()

    def run(self) -> None:
        """Obeys and tells until the pipe is closed."""
        threading.Thread(target=self._look_on, daemon=True).start()
        while True:
            if self._pipe.poll(POLL_SECONDS):
                self._obey(self._pipe.recv())
            self._end_killed()
            self._tell_ended()
            self._tell_cluster()

    def _obey(self, word: Any) -> None:
        match word:
            case Start(number, remote):
                without = f"!in({', '.join(sorted(self._left_out))})"
                options = {"label_selector": {NODE: without}} if self._left_out else {}
                task = self._command.options(**options).remote(remote)
                self._tasks[number] = task
            case Leave(number) if number in self._tasks:
                self._ray.cancel(self._tasks[number])
            case Kill(number) if number in self._tasks:
                self._ray.cancel(self._tasks[number])
                self._killed[number] = time.monotonic() + KILL_SECONDS

    def _end_killed(self) -> None:
        for number, when in list(self._killed.items()):
            if number not in self._tasks:
                del self._killed[number]
            elif time.monotonic() > when:
                del self._killed[number]
                self._ray.cancel(self._tasks[number], force=True)

    def _tell_ended(self) -> None:
        numbers = {task: number for number, task in self._tasks.items()}
        if not numbers:
            return
        ready, _ = self._ray.wait(list(numbers), num_returns=len(numbers), timeout=0)
        for task in ready:
            self._pipe.send(Over(numbers[task], self._ended(task)))
            del self._tasks[numbers[task]]

    def _ended(self, task: Any) -> Ended:
        errors = self._ray.exceptions
        try:
            node, ended = self._ray.get(task)
        except errors.TaskCancelledError:
            return Ended(143, "it has left the queue")
        except errors.RayTaskError as error:
            return Ended(1, f"{type(error.cause).__name__}: {error.cause}")
        except errors.RayError as error:
            return Ended(-9, said(str(error)))
        if ended.code == UNSEEN:
            self._left_out.add(node)
        return Ended(*ended)

    def _tell_cluster(self) -> None:
        if time.monotonic() - self._looked > 10 * LOOK_SECONDS:
            now = Cluster(0, "the cluster does not answer")
        else:
            there = [n for key, n in self.nodes.items() if key not in self._left_out]
            size = sum(fits(each, self._needs) for each in there)
            stands = free(self._free, there, self._needs)
            now = Cluster(size, lacking(there, self._needs) or stands)
        if now != self._told:
            self._told = now
            self._pipe.send(now)

    def _look_on(self) -> None:
        """Ray waits in it for a cluster that does not answer."""
        while True:
            time.sleep(LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        alive = [node for node in self._ray.nodes() if node["Alive"]]
        self.nodes = {node["NodeID"]: node["Resources"] for node in alive}
        self._free = self._ray.available_resources()
        self._looked = time.monotonic()


def fits(total: Resources, needs: Resources) -> int:
    """How many trials a node can train at a time.

    >>> fits({"CPU": 7.0, "GPU": 1.0}, {"CPU": 2.0, "GPU": 0.1}), fits({}, {"GPU": 1})
    (3, 0)
    """
    least = min((total.get(name, 0) / need for name, need in needs.items()), default=1)
    return int(least + 1e-6)  # 0.3 / 0.1 is less than 3


def free(now: Resources, nodes: Iterable[Resources], needs: Resources) -> str:
    """How much of what trials need is not taken.

    >>> free({"CPU": 1.0}, [{"CPU": 2.0, "GPU": 1.0}, {}], {"CPU": 1, "GPU": 1})
    '1 of 2 CPUs and 0 of 1 GPUs are free'
    """
    nodes = list(nodes)
    listed = []
    for name in needs:
        _, unit = _WRITTEN.get(name, (name, 1.0))
        total = sum(each.get(name, 0) for each in nodes) / unit
        what = {"memory": "GiB"}.get(name, f"{name}s" if name in _WRITTEN else name)
        listed.append(f"{min(now.get(name, 0) / unit, total):g} of {total:g} {what}")
    return " and ".join(listed) + " are free" * bool(listed)


def lacking(nodes: Iterable[Resources], needs: Resources) -> str:
    """Why no node can train a trial; nothing where one can.

    >>> lacking([{"CPU": 2.0}, {"CPU": 4.0}], {"CPU": 8})
    'no node of the cluster has cpus=8; the largest has 4'
    >>> lacking([{"CPU": 2.0}, {"GPU": 1.0}], {"CPU": 1, "GPU": 1})
    'no node of the cluster has cpus=1, gpus=1 together'
    """
    nodes = list(nodes)
    if any(fits(each, needs) for each in nodes):
        return ""
    told = "no node of the cluster has"
    for name, need in needs.items():
        written, unit = _WRITTEN.get(name, (name, 1.0))
        most = max((each.get(name, 0) for each in nodes), default=0)
        if most < need:
            return f"{told} {written}={need / unit:g}; the largest has {most / unit:g}"
    listed = [
        f"{written}={need / unit:g}"
        for name, need in needs.items()
        for written, unit in [_WRITTEN.get(name, (name, 1.0))]
    ]
    return f"{told} {', '.join(listed)} together"


def _knock(address: str) -> None:
    """Tries whether somebody is there, which Ray takes minutes to give up."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        with socket.create_connection((host, int(port)), KNOCK_SECONDS) as there:
            there.sendall(_HELLO)
            there.recv(1)


def _run(remote: RemoteCommand) -> tuple[str, Ended]:
    """Runs a command on a node; which, and how it ended."""
    import ray

    # What takes a task out of the queue interrupts one that has begun, to which the
    # file of `Control` says more.
    signal.signal(signal.SIGINT, lambda *_: None)
    return ray.get_runtime_context().get_node_id(), remote()


if __name__ == "__main__":
    main(int(sys.argv[1]))

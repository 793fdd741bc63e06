"""A Ray cluster of several nodes on one machine, each at an address of its own."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from tests.engines.conftest import wait

ROOT = pathlib.Path(__file__).parents[2]


class Nodes:
    """Nodes at 127.0.0.2 and on; all that they and their clients start is found by a
    word of its environment, and ended by its number.
    """

    def __init__(self):
        # Ray's sockets lie here, whose paths may not be long.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="s2s-", dir="/tmp"))
        self.mark = f"RAY_TMPDIR={self.folder}"
        self.environ = dict(os.environ) | {
            "RAY_TMPDIR": str(self.folder),
            "TMPDIR": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "RAY_enable_worker_prestart": "0",
            # A node's death is known within two seconds, and not within fifteen.
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_failure_threshold": "3",
            "HOME": str(self.folder),  # with a token that nodes ask for
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ADDRESS": "127.0.0.1:9",  # of nobody, which nothing here is to join
        }
        self.started = []  # nodes, and what else is to be waited for at the end
        self._count = 0
        (self.folder / ".ray").mkdir()
        (self.folder / ".ray" / "auth_token").write_text("0123456789abcdef" * 4)
        # Two heads may listen at one port, and each gets a part of what comes.
        with socket.create_server(("127.0.0.2", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.2:{self.port}"

    def start(self, *options, wrap=()):
        """A node with more options; the first one is the head."""
        place, self._count = self._count, self._count + 1
        if place == 0:
            options = (
                "--head",
                f"--port={self.port}",
                "--include-dashboard=false",
                *options,
            )
        else:
            options = (f"--address={self.address}", *options)
        path = self.folder / f"node-{place}"
        with open(path, "wb") as log:
            node = subprocess.Popen(
                [
                    *wrap,
                    *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
                    f"--node-ip-address=127.0.0.{place + 2}",
                    "--object-store-memory=80000000",
                    *("--min-worker-port=0", "--max-worker-port=0"),  # any
                    "--disable-usage-stats",
                    *options,
                ],
                env=self.environ | {"RAY_AUTH_MODE": "token"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        node.log = path
        self.started.append(node)
        return node

    def wait_for(self, *nodes):
        """Until these are part of the cluster."""
        for node in nodes:
            wait(lambda log=node.log: b"runtime started" in log.read_bytes(), 60)

    def kill(self, node):
        """What a power cut does to a node."""
        kill(descendants(node.pid))
        node.wait()

    def close(self):
        while kill(marked(self.mark)):
            time.sleep(0.05)
        for node in self.started:
            node.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def marked(mark):
    """The processes whose environment has a word."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def parent(pid):
    """The process that a process belongs to; 0: it has gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
    return 0


def descendants(pid):
    """A process and all that it started, and so on."""
    numbers = [int(e.name) for e in pathlib.Path("/proc").iterdir() if e.name.isdigit()]
    parents = {number: parent(number) for number in numbers}
    found = [pid]
    for each in found:
        found += [number for number, by in parents.items() if by == each]
    return found


def kill(pids):
    """Ends processes by their numbers, all held first; how many were there."""
    there = 0
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                there += 1
    return there

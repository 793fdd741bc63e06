"""One process per trial on this machine, each on its own share of cores or a device."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from s2sjax import environment, program_cache
from s2sjax.errors import RunError, UsageError
from s2sjax.sweeps.protocols import Ended


class Processes:
    """A pool of local processes.

    Cores are shared out evenly and each process is pinned to its share; where there
    are GPUs, a process sees one of them, and shares its memory evenly with the other
    processes there.

    Trials that differ only in numbers share compiled programs: those that the user
    keeps (see `program_cache`), or where none are kept a private folder that goes when
    the pool is closed.

    Args:
      workers: how many at a time; None: one per GPU, or else per core.

    Raises:
      UsageError: more workers than cores.
    """

    def __init__(self, workers: int | None):
        self._cores = sorted(environment.cores())
        self._gpus = gpus(os.environ)
        self.size = workers or len(self._gpus) or len(self._cores)
        if self.size > max(len(self._cores), len(self._gpus)):
            raise UsageError(
                f"workers={self.size}: this machine has {len(self._cores)} cores"
                + f" and {len(self._gpus)} GPUs" * bool(self._gpus)
            )
        self._compiled: dict[str, str] = {}
        self._remove = lambda: None
        if not {program_cache.FOLDER, program_cache.ENABLED} & os.environ.keys():
            folder = tempfile.mkdtemp(prefix="s2sjax-compiled-")
            self._compiled = {
                program_cache.FOLDER: folder,
                **program_cache.ALL_PROGRAMS,
            }
            self._remove = weakref.finalize(self, shutil.rmtree, folder, True)

    def start(self, command: Sequence[str], log: Path, slot: int) -> "Process":
        """Starts a command; see `Pool`."""
        share = cores_of(self._cores, self.size, slot)
        environ = dict(os.environ)
        environ |= device_environ(self._gpus, self.size, slot)
        environ |= self._compiled
        try:
            with open(log, "ab") as output:
                # A session of its own: Ctrl-C reaches the launcher alone, which
                # hands it on once. A second signal would end a worker unsaved.
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environ,
                    start_new_session=True,
                )
        except OSError as error:
            raise RunError(f"cannot start {command[0]}: {error.strerror}") from None
        if hasattr(os, "sched_setaffinity"):
            # Threads that it makes later stay there too.
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(process.pid, share)
        return Process(process)

    def adopt(self, directory: Path) -> None:
        """See `Pool`; a process that outlived its launcher is known by its lock."""

    def waiting(self) -> str:
        """See `Pool`; a process begins at once."""
        return ""

    def close(self) -> None:
        """Removes compiled programs that are not kept."""
        self._remove()


class Process:
    """A local process as a job."""

    def __init__(self, process: "subprocess.Popen[bytes]"):
        self._process = process
        self.since = time.time()

    def poll(self) -> Ended | None:
        """See `Job`."""
        code = self._process.poll()
        return None if code is None else Ended(code)

    def stop(self) -> None:
        """See `Job`."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def __str__(self) -> str:
        return f"process {self._process.pid}"


def cores_of(cores: Sequence[int], workers: int, slot: int) -> set[int]:
    """The cores of a slot: shares as even as they can be, none of them empty.

    >>> [cores_of(range(5), 2, slot) for slot in range(2)]
    [{0, 1}, {2, 3, 4}]
    >>> cores_of([0], 2, 1)
    {0}
    """
    first, last = (len(cores) * each // workers for each in (slot, slot + 1))
    return set(cores[first:last] or [cores[slot % len(cores)]])


def device_environ(devices: Sequence[str], workers: int, slot: int) -> dict[str, str]:
    """What makes a process use one GPU, and its share of that GPU's memory.

    >>> device_environ(["0", "1"], 2, 1)
    {'CUDA_VISIBLE_DEVICES': '1'}
    >>> device_environ(["0"], 3, 2)
    {'CUDA_VISIBLE_DEVICES': '0', 'XLA_CLIENT_MEM_FRACTION': '0.300'}
    """
    if not devices:
        return {}
    mine = slot % len(devices)
    environ = {"CUDA_VISIBLE_DEVICES": devices[mine]}
    sharing = len(range(mine, workers, len(devices)))
    if sharing > 1:
        environ["XLA_CLIENT_MEM_FRACTION"] = f"{0.9 / sharing:.3f}"
    return environ


def gpus(environ: Mapping[str, str]) -> list[str]:
    """The GPUs that jax may use here, as CUDA_VISIBLE_DEVICES names them.

    Asked of the driver, since jax would take their memory.

    >>> gpus({"CUDA_VISIBLE_DEVICES": "2,3"}), gpus({"JAX_PLATFORMS": "cpu"})
    (['2', '3'], [])
    """
    if environ.get("JAX_PLATFORMS", "").strip() == "cpu":
        return []
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [each.strip() for each in visible.split(",") if each.strip()]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([program, "-L"], capture_output=True, timeout=30)
        listed = done.stdout.decode(errors="replace").splitlines()
        found = [line for line in listed if line.startswith("GPU ")]
        return [str(number) for number in range(len(found))]
    return []

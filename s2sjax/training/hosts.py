"""Several processes that train one run together, by way of `jax.distributed`.

All take the same steps: what depends on a clock, on a signal or on a disk is decided
by one of them and told to the others, so that they stop at the same step, and none
waits for one that has failed. Process 0 leads: it alone writes.

A process that dies cannot say so. The others find its connections closed, or miss its
heartbeats, and end: they cannot go on without it, and all together can.
"""

import contextlib
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NoReturn

import jax
import numpy as np

from s2sjax.errors import RunError, UsageError
from s2sjax.training import aside
from s2sjax.training.interruption import Signals

HEARTBEAT = 30  # seconds
LOST = 75  # the exit code where another process is lost: EX_TEMPFAIL of sysexits.h
_COMES = 300  # seconds in which every process has to come
_FAILED = -1


class Loss:
    """Ends this process where another one is lost.

    Args:
      path: of the run.
      printed: what compiled code has printed.
      say: takes the line for a person.
    """

    def __init__(self, path: Path, printed: IO[bytes], say: Callable[[str], None]):
        self._path, self._printed, self._say = path, printed, say
        self._lock = threading.Lock()
        self.index: int | None = None  # of this process, once it has joined
        self.count = 0

    def end(self, lost: str, error: str = "") -> NoReturn:
        """Says who is lost, and exits with `LOST`; `error` is kept for who wants it."""
        self._lock.acquire()  # for good: two threads may find it out
        me = "" if self.index is None else f"process {self.index} of {self.count}: "
        kept = self._kept(error)
        self._say(
            f"s2sjax: {me}{lost}; start all of them again to go on"
            + f" (what jax says of it is in {kept})" * bool(kept)
        )
        os._exit(LOST)

    def aborted(self) -> None:
        """Compiled code aborts: another process is lost, or there is a fault in it."""
        text = self._text()
        if "JAX distributed service detected fatal errors" in text:
            self.end(_lost(text, self.index))
        kept = self._kept()
        self._say("s2sjax: compiled code aborts" + f" (see {kept})" * bool(kept))

    def _text(self) -> str:
        size = os.fstat(self._printed.fileno()).st_size
        return os.pread(self._printed.fileno(), size, 0).decode(errors="replace")

    def _kept(self, more: str = "") -> str:
        """Where the text is from now on; empty where there is no run yet."""
        path = self._path / f"process-{self.index}.log"
        try:
            if self.index is not None:
                path.write_text(f"{self._text()}{more}\n", encoding="utf-8")
                return str(path)
        except OSError:  # the run is not there yet
            pass
        return ""


def _lost(text: str, me: int | None) -> str:
    """Who is, by what jax has printed.

    >>> _lost("are unhealthy (stopped sending heartbeats):\\n1\\nThe tasks have", 0)
    'process 1 is lost (killed, or its machine or network is gone)'
    """
    if "CoordinationService/RegisterTask" in text:
        return f"not every process has come within {_COMES} s"
    silent = re.search(r"stopped sending heartbeats\):\s*([\d, \n]*\d)", text)
    lost = [int(each) for each in re.findall("[0-9]+", silent[1])] if silent else [0]
    if me in lost:
        return "the others have not heard of it for too long"
    return (
        f"process {', '.join(map(str, lost))} is lost (killed, or its machine or "
        "network is gone)"
    )


class Hosts:
    """The processes of a run, as one of them sees it; made by `joined`, or alone."""

    def __init__(self, index: int = 0, count: int = 1, loss: Loss | None = None):
        self.index, self.count, self._loss = index, count, loss
        self.signal = 0  # the number of the one that stopped the run
        self.parted = False  # whether it ends without the others

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.index == 0

    def of_first(self, value: float) -> float:
        """Process 0's value; waits until every process asks.

        Raises:
          RunError: another process has failed.
        """
        return value if self.count == 1 else float(self._exchange(0, value)[0, 1])

    def heard(self, signals: Signals) -> bool:
        """Whether any process has received a signal; waits until every one asks.

        Raises:
          RunError: another process has failed.
        """
        self.signal = int(signals.received or 0)
        if self.count > 1:
            self.signal = int(self._exchange(self.signal, 0)[:, 0].max())
        return bool(self.signal)

    @property
    def exit_code(self) -> int:
        """128 + the signal that stopped the run; 0 where none did."""
        return 128 + signal.Signals(self.signal) if self.signal else 0

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """An error within ends the other processes too: the next time that they ask.

        Raises:
          RunError: the other processes cannot be reached.
        """
        try:
            yield
        except _OtherFailed:
            raise
        except BaseException as error:
            if self.count == 1:
                raise
            if self._loss is not None and _is_cut_off(error):
                two = self.count == 2
                who = f"process {1 - self.index}" if two else "another process"
                self._loss.end(f"{who} has ended without a word", str(error))
            if isinstance(error, jax.errors.JaxRuntimeError):
                self.parted = True  # the others may wait in a collective
                reason = str(error).strip().partition("\n")[0]
                raise RunError(
                    f"process {self.index} of {self.count} stopped: {reason}"
                ) from error
            with contextlib.suppress(Exception):
                self._exchange(_FAILED, 0)
            raise

    def _exchange(self, code: int, value: float) -> np.ndarray:
        """[processes, 2]: what every process gave."""
        from jax.experimental import multihost_utils

        # As integers: jax would round a float64.
        message = np.array([code, value], np.float64).view(np.uint32)
        messages = np.asarray(multihost_utils.process_allgather(message))
        gathered = messages.reshape(self.count, -1).view(np.float64)
        failed = np.flatnonzero(gathered[:, 0] == _FAILED)
        if code != _FAILED and len(failed):
            raise _OtherFailed(
                f"process {failed[0]} of {self.count} failed, and says why; "
                f"process {self.index} stops with it"
            )
        return gathered


class _OtherFailed(RunError):
    pass


def _is_cut_off(error: BaseException) -> bool:
    """Whether a collective has failed, of CPUs or of GPUs: a connection has ended.

    >>> _is_cut_off(ValueError("UNKNOWN: Gloo AllGather failed: Connection reset"))
    True
    """
    of_jax = type(error) is ValueError or isinstance(error, jax.errors.JaxRuntimeError)
    return of_jax and bool(re.search(r"\bGloo [\w-]+ failed|\bNCCL\b", str(error)))


def _bind_address(coordinator: str | None) -> str | None:
    """Where process 0 listens; None: on all of the host's addresses.

    >>> _bind_address("127.0.0.1:1234"), _bind_address("node-0:1234")
    ('127.0.0.1:1234', None)
    """
    host = (coordinator or "").rpartition(":")[0]
    loopback = host.startswith("127.") or host in ("localhost", "[::1]")
    return coordinator if loopback else None


@contextlib.contextmanager
def joined(
    path: Path,
    say: Callable[[str], None],
    coordinator: str | None = None,
    process_id: int | None = None,
    processes: int | None = None,
    heartbeat: int | None = None,
) -> Iterator[Hosts]:
    """Joins the processes of a run, before jax has started; leaves them at the end.

    Where one is lost, this one says so and exits with `LOST`.

    Args:
      path: of the run; keeps what jax prints where a process is lost.
      say: takes a line for a person.
      coordinator: HOST:PORT of process 0. None: all three are those that the cluster
        tells its processes (TPU pods, Slurm, Open MPI).
      process_id: which process this is, from 0.
      processes: how many there are.
      heartbeat: seconds without a sign of life after which a process is lost, the same
        for all of them; None: `HEARTBEAT`.

    Raises:
      UsageError: there is no cluster.
    """
    # Its handler of SIGTERM would take the place of `interruption`'s.
    jax.config.update("jax_enable_preemption_service", False)
    with contextlib.ExitStack() as stack:
        loss = Loss(path, stack.enter_context(aside.printed()), say)
        stack.enter_context(aside.on_abort(loss.aborted))
        try:
            jax.distributed.initialize(
                coordinator,
                processes,
                process_id,
                initialization_timeout=_COMES,
                coordinator_bind_address=_bind_address(coordinator),
                heartbeat_timeout_seconds=heartbeat or HEARTBEAT,
            )
            loss.index, loss.count = jax.process_index(), jax.process_count()
        except ValueError:
            raise UsageError(
                "multihost=True: no cluster was found in the environment; give "
                "coordinator=HOST:PORT process_id=I processes=N"
            ) from None
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            where = coordinator or "the cluster's environment"
            raise UsageError(f"multihost=True: {where}: {reason}") from None
        hosts = Hosts(loss.index, loss.count, loss)
        try:
            yield hosts
        finally:
            if not hosts.parted:
                with contextlib.suppress(RuntimeError):
                    jax.distributed.shutdown()

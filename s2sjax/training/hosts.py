"""Several processes that train one run together, by way of `jax.distributed`.

All take the same steps: what depends on a clock, on a signal or on a disk is decided
by one of them and told to the others, so that they stop at the same step, and none
waits for one that has failed. Process 0 leads: it alone writes.
"""

import contextlib
import signal
from collections.abc import Iterator

import jax
import numpy as np

from s2sjax.errors import RunError, UsageError
from s2sjax.training.interruption import Signals

_FAILED = -1


class Hosts:
    """The processes of a run, as one of them sees it; made by `joined`, or alone."""

    def __init__(self, index: int = 0, count: int = 1):
        self.index, self.count = index, count
        self.signal = 0  # the number of the one that stopped the run

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
        except jax.errors.JaxRuntimeError as error:
            if self.count == 1:
                raise
            reason = str(error).strip().partition("\n")[0]
            raise RunError(
                f"process {self.index} of {self.count} stopped: {reason}"
            ) from error
        except BaseException:
            if self.count > 1:
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
    coordinator: str | None = None,
    process_id: int | None = None,
    processes: int | None = None,
) -> Iterator[Hosts]:
    """Joins the processes of a run, before jax has started; leaves them at the end.

    Args:
      coordinator: HOST:PORT of process 0. None: all three are those that the cluster
        tells its processes (TPU pods, Slurm, Open MPI).
      process_id: which process this is, from 0.
      processes: how many there are.

    Raises:
      UsageError: there is no cluster, or a process does not come.
    """
    # Its handler of SIGTERM would take the place of `interruption`'s.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process_id,
            coordinator_bind_address=_bind_address(coordinator),
        )
    except ValueError:
        raise UsageError(
            "multihost=True: no cluster was found in the environment; give "
            "coordinator=HOST:PORT process_id=I processes=N"
        ) from None
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        where = coordinator or "the cluster's environment"
        raise UsageError(f"multihost=True: {where}: {reason}") from None
    hosts = Hosts(jax.process_index(), jax.process_count())
    try:
        yield hosts
    finally:
        with contextlib.suppress(RuntimeError):
            jax.distributed.shutdown()

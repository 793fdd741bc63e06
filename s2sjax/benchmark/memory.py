"""How much memory a piece of work needs at most."""

import contextlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import jax

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_MIB = 2**20


class Peak:
    """The largest resident memory of the process while `watched` lasted, in MiB.

    Where the system cannot forget an earlier peak (anything but Linux), it is the
    largest since the process began.
    """

    def __init__(self) -> None:
        self.resident_mib = 0.0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """While this lasts."""
        with contextlib.suppress(OSError):
            _RESET.write_text("5")  # proc(5): forget the peak
        yield
        self.resident_mib = max(self.resident_mib, _resident_peak())


def _resident_peak() -> float:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / _MIB if sys.platform == "darwin" else most / 2**10


def device_peak_mib() -> float | None:
    """The most memory of the device in use since the process began; None on a CPU."""
    statistics = jax.devices()[0].memory_stats()
    if not statistics or "peak_bytes_in_use" not in statistics:
        return None
    return statistics["peak_bytes_in_use"] / _MIB

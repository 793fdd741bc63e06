"""SIGTERM and Ctrl-C: the first is noted, a second one ends the process at once.

Python runs a signal's handler only between two bytecodes of the main thread, which
may sit in compiled code for a long time, and two signals that come meanwhile run it
once. So the signals are counted elsewhere: the interpreter writes one byte for each
to a descriptor at the moment it arrives, and a small thread reads them.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """What has arrived so far."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None  # the first of `SIGNALS`

    @property
    def exit_code(self) -> int:
        """128 + the first signal (143 or 130); 0 before one has come."""
        return 0 if self.received is None else 128 + self.received

    def _note(self, number: int) -> None:
        if number not in SIGNALS:
            return
        if self.received is not None:
            os._exit(self.exit_code)
        self.received = signal.Signals(number)


@contextlib.contextmanager
def watch() -> Iterator[Signals]:
    """Notes SIGTERM and SIGINT instead of dying; restores the handlers at the end.

    Outside the main thread, where Python allows no handlers, nothing is noted.

    >>> with watch() as signals:
    ...     signals.received is None
    True
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    thread = threading.Thread(
        target=_read, args=(reading, signals), name="signals", daemon=True
    )
    thread.start()
    descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, _nothing) for number in SIGNALS}
    try:
        yield signals
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(descriptor)
        os.close(writing)  # the thread reads what is left, then the end
        thread.join()
        os.close(reading)


def _read(descriptor: int, signals: Signals) -> None:
    while data := os.read(descriptor, 64):
        for number in data:
            signals._note(number)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Python writes to the descriptor only for a signal that has a handler."""

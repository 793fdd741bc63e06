"""What compiled code prints, and that it aborts, kept from a person's screen.

The processes of a run watch one another in jax's compiled code (see `hosts`). It logs
to the descriptors of standard output and error, and where one of them is lost it logs
its stack and calls abort(): Python is not asked, and nobody learns what to do.
"""

import contextlib
import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO


@contextlib.contextmanager
def printed() -> Iterator[IO[bytes]]:
    """A file without a name, to which compiled code prints; Python prints as before.

    Python gets copies of the two descriptors, so that a terminal stays one.
    """
    with tempfile.TemporaryFile() as file, contextlib.ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stack.enter_context(_copied(name, file))
        yield file


@contextlib.contextmanager
def _copied(name: str, file: IO[bytes]) -> Iterator[None]:
    stream = getattr(sys, name)
    stream.flush()
    descriptor = stream.fileno()
    at_once = stream.line_buffering or stream.write_through
    screen = open(  # noqa: SIM115 (it may fail to close)
        os.dup(descriptor),
        "w",
        buffering=1 if at_once else -1,
        encoding=stream.encoding,
        errors=stream.errors,
    )
    os.dup2(file.fileno(), descriptor)
    setattr(sys, name, screen)
    try:
        yield
    finally:
        setattr(sys, name, stream)
        os.dup2(screen.fileno(), descriptor)
        screen.close()


@contextlib.contextmanager
def on_abort(call: Callable[[], object]) -> Iterator[None]:
    """Has abort() call a function; where that returns, the process dies as it would.

    It runs on the thread that aborts: a handler of Python's own runs in the main thread
    and later, and the process has died by then.
    """
    library = ctypes.CDLL(None)
    library.signal.restype = ctypes.c_void_p
    library.signal.argtypes = ctypes.c_int, ctypes.c_void_p
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: call() and None)
    before = library.signal(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
    try:
        yield
    finally:
        library.signal(signal.SIGABRT, before)

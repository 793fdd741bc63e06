"""Runs a command that does not outlive its worker, as a program between the two.

    python guard.py DESCRIPTOR LOCK COMMAND...

The descriptor reads from a pipe whose writing end the worker alone holds, so that it
comes to its end when the worker does, whatever killed that. Then the command is asked
to save and end, and after `SECONDS` it is killed with all that it started; meanwhile
LOCK is held, which the next command on the machine waits for. (Linux's own signal at
the death of a parent, PR_SET_PDEATHSIG, comes when the *thread* ends that forked, and
there is no second one for a command that does not end.)

As a program it imports nothing of this package, and begins within some milliseconds.
It leads a process group, whose signals it leaves to the command, and it ends as the
command does.
"""

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

SECONDS = 10.0  # that a command without its worker has to save and end
_ASKS = (signal.SIGTERM, signal.SIGINT)  # a second one ends a run unsaved
_LEFT_TO_THE_COMMAND = (*_ASKS, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def guarded(command: Sequence[str], descriptor: int) -> list[str]:
    """The command with its guard, to be started in a session of its own."""
    program = [sys.executable, "-I", "-S", __file__]
    return [*program, str(descriptor), _lock(), *command]


def rest() -> None:
    """Waits until no command on this machine has lost its worker and goes on."""
    try:
        held = os.open(_lock(), os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # none ever has
        return
    fcntl.flock(held, fcntl.LOCK_EX)
    os.close(held)


def _lock() -> str:
    import tempfile

    return os.path.join(tempfile.gettempdir(), f"s2sjax-without-worker-{os.getuid()}")


def main(descriptor: int, lock: str, command: list[str]) -> int:
    """Runs the command to its end; its exit code, unless a signal killed it."""
    asked, alone = threading.Event(), threading.Event()

    def note(number: int, frame: object) -> None:
        if number in _ASKS:
            asked.set()

    for each in _LEFT_TO_THE_COMMAND:
        signal.signal(each, note)
    os.set_inheritable(descriptor, False)
    try:
        child = os.posix_spawnp(command[0], command, os.environ)
    except OSError as error:
        os.write(1, f"cannot start {command[0]}: {error.strerror}\n".encode())
        return 127
    watched = descriptor, lock, asked, alone
    threading.Thread(target=_end, args=watched, daemon=True).start()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if alone.is_set():
        os.killpg(0, signal.SIGKILL)  # what the command has left
    if code < 0:
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _end(
    descriptor: int, lock: str, asked: threading.Event, alone: threading.Event
) -> None:
    """Once nobody holds the pipe, ends the process group."""
    os.read(descriptor, 1)
    held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(held, fcntl.LOCK_SH)
    alone.set()
    if not asked.is_set():
        os.killpg(0, signal.SIGTERM)
    time.sleep(SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))

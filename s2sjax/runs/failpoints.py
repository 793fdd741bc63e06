"""Named places where a test can make the process die or the disk fill up.

`S2SJAX_FAILPOINT=checkpoint.before_commit:kill:2` kills the process the second time
it gets there. Without the variable, reaching a point does nothing.
"""

import collections
import errno
import os
import signal

from s2sjax.errors import UsageError, unknown

VARIABLE = "S2SJAX_FAILPOINT"

# How often each point was reached, counted only while the variable is set: the
# N-th time is a property of the process, so this is the one place that holds state.
_reached: collections.Counter[str] = collections.Counter()


def reach(name: str) -> None:
    """Does what `S2SJAX_FAILPOINT=NAME:ACTION[:N]` asks for at this point.

    The actions: `kill` (SIGKILL to this process), `term` and `int` (SIGTERM, SIGINT),
    `full` (raises OSError ENOSPC). `N` counts from 1, the default.

    Raises:
      OSError: the disk is said to be full.
      UsageError: the variable does not read so.

    >>> reach("anywhere")
    """
    setting = os.environ.get(VARIABLE)
    if not setting:
        return
    wanted, action, time = _parse(setting)
    if wanted != name:
        return
    _reached[name] += 1
    if _reached[name] == time:
        _ACTIONS[action]()


def _parse(setting: str) -> tuple[str, str, int]:
    name, _, rest = setting.partition(":")
    action, _, time = rest.partition(":")
    if action not in _ACTIONS:
        raise unknown("failpoint action", action, _ACTIONS)
    if time and not (time.isascii() and time.isdigit() and int(time) > 0):
        raise UsageError(f"{VARIABLE}={setting}: {time!r} is not a count from 1")
    return name, action, int(time or 1)


def _full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


_ACTIONS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "int": lambda: os.kill(os.getpid(), signal.SIGINT),
    "full": _full,
}

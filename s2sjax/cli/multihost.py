"""The flags of `s2sjax train` for several processes that train one run."""

import contextlib
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING

from s2sjax.cli.command import Flag
from s2sjax.errors import UsageError

if TYPE_CHECKING:
    from s2sjax.training.hosts import Hosts

FLAGS = (
    Flag(
        "multihost",
        "this is one of several processes that train the run; --workdir is shared",
        False,
        type=bool,
    ),
    Flag(
        "coordinator",
        "process 0, where the cluster's environment does not say it",
        value="HOST:PORT",
    ),
    Flag("process_id", "which process this is", type=int, least=0),
    Flag("processes", "how many there are", type=int, least=1),
)


def check(values: SimpleNamespace) -> None:
    """Whether the flags fit one another; imports no jax.

    Raises:
      UsageError: they do not.
    """
    names = [flag.name for flag in FLAGS[1:]]
    given = {name: getattr(values, name) for name in names}
    flags = [f"--{name}={value}" for name, value in given.items() if value is not None]
    if flags and not values.multihost:
        raise UsageError(f"{' '.join(flags)}: give --multihost with it")
    if flags and len(flags) < len(names):
        raise UsageError(
            f"{' '.join(flags)} is not enough; give --coordinator=HOST:PORT "
            f"--process_id=I --processes=N, or none where the cluster says them"
        )
    if not flags:
        return
    host, _, port = values.coordinator.rpartition(":")
    if not (host and re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise UsageError(f"--coordinator={values.coordinator} is not HOST:PORT")
    if values.process_id >= values.processes:
        raise UsageError(
            f"--process_id={values.process_id} is not below "
            f"--processes={values.processes}"
        )


def joined(values: SimpleNamespace) -> contextlib.AbstractContextManager["Hosts"]:
    """The processes of the run; this one alone without `--multihost`."""
    from s2sjax.training import hosts

    if not values.multihost:
        return contextlib.nullcontext(hosts.Hosts())
    return hosts.joined(values.coordinator, values.process_id, values.processes)

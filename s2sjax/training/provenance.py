"""Where a run comes from: versions, flags and device, as JSON for `run.json`."""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import s2sjax

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# What changes the bits of a result, or the machine it is computed on.
FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "JAX_PLATFORMS", "NPROC", "OMP_NUM_THREADS")


def describe(
    command: Sequence[str], environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Versions, flags, devices and the command of this process.

    Starts jax's backend, so the flags must be set before.

    Args:
      command: the command line that made the run.
      environ: the environment; None: that of this process.
    """
    import jax

    environ = os.environ if environ is None else environ
    devices = jax.devices()
    return {
        "command": list(command),
        "versions": {
            "python": platform.python_version(),
            "s2sjax": s2sjax.__version__,
            **{package: _version(package) for package in PACKAGES},
        },
        # Sorted, since the order of XLA's flags is no difference.
        "flags": {
            name: " ".join(sorted(environ[name].split()))
            for name in FLAGS
            if name in environ
        },
        "device": devices[0].device_kind,
        "device_count": len(devices),
        "process_count": jax.process_count(),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"

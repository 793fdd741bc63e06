"""What a run or a sweep was made with: versions, flags, devices, commit, changes."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import s2sjax
from s2sjax.environment import version_of

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
            **{each: version_of(each) or "not installed" for each in PACKAGES},
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


class SourceCode(NamedTuple):
    """The state of a git repository."""

    version: str  # of s2sjax
    commit: str  # empty where there is no repository
    difference: str  # `git diff HEAD`, and the names of files git does not know

    @property
    def difference_hash(self) -> str:
        """The hash of the difference; empty where there is none."""
        digest = hashlib.sha256(self.difference.encode()).hexdigest()[:16]
        return digest if self.difference else ""

    def record(self) -> dict[str, str]:
        """What a launch keeps of it, beside the text of the difference."""
        return {
            "s2sjax": self.version,
            "commit": self.commit,
            "difference": self.difference_hash,
        }


def source_code(folder: Path) -> SourceCode:
    """The repository that holds `folder`; without one, or without git, no commit."""
    commit = _git(folder, "rev-parse", "HEAD").strip()
    difference = ""
    if commit:
        # The whole repository, wherever in it the folder is.
        root = Path(_git(folder, "rev-parse", "--show-toplevel").strip())
        unknown = _git(root, "ls-files", "--others", "--exclude-standard")
        difference = _git(root, "diff", "HEAD")
        names = filter(None, unknown.split("\n"))
        difference += "".join(f"untracked: {name}\n" for name in names)
    return SourceCode(s2sjax.__version__, commit, difference)


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = done.stdout.decode(errors="replace")
    return text if done.returncode == 0 else ""

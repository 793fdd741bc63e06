"""`s2sjax doctor`: versions, devices, and whether this machine computes right."""

import glob
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from s2sjax import environment
from s2sjax.cli import printing
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.environment import version_of

COMMAND = Command(
    "doctor",
    "Prints versions, devices, memory and flags, and checks that this machine "
    "computes right.",
    flags=(Flag("json", "one JSON object", False, type=bool),),
)
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "ml_collections")
PLUGINS = ("jax-cuda13-plugin", "jax-cuda12-plugin")
_PROBE = pathlib.Path(__file__).with_name("probe.py")
TIMEOUT = 60.0  # seconds that jax may take to start and compute
PATIENCE = 15.0  # seconds after which the initialisers count as hanging
_GIB = 2**30


def main(parsed: Parsed) -> int:
    """Runs the command; the exit code is 0 where this machine computes right."""
    if not parsed.values.json:
        printing.warn(["checking this machine; up to a minute ..."])
    report = examine(os.environ)
    right = report["checks"]["reduction"]["with_guard"]["right"]
    if parsed.values.json:
        printing.lines(json.dumps(report, indent=1).splitlines())
    else:
        printing.lines(listed(report))
    return 0 if right else 1


def examine(environ: Mapping[str, str]) -> dict[str, Any]:
    """Everything that doctor knows, as JSON values.

    Args:
      environ: the environment as the command line left it.
    """
    started = probe("devices", environ, TIMEOUT)
    # The faults are the CPU compiler's, and a GPU's products are rounded coarsely.
    on_cpu = dict(environ) | {"JAX_PLATFORMS": "cpu"}
    on_cpu.pop("JAX_COMPILATION_CACHE_DIR", None)  # it is the compiler that is checked
    bare = on_cpu | {"XLA_FLAGS": without_guard(environ.get("XLA_FLAGS", ""))}
    guarded = dict(bare)
    environment.prepare(guarded)
    both = {"with_guard": guarded, "without_guard": bare}
    memory = free_memory()
    return {
        "versions": versions(),
        "devices": started.get("devices", []),
        "trouble": started.get("detail", ""),  # why jax does not start
        "gpu": why_no_gpu(
            environ,
            present=gpu_present(),
            plugins=[name for name in PLUGINS if version_of(name)],
            platform=started.get("platform"),
            detail=started.get("detail", ""),
        ),
        "free_memory_gib": None if memory is None else round(memory / _GIB, 1),
        "free_disk_gib": round(shutil.disk_usage(".").free / _GIB, 1),
        "xla_flags": environ.get("XLA_FLAGS", ""),
        "checks": {
            "reduction": {
                name: probe("reduction", env, TIMEOUT) for name, env in both.items()
            },
            "initialisers": {
                name: probe("initialisers", env, PATIENCE) for name, env in both.items()
            },
        },
    }


def listed(report: Mapping[str, Any]) -> list[str]:
    """The report in lines for a person."""
    lines = [f"{name:<18} {version}" for name, version in report["versions"].items()]
    memory = report["free_memory_gib"]
    lines += [
        f"{'devices':<18} "
        + (", ".join(report["devices"]) or f"none: {report['trouble']}"),
        f"{'gpu':<18} {report['gpu']}",
        f"{'free memory':<18} {'unknown' if memory is None else f'{memory} GiB'}",
        f"{'free disk':<18} {report['free_disk_gib']} GiB here",
        f"{'XLA_FLAGS':<18} {report['xla_flags'] or 'none'}",
    ]
    reductions = report["checks"]["reduction"]
    for name, check in reductions.items():
        verdict = "right" if check["right"] else "WRONG"
        lines.append(
            f"{'sums on the CPU':<18} {name.replace('_', ' ')}: {verdict} "
            f"({check['detail']})"
        )
    for name, check in report["checks"]["initialisers"].items():
        lines.append(
            f"{'vmapped init':<18} {name.replace('_', ' ')}: {check['detail']}"
            + ("" if check["right"] else "; s2sjax never vmaps an initialiser")
        )
    lines.append(
        "this machine computes right"
        + ("" if reductions["without_guard"]["right"] else ", thanks to the guard")
        if reductions["with_guard"]["right"]
        else "this machine computes WRONG: do not trust results on its CPU; "
        "install the jax of constraints.txt"
    )
    return lines


def probe(name: str, environ: Mapping[str, str], timeout: float) -> dict[str, Any]:
    """Runs one check of `s2sjax.cli.probe` in a process of its own.

    The result has `right` and `detail` where the check did not come back with
    something better.
    """
    # -P: the folder of probe.py holds a types.py, which must not hide Python's own.
    command = [sys.executable, "-P", str(_PROBE), name]
    try:
        done = subprocess.run(
            command,
            env=dict(environ),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"right": False, "detail": f"no answer within {timeout:g} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        return {"right": False, "detail": last}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def why_no_gpu(
    environ: Mapping[str, str],
    *,
    present: bool,
    plugins: list[str],
    platform: str | None,
    detail: str = "",
) -> str:
    """Whether a GPU is used and, where one is there and is not, why.

    >>> why_no_gpu({}, present=True, plugins=[], platform="cpu")
    "there, not used: no CUDA plugin is installed; pip install '.[cuda13]'"
    """
    if platform == "gpu":
        return "used"
    if not present:
        return "none found"
    chosen = environ.get("JAX_PLATFORMS", "")
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if chosen and not {"cuda", "gpu"} & set(chosen.split(",")):
        why = f"JAX_PLATFORMS={chosen} forbids it"
    elif not plugins:
        why = "no CUDA plugin is installed; pip install '.[cuda13]'"
    elif visible is not None and visible in ("", "-1"):
        why = f"CUDA_VISIBLE_DEVICES='{visible}' hides it"
    else:
        why = f"{plugins[0]} is installed and did not start"
        why += f": {detail}" if detail else ""
    return f"there, not used: {why}"


def gpu_present() -> bool:
    """Whether an NVIDIA GPU is there, asked without jax."""
    if glob.glob("/dev/nvidia[0-9]*"):
        return True
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:  # the tool alone proves nothing: images carry it to machines without a GPU
        listed = subprocess.run([tool, "-L"], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and listed.stdout.startswith(b"GPU")


def versions() -> dict[str, str]:
    """Installed versions, without importing what they are of."""
    installed = {name: version_of(name) or "missing" for name in (*PACKAGES, "numpy")}
    installed |= {name: version for name in PLUGINS if (version := version_of(name))}
    return {"python": platform.python_version()} | installed


def free_memory() -> int | None:
    """Bytes of memory that a new process can have, or None where nobody says."""
    try:
        text = pathlib.Path("/proc/meminfo").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def without_guard(flags: str) -> str:
    """`flags` less the guard that s2sjax adds.

    >>> without_guard(f"--xla_a=1 {environment.GUARD}")
    '--xla_a=1'
    """
    return " ".join(flag for flag in flags.split() if flag != environment.GUARD)

"""Environment variables that must be set before jax is imported.

XLA reads `XLA_FLAGS` once, when jax starts its backends, so that threads, devices,
determinism and the guard against wrong numbers are chosen here and not in a config
of jax. The command line, the test suite and scripts call `prepare` (or `restore`, for
a run that recorded its flags) on `os.environ`; importing s2sjax calls `guard`, which
does nothing but where the installed jaxlib computes wrong.
"""

import contextlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping

from s2sjax.errors import UsageError

# jaxlib versions whose CPU compiler goes wrong where it fuses reductions, and how
# (jax-ml/jax#39103 and #39257). A flag that a jaxlib does not know aborts the process,
# so that each flag is added to the versions it was tried with and to no others.
FAULTY_JAXLIB = {
    "0.10.2": "gets some sums wrong on the CPU",
    "0.11.0": "crashes in some sums over many axes on the CPU",
}
GUARD = "--xla_cpu_experimental_ynn_fusion_type=-reduce"
# Vectors of 512 bits where the processor has them: XLA's own choice is 256, and tanh
# takes 1.5 times as long. What a run was not recorded with is not added on resume.
WIDE = "--xla_cpu_prefer_vector_width=512"
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
DEVICES = "--xla_force_host_platform_device_count"
MOST_DEVICES = 4096  # that a recorded run may ask for

_WHY = {
    GUARD: "jaxlib {jaxlib} {fault} without it",
    WIDE: "the widest vectors of the processor",
    ONE_THREAD: "one thread in each matrix product",
    DETERMINISTIC: "the same bits every time on a GPU",
}


def prepare(
    environ: MutableMapping[str, str],
    *,
    threads: int = 0,
    deterministic: bool = False,
    devices: int = 0,
) -> list[str]:
    """Adds to `XLA_FLAGS` what is needed and the user has not set himself.

    Args:
      environ: `os.environ`, or a copy for a subprocess; edited in place.
      threads: 1 for one thread in each matrix product, 0 for XLA's choice.
      deterministic: whether a GPU must give the same bits every time.
      devices: how many devices the CPU is split into, 0 for one.

    Returns:
      One line for each flag added, and for a guard that the user has turned off.

    Raises:
      UsageError: a number of threads or devices that cannot be.

    >>> environ = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=true"}
    >>> lines = prepare(environ, threads=1, deterministic=True)
    >>> "eigen=false" in environ["XLA_FLAGS"]
    False
    >>> print(lines[-1].partition(" (")[0])
    XLA_FLAGS: added --xla_gpu_deterministic_ops=true
    """
    if threads not in (0, 1):
        raise UsageError(f"threads={threads} is not 1, or 0 for all cores")
    if devices < 0:
        raise UsageError(f"devices={devices} is not a whole number of at least 0")
    # XLA's C++ warns on standard error before any Python logger could filter it;
    # only its errors are for the user (level 2).
    environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    wanted = [GUARD, WIDE] if needs_guard() else []
    wanted += [ONE_THREAD] if threads == 1 else []
    wanted += [DETERMINISTIC] if deterministic else []
    wanted += [f"{DEVICES}={devices}"] if devices else []
    return _add(environ, wanted)


def restore(environ: MutableMapping[str, str], recorded: str) -> list[str]:
    """Adds the flags that a run recorded, so that it goes on with the same bits.

    Only flags that `prepare` may have set: a run may come from elsewhere, and others
    write files or stop the process. A flag that the user sets now wins, and so does
    the guard that this jaxlib needs.

    >>> environ = {}
    >>> lines = restore(environ, "--xla_gpu_deterministic_ops=true")
    >>> print(lines[-1].partition(" (")[0])
    XLA_FLAGS: added --xla_gpu_deterministic_ops=true
    """
    environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    lines = _add(environ, [GUARD] if needs_guard() else [])
    unknown = () if needs_guard() else (_name(GUARD), _name(WIDE))
    wanted = [flag for flag in recorded.split() if _is_own(flag)]
    wanted = [flag for flag in wanted if _name(flag) not in unknown]
    return lines + _add(environ, wanted)


def left_out(environ: Mapping[str, str], recorded: str) -> list[str]:
    """A line on recorded flags that `restore` leaves to the user, if there are any.

    >>> print(*left_out({"XLA_FLAGS": "--xla_a=1"}, "--xla_a=1 --xla_b=1"))
    XLA_FLAGS: the run began with --xla_b=1, which s2sjax does not restore
    """
    given = environ.get("XLA_FLAGS", "").split()
    others = [f for f in recorded.split() if not _is_own(f) and f not in given]
    listed = ascii(" ".join(others))[1:-1]
    shown = listed if len(listed) <= 200 else f"{listed[:200]}..."
    line = f"XLA_FLAGS: the run began with {shown}, which s2sjax does not restore"
    return [line] if others else []


def _is_own(flag: str) -> bool:
    """Whether `prepare` writes such a flag."""
    name, _, value = flag.partition("=")
    if name == DEVICES:
        is_short = value.isascii() and value.isdigit() and len(value) <= 4
        return is_short and 0 < int(value) <= MOST_DEVICES
    return flag in (GUARD, WIDE, ONE_THREAD, DETERMINISTIC)


def has_begun() -> bool:
    """Whether jax has started its backends here, which read their flags then."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bridge is not None and bool(bridge.backends_are_initialized())


def guard(environ: MutableMapping[str, str]) -> str:
    """Adds the guard alone, where the installed jaxlib needs it.

    Args:
      environ: `os.environ`; edited in place.

    Returns:
      A line on a guard that comes too late, after jax has begun; else empty.
    """
    if not needs_guard() or not _add(environ, [GUARD]) or not has_begun():
        return ""
    return (
        f"jaxlib {jaxlib_version()} {FAULTY_JAXLIB[jaxlib_version() or '']}, and jax "
        f"has computed before s2sjax was imported: import s2sjax first, or set "
        f"XLA_FLAGS={GUARD}"
    )


def needs_guard() -> bool:
    """Whether the installed jaxlib is known to compute wrong on the CPU."""
    return jaxlib_version() in FAULTY_JAXLIB


def jaxlib_version() -> str | None:
    """See `version_of`."""
    return version_of("jaxlib")


def version_of(package: str) -> str | None:
    """The version of an installed package, which is not imported; None: there is none.

    >>> version_of("no such package")
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _add(environ: MutableMapping[str, str], wanted: list[str]) -> list[str]:
    present = environ.get("XLA_FLAGS", "").strip()
    if present and not present.startswith("-"):
        # XLA takes such a value for the name of a file of flags, whole.
        return [
            f"XLA_FLAGS={present} names a file, so that nothing was added; it needs "
            + " ".join(wanted)
        ] * bool(wanted)
    flags = present.split()
    given = {_name(flag): flag for flag in flags}
    lines = []
    for flag in wanted:
        name = _name(flag)
        if name not in given:
            flags.append(flag)
            given[name] = flag
            lines.append(f"XLA_FLAGS: added {flag}{_why(flag)}")
        elif flag == GUARD and given[name] != GUARD:
            lines.append(f"XLA_FLAGS: {given[name]} is yours and stays{_why(flag)}")
    if flags:
        environ["XLA_FLAGS"] = " ".join(flags)
    return lines


def _name(flag: str) -> str:
    return flag.partition("=")[0]


def _why(flag: str) -> str:
    jaxlib = jaxlib_version()
    fault = FAULTY_JAXLIB.get(jaxlib or "", "")
    why = _WHY.get(flag, "").format(jaxlib=jaxlib, fault=fault)
    return f" ({why})" if why else ""


def precision(name: str) -> contextlib.AbstractContextManager[None]:
    """Sets the precision of matrix products, `train.precision`, for a while.

    Of all threads, and not of this one alone: batches are decoded side by side.
    """
    return contextlib.nullcontext() if name == "default" else _precision(name)


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    import jax

    before = jax.config.jax_default_matmul_precision
    jax.config.update("jax_default_matmul_precision", name)
    try:
        yield
    finally:
        jax.config.update("jax_default_matmul_precision", before)


def cores() -> set[int]:
    """The cores that this process may use: those it is pinned to, else all."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))

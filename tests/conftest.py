"""What must be set before jax is imported, and the strictness of the whole suite."""

import gc
import ipaddress
import os
import pathlib
import socket

from s2sjax import environment

# Most of the time goes into compiling programs that run once, so that the compiler is
# told to hurry; a flag that is given wins, to try what users run. XLA aborts on a flag
# that it does not know, so that each goes to the versions it was tried with alone.
ANY_TRIED = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_prefer_vector_width=128",
)
HURRY = {
    "0.10.2": (*ANY_TRIED, "--xla_cpu_use_fusion_emitters=false"),
    "0.12.0.1": ANY_TRIED,
}
VERSION = environment.jaxlib_version()
given = os.environ.get("XLA_FLAGS", "").split()
names = {flag.partition("=")[0] for flag in given}
given += [
    flag for flag in HURRY.get(VERSION, ()) if flag.partition("=")[0] not in names
]
os.environ["XLA_FLAGS"] = " ".join(given)
environment.prepare(os.environ, threads=1)
os.environ["JAX_PLATFORMS"] = "cpu"
# What the suite keeps between two calls lies outside the checkout.
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
CACHE = CACHE / "s2sjax" / "tests"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / f"jaxlib-{VERSION}"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis  # noqa: E402
import hypothesis.configuration  # noqa: E402
import jax  # noqa: E402

hypothesis.configuration.set_hypothesis_home_dir(CACHE / "hypothesis")
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
FLAGS = os.environ["XLA_FLAGS"]


@pytest.fixture(autouse=True)
def flags_of_the_suite():
    """A command that ran in this process has added flags of its own."""
    os.environ["XLA_FLAGS"] = FLAGS
    yield
    os.environ["XLA_FLAGS"] = FLAGS


# Memory maps of a process. Each compiled program holds some ten of them, and beyond the
# 65,530 that Linux allows XLA's compiler dies of a segmentation fault.
MOST_MAPS = 30_000


@pytest.fixture(autouse=True)
def maps_of_the_suite():
    """Compiled programs are forgotten before there are too many."""
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


# The first example of a property compiles, the next ones do not.
hypothesis.settings.register_profile("s2sjax", deadline=None)
hypothesis.settings.load_profile("s2sjax")


def _loopback_only(connect):
    """`socket.socket.connect`, but for this machine alone: tests use no network."""

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            assert host == "localhost" or ipaddress.ip_address(host).is_loopback, host
        return connect(self, address)

    return guarded


socket.socket.connect = _loopback_only(socket.socket.connect)

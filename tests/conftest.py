"""What must be set before jax is imported, and the strictness of the whole suite."""

import os

from s2sjax import environment

# Most of the time goes into compiling programs that run once, so that the compiler is
# told to hurry; a flag that is given wins, to try what users run.
HURRY = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_prefer_vector_width=128",
)
given = os.environ.get("XLA_FLAGS", "").split()
names = {flag.partition("=")[0] for flag in given}
given += [flag for flag in HURRY if flag.partition("=")[0] not in names]
os.environ["XLA_FLAGS"] = " ".join(given)
environment.prepare(os.environ, threads=1)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    os.path.join(os.path.dirname(os.path.dirname(__file__)), ".cache", "jax-tests"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis  # noqa: E402
import jax  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

# The first example of a property compiles, the next ones do not.
hypothesis.settings.register_profile("s2sjax", deadline=None)
hypothesis.settings.load_profile("s2sjax")

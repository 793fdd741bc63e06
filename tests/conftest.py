"""What must be set before jax is imported, and the strictness of the whole suite."""

import os

from s2sjax import environment

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

"""One process per framework, told when to measure: rounds can take turns.

A worker is this checkout's benchmark script started again with `--worker=NAME`. It
sets up, says what it is, then waits; each `round` on its standard input is one
measurement, answered by one line of JSON. While one worker measures, the others
wait for input and use no processor.
"""

import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from s2sjax import environment

SIZE = 2048  # of the square matrices whose product is the machine's peak
FAILED = 3  # exit status of a worker whose framework is not installed

PEERS = (
    "keras_jax",
    "keras_jax_guarded",
    "keras_tensorflow",
    "torch",
    "torch_one_thread",
    "torch_plain",
)
OURS = "s2sjax"


class Measured(Protocol):
    """What a framework offers to `serve`."""

    def about(self) -> dict[str, Any]:
        """Versions, threads, device, the number of parameters."""

    def first(self) -> None:
        """Everything once: compilation and warm-up."""

    def round(self) -> dict[str, Any]:
        """One measurement: `seconds` at least."""

    def product(self) -> Callable[[], None]:
        """A function that multiplies two float32 matrices [2048, 2048] and waits."""

    def device_peak_mib(self) -> float | None:
        """Most memory of the accelerator in use so far; None on the CPU."""


def environ(name: str, device: str, threads: int) -> dict[str, str]:
    """The environment of a worker. Peers get their framework's own defaults."""
    env = dict(os.environ)
    env["TF_CPP_MIN_LOG_LEVEL"] = "2"
    if device == "cpu":
        env["JAX_PLATFORMS"] = "cpu"
        env["CUDA_VISIBLE_DEVICES"] = ""
    else:
        env["JAX_PLATFORMS"] = "cuda"
        env["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # workers share the device
    if name.startswith("keras_"):
        env["KERAS_BACKEND"] = name.split("_")[1]
    if name == OURS:
        environment.prepare(env, threads=threads)
    elif name == "keras_jax_guarded":
        environment.prepare(env)
    elif name == "torch_one_thread":
        env |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return env


class Worker:
    """The parent's end of a worker.

    Raises:
      RuntimeError: the worker has died.
    """

    def __init__(self, name: str, arguments: list[str], env: Mapping[str, str]):
        self.name = name
        self.rounds: list[dict[str, Any]] = []
        command = [sys.executable, sys.argv[0], f"--worker={name}", *arguments]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(env),
        )
        self.about: dict[str, Any] = {}

    def start(self) -> bool:
        """Waits for the set-up; False where the framework is not installed."""
        try:
            self.about = self._receive()
        except RuntimeError:
            if self._process.wait() == FAILED:
                return False
            raise
        return True

    def measure(self) -> None:
        """One more round."""
        assert self._process.stdin is not None
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        self.rounds.append(self._receive())

    def stop(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def median(self, key: str) -> float:
        """Of a number over the rounds."""
        return statistics.median(each[key] for each in self.rounds)

    def peak_flops(self) -> float:
        """The best matrix product of all rounds, in FLOP per second."""
        return max(each["product_flops"] for each in self.rounds)

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker {self.name} has died")
        return json.loads(line)


def in_turn(workers: list[Worker], rounds: int) -> None:
    """A B C A B C ..., so that a slow minute of the machine hits all of them."""
    for _ in range(rounds):
        for worker in workers:
            worker.measure()


def start_all(
    names: list[str], arguments: list[str], device: str, threads: int
) -> list[Worker]:
    """Starts workers one after the other; leaves out what is not installed."""
    workers = []
    for name in names:
        worker = Worker(name, arguments, environ(name, device, threads))
        if worker.start():
            workers.append(worker)
        else:
            print(
                f"{name}: left out, not installed (pip install '.[peers]')",
                file=sys.stderr,
            )
    return workers


def serve(create: Callable[[], Measured]) -> None:
    """A worker's end: sets up, then measures as often as asked."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints must not get between the replies
    sys.stdout = sys.stderr
    try:
        measured = create()
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        raise SystemExit(FAILED) from None
    start = time.perf_counter()
    measured.first()
    first = time.perf_counter() - start
    measured.round()
    about = {"first_seconds": first, **measured.about()}
    for reply in _replies(measured, about):
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _replies(measured: Measured, about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    # Before the first product, whose matrices are not part of the workload.
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield {
        **about,
        "peak_resident_mib": resident,
        "device_peak_mib": measured.device_peak_mib(),
    }
    product = measured.product()
    for _ in sys.stdin:
        reply = measured.round()
        yield {**reply, "product_flops": product_flops(product)}


def product_flops(product: Callable[[], None], tries: int = 4) -> float:
    """The best of several products, in FLOP per second."""
    product()
    best = float("inf")
    for _ in range(tries):
        start = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - start)
    return 2 * SIZE**3 / best


@dataclasses.dataclass
class JaxDevice:
    """What the workers on jax have in common."""

    def describe(self) -> dict[str, Any]:
        """Version, device and flags."""
        import jax

        device = jax.devices()[0]
        return {
            "jax": jax.__version__,
            "device": f"{device.platform} ({device.device_kind})",
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
        }

    def product(self) -> Callable[[], None]:
        """See `Measured`."""
        import jax
        import jax.numpy as jnp

        one, other = jax.random.normal(jax.random.key(0), (2, SIZE, SIZE), jnp.float32)
        multiply = jax.jit(jnp.matmul)
        return lambda: multiply(one, other).block_until_ready()

    def device_peak_mib(self) -> float | None:
        """See `Measured`."""
        import jax

        statistics = jax.devices()[0].memory_stats()
        if not statistics or "peak_bytes_in_use" not in statistics:
            return None
        return statistics["peak_bytes_in_use"] / 2**20

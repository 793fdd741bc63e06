"""Rounds of timing, taken in turn, so that a slow minute hits every implementation."""

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from s2sjax.benchmark.examples import Chunk
from s2sjax.inference.batches import Passed, at_once, unwatched
from s2sjax.inference.system import System, decode
from s2sjax.types import Hypotheses

_EVENT = "/jax/core/compile/backend_compile_duration"


class Compilations:
    """How many programs were compiled (or read from the compiler's cache) so far."""

    def __init__(self) -> None:
        self.count = 0

    def heard(self, event: str, duration_secs: float, **_: Any) -> None:
        """Takes an event of jax's."""
        self.count += event == _EVENT


@contextlib.contextmanager
def counted() -> Iterator[Compilations]:
    """Counts every compilation of this process while it lasts.

    >>> with counted() as compilations:
    ...     _ = jax.jit(lambda: 1).lower().compile()
    >>> compilations.count
    1
    """
    compilations = Compilations()
    listener = compilations.heard
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        yield compilations
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)


_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_MIB = 2**20


class Peak:
    """The largest resident memory of the process while `watched` lasted, in MiB.

    Where the system cannot forget an earlier peak (anything but Linux), it is the
    largest since the process began.
    """

    def __init__(self) -> None:
        self.resident_mib = 0.0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """While this lasts."""
        with contextlib.suppress(OSError):
            _RESET.write_text("5")  # proc(5): forget the peak
        yield
        self.resident_mib = max(self.resident_mib, _resident_peak())


def _resident_peak() -> float:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / _MIB if sys.platform == "darwin" else most / 2**10


def device_peak_mib() -> float | None:
    """The most memory of the device in use since the process began; None on a CPU."""
    statistics = jax.devices()[0].memory_stats()
    if not statistics or "peak_bytes_in_use" not in statistics:
        return None
    return statistics["peak_bytes_in_use"] / _MIB


class Implementation(Protocol):
    """What decodes a batch, with everything that is read of it on the host."""

    @property
    def at_once(self) -> int:
        """How many batches it decodes at the same time, from as many threads."""

    def decode(self, chunk: Chunk) -> Any:
        """The outputs of a batch; when it returns, there is nothing left to wait for.

        A chunk is one of those that the implementation was made for.
        """


def decode_all(
    implementation: Implementation, chunks: Sequence[Chunk], passed: Passed = unwatched
) -> list[Any]:
    """What an implementation decodes, as many batches at the same time as it takes.

    The widest begin, as in `inference.predict`, so that the cores end at about the
    same time.
    `passed` is told how many batches are done.
    """
    outputs: dict[int, Any] = {}
    passed(0, len(chunks))
    if implementation.at_once == 1:
        for place, chunk in enumerate(chunks):
            outputs[place] = implementation.decode(chunk)
            passed(len(outputs), len(chunks))
        return list(outputs.values())
    order = sorted(range(len(chunks)), key=lambda at: -chunks[at].batch.source.shape[1])
    with ThreadPoolExecutor(implementation.at_once) as pool:
        decoded = pool.map(implementation.decode, [chunks[place] for place in order])
        for place, each in zip(order, decoded, strict=True):
            outputs[place] = each
            passed(len(outputs), len(chunks))
    return [outputs[place] for place in range(len(chunks))]


class Ours:
    """A strategy compiled ahead: one program for each shape, which cannot recompile.

    Attributes:
      at_once: how many batches `s2sjax eval` decodes at the same time.
      programs: the compiled programs by the shape of the sources.
      compilations: how often the compiler was asked for them.
      compile_seconds: tracing and compiling all of them.
      temporary_mib: the largest program's memory beside arguments and outputs; None
        where the compiler does not tell.
    """

    def __init__(self, system: System, chunks: Sequence[Chunk]):
        self._system = system
        self.at_once = at_once()
        self.programs: dict[tuple[int, ...], Any] = {}
        begin = time.perf_counter()
        with counted() as compilations:
            for chunk in chunks:
                shape = chunk.batch.source.shape
                if shape not in self.programs:
                    lowered = decode.lower(system, *_arguments(chunk))
                    self.programs[shape] = lowered.compile()
        self.compilations = compilations.count
        self.compile_seconds = time.perf_counter() - begin
        analyses = [program.memory_analysis() for program in self.programs.values()]
        self.temporary_mib = (
            None
            if None in analyses
            else max(each.temp_size_in_bytes for each in analyses) / 2**20
        )

    def decode(self, chunk: Chunk) -> Hypotheses:
        """The n-best lists of a batch, arrays of numpy."""
        program = self.programs[chunk.batch.source.shape]
        return jax.device_get(program(self._system, *_arguments(chunk)))


def _arguments(chunk: Chunk) -> tuple[Any, ...]:
    batch = chunk.batch
    return batch.source, batch.source_lengths, batch.ids


Say = Callable[[str], None]
"""Takes a line for a person who waits."""


class Entry(NamedTuple):
    """A implementation with its work of one round."""

    implementation: Implementation
    chunks: Sequence[Chunk]
    alone: Sequence[Chunk] = ()  # decoded one at a time afterwards, for the latency


class Seconds(NamedTuple):
    """What an implementation took."""

    rounds: np.ndarray  # [repeats], by the clock on the wall
    batches: np.ndarray  # [repeats, alone], of each batch that was decoded alone


def rounds(entries: Sequence[Entry], repeats: int) -> list[Seconds]:
    """Times every entry `repeats` times.

    A B C A B C .., and each has decoded a batch, not timed, before its turn counts:
    caches are its own again, and another framework's threads have gone to sleep. A
    round decodes all batches, as many at the same time as the implementation takes.
    """
    seconds = [
        Seconds(np.zeros(repeats), np.zeros((repeats, len(entry.alone))))
        for entry in entries
    ]
    for turn in range(repeats):
        for entry, taken in zip(entries, seconds, strict=True):
            entry.implementation.decode(entry.chunks[0])
            begin = time.perf_counter()
            decode_all(entry.implementation, entry.chunks)
            taken.rounds[turn] = time.perf_counter() - begin
            for place, chunk in enumerate(entry.alone):
                begin = time.perf_counter()
                entry.implementation.decode(chunk)
                taken.batches[turn, place] = time.perf_counter() - begin
    return seconds


class Speed(NamedTuple):
    """What rounds of timing come to."""

    sequences_per_second: float
    tokens_per_second: float  # of the best hypotheses, EOS counted
    latency_median_ms: float  # of a batch alone, which is how long its rows wait
    latency_p90_ms: float


def speed(seconds: Seconds, sequences: int, tokens: int) -> Speed:
    """Throughput of the median round; latencies over all batches decoded alone.

    >>> taken = Seconds(np.array([0.4, 0.4]), np.array([[0.1, 0.3], [0.1, 0.3]]))
    >>> speed(taken, sequences=8, tokens=20)[:2]
    (20.0, 50.0)
    """
    middle = float(np.median(seconds.rounds))
    return Speed(
        sequences / middle,
        tokens / middle,
        float(np.median(seconds.batches)) * 1e3,
        float(np.quantile(seconds.batches, 0.9)) * 1e3,
    )

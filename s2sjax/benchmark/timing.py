"""Rounds of timing, taken in turn, so that a slow minute hits every contender."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from s2sjax.benchmark.contender import Contender, together
from s2sjax.benchmark.examples import Chunk

Say = Callable[[str], None]
"""Takes a line for a person who waits."""


class Entry(NamedTuple):
    """A contender with its work of one round."""

    contender: Contender
    chunks: Sequence[Chunk]
    alone: Sequence[Chunk] = ()  # decoded one at a time afterwards, for the latency


class Seconds(NamedTuple):
    """What a contender took."""

    rounds: np.ndarray  # [repeats], by the clock on the wall
    batches: np.ndarray  # [repeats, alone], of each batch that was decoded alone


def rounds(entries: Sequence[Entry], repeats: int) -> list[Seconds]:
    """Times every entry `repeats` times.

    A B C A B C .., and each has decoded a batch, not timed, before its turn counts:
    caches are its own again, and another framework's threads have gone to sleep. A
    round decodes all batches, as many at the same time as the contender takes.
    """
    seconds = [
        Seconds(np.zeros(repeats), np.zeros((repeats, len(entry.alone))))
        for entry in entries
    ]
    for turn in range(repeats):
        for entry, taken in zip(entries, seconds, strict=True):
            entry.contender.decode(entry.chunks[0])
            begin = time.perf_counter()
            together(entry.contender, entry.chunks)
            taken.rounds[turn] = time.perf_counter() - begin
            for place, chunk in enumerate(entry.alone):
                begin = time.perf_counter()
                entry.contender.decode(chunk)
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

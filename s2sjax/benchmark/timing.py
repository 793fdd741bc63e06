"""Rounds of timing, taken in turn, so that a slow minute hits every contender."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from s2sjax.benchmark.contender import Contender
from s2sjax.benchmark.examples import Chunk

Say = Callable[[str], None]
"""Takes a line for a person who waits."""


class Entry(NamedTuple):
    """A contender with its work of one round."""

    contender: Contender
    chunks: Sequence[Chunk]


def rounds(entries: Sequence[Entry], repeats: int) -> list[np.ndarray]:
    """Seconds of every batch, [repeats, batches] for each entry.

    A B C A B C .., and each has decoded a batch, not timed, before its turn counts:
    caches are its own again, and another framework's threads have gone to sleep.
    """
    seconds = [np.zeros((repeats, len(entry.chunks))) for entry in entries]
    for turn in range(repeats):
        for entry, row in zip(entries, seconds, strict=True):
            entry.contender.decode(entry.chunks[0])
            for place, chunk in enumerate(entry.chunks):
                begin = time.perf_counter()
                entry.contender.decode(chunk)
                row[turn, place] = time.perf_counter() - begin
    return seconds


class Speed(NamedTuple):
    """What rounds of timing come to."""

    sequences_per_second: float
    tokens_per_second: float  # of the best hypotheses, EOS counted
    latency_median_ms: float  # of a batch, which is how long each of its rows waits
    latency_p90_ms: float


def speed(seconds: np.ndarray, sequences: int, tokens: int) -> Speed:
    """From the seconds of every batch [repeats, batches].

    Throughput is that of the median round, latencies are over all batches of all
    rounds.

    >>> speed(np.array([[0.1, 0.3], [0.1, 0.3]]), sequences=8, tokens=20)[:2]
    (20.0, 50.0)
    """
    middle = float(np.median(seconds.sum(axis=1)))
    return Speed(
        sequences / middle,
        tokens / middle,
        float(np.median(seconds)) * 1e3,
        float(np.quantile(seconds, 0.9)) * 1e3,
    )

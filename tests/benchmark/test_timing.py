"""Rounds in turn, and what they come to; counting compilations; memory."""

import threading
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.benchmark.timing import (
    Entry,
    Peak,
    Seconds,
    counted,
    decode_all,
    rounds,
    speed,
)


class Recorder:
    def __init__(self, name, calls, at_once=1):
        self.name, self.calls, self.at_once = name, calls, at_once

    def decode(self, chunk):
        self.calls.append((self.name, chunk))
        return chunk


def test_implementations_take_turns():
    calls = []
    entries = [Entry(Recorder(name, calls), [1, 2], [2]) for name in "ab"]
    seconds = rounds(entries, 3)
    assert calls == [(name, chunk) for name in "ab" for chunk in (1, 1, 2, 2)] * 3
    for each in seconds:
        assert each.rounds.shape == (3,) and each.batches.shape == (3, 1)
        assert (each.rounds > 0).all() and (each.batches > 0).all()


def test_batches_are_decoded_at_the_same_time_and_come_in_order():
    class Meeting(Recorder):
        """Each decodes only while another does."""

        barrier = threading.Barrier(2, timeout=20)

        def decode(self, chunk):
            self.barrier.wait()
            return super().decode(chunk)

    chunks = [of_width(width) for width in (3, 1, 4, 2)]
    assert decode_all(Meeting("a", [], at_once=2), chunks) == chunks


def test_the_widest_batches_begin():
    class Ordered(Recorder):
        """Each waits for the one that should begin before it."""

        turns = {4: threading.Event(), 3: threading.Event(), 2: threading.Event()}

        def decode(self, chunk):
            width = chunk.batch.source.shape[1]
            assert width == 4 or self.turns[width + 1].wait(timeout=20)
            self.turns[width].set()
            return super().decode(chunk)

    chunks = [of_width(width) for width in (3, 4, 2)]
    assert decode_all(Ordered("a", [], at_once=2), chunks) == chunks


def of_width(width):
    return SimpleNamespace(batch=SimpleNamespace(source=np.zeros((2, width))))


def test_speed_is_of_the_median_round():
    batches = np.array([[0.1, 0.1], [0.2, 0.2], [9.0, 0.1]])
    measured = speed(Seconds(np.array([0.3, 9.0, 0.4]), batches), 8, tokens=40)
    assert measured.sequences_per_second == pytest.approx(8 / 0.4)
    assert measured.tokens_per_second == pytest.approx(40 / 0.4)
    assert measured.latency_median_ms == pytest.approx(150)
    assert measured.latency_p90_ms == pytest.approx(np.quantile(batches, 0.9) * 1e3)


def test_compilations_are_counted_and_calls_are_not():
    double = jax.jit(lambda x: x * 2 + 0.125)
    one, other = jnp.ones(3), jnp.ones(4)
    with counted() as compilations:
        double(one)
        double(one)
        assert compilations.count == 1
        double(other)
    assert compilations.count == 2
    double(jnp.ones(5))
    assert compilations.count == 2  # nobody counts any more


def test_the_peak_is_that_of_what_is_watched():
    small, large = Peak(), Peak()
    with large.watched():
        held = np.ones(2**26, np.uint8)  # 64 MiB
        del held
    with small.watched():
        pass
    assert large.resident_mib > 64
    assert large.resident_mib - small.resident_mib > 32

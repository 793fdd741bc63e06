"""Rounds in turn, and what they come to; counting compilations; memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.benchmark.compilations import counted
from s2sjax.benchmark.memory import Peak
from s2sjax.benchmark.timing import Entry, rounds, speed


class Recorder:
    def __init__(self, name, calls):
        self.name, self.calls = name, calls

    def decode(self, chunk):
        self.calls.append((self.name, chunk))


def test_contenders_take_turns():
    calls = []
    entries = [Entry(Recorder(name, calls), [1, 2]) for name in "ab"]
    seconds = rounds(entries, 3)
    assert calls == [(name, chunk) for name in "ab" for chunk in (1, 1, 2)] * 3
    assert [each.shape for each in seconds] == [(3, 2), (3, 2)]
    assert all((each > 0).all() for each in seconds)


def test_speed_is_of_the_median_round():
    seconds = np.array([[0.1, 0.1], [0.2, 0.2], [9.0, 0.1]])
    measured = speed(seconds, sequences=8, tokens=40)
    assert measured.sequences_per_second == pytest.approx(8 / 0.4)
    assert measured.tokens_per_second == pytest.approx(40 / 0.4)
    assert measured.latency_median_ms == pytest.approx(150)
    assert measured.latency_p90_ms == pytest.approx(np.quantile(seconds, 0.9) * 1e3)


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

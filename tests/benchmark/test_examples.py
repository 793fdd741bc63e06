"""Which examples are decoded, in which batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sjax.benchmark.examples import chosen_rows, chunks, evenly
from s2sjax.tasks.stored import Ragged, buckets


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 200))
def test_examples_are_spread_over_the_buckets(sizes, examples):
    rows = chosen_rows(sizes, examples)
    wanted = min(examples, sum(sizes))
    assert sum(map(len, rows)) == wanted
    for size, own in zip(sizes, rows, strict=True):
        assert len(set(own.tolist())) == len(own)
        assert all(0 <= row < size for row in own)
        # Its share of all examples, to the two that rounding may shift.
        assert abs(len(own) - wanted * size / sum(sizes)) <= 2


@pytest.fixture(scope="module")
def pairs():
    source = Ragged.of([[4] * length for length in (1, 1, 1, 5, 5)], 9)
    target = Ragged.of([[5] * length for length in (1, 1, 1, 5, 5)], 9)
    return buckets(source, target, np.arange(5), count=2)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_every_example_is_in_one_batch_and_none_is_padding(pairs, batch_size):
    found = chunks(pairs, None, batch_size)
    real = np.concatenate([chunk.places[: chunk.examples] for chunk in found])
    assert sorted(real.tolist()) == [0, 1, 2, 3, 4]
    for chunk in found:
        assert chunk.batch.source.shape[0] == len(chunk.places) == batch_size
        # What fills a batch up are examples of the same bucket, decoded for real.
        assert np.all(np.asarray(chunk.batch.source_lengths) > 0)
        assert np.all(np.asarray(chunk.batch.weights) == 1)


def test_a_few_batches_stand_for_all(pairs):
    found = chunks(pairs, None, 1)
    widths = [chunk.batch.source.shape[1] for chunk in evenly(found, 2)]
    assert widths == [1, 5]
    assert len(evenly(found, 99)) == 5

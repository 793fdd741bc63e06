"""Which examples are decoded, in which batches."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sjax import config as configs
from s2sjax.benchmark.examples import chosen_rows, chunks, evenly, further
from s2sjax.benchmark.plan import Plan, chunks_of, long_examples
from s2sjax.inference import system
from s2sjax.outcomes import References
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


def test_what_is_too_long_for_the_largest_batch_is_left_out(pairs, monkeypatch):
    trained = SimpleNamespace(
        task=SimpleNamespace(buckets={"test": pairs}),
        config=configs.resolve({"train": {"steps": 1}}),
    )
    plan = Plan(("greedy",), (1, 4))
    assert long_examples(trained, plan) == 0
    # Four rows of 1 symbol with outputs of 12 tokens, but not of 5 with 20.
    monkeypatch.setattr(system, "MOST_POSITIONS", 4 * (1 + 12))
    assert long_examples(trained, plan) == 2
    for size in plan.batch_sizes:
        found = chunks_of(trained, plan, size)
        assert sum(chunk.examples for chunk in found) == 3


def test_further_references_are_those_of_the_examples_that_are_taken(pairs):
    assert further(pairs, None) is None
    (first, last) = pairs
    counts = np.arange(first.size, dtype=np.int32) % 2
    some = np.full(counts.sum(), 7, np.int32), np.ones(counts.sum(), np.int32)
    first = dataclasses.replace(first, references=References(*some, counts))
    every = further((first, last), None)
    assert every.counts.tolist() == [*counts.tolist(), *[0] * last.size]
    assert every.by_example()[1] == [[7]]
    (rows, _) = chosen_rows([first.size, last.size], 3)
    few = further((first, last), 3)
    assert few.counts[: len(rows)].tolist() == counts[rows].tolist()

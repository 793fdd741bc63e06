"""Which validation examples are evaluated while training."""

import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax import config as configs
from s2sjax import tasks
from s2sjax.inference.evaluate import chosen, size
from s2sjax.tasks.stored import Ragged, buckets

ROWS = 60


@pytest.fixture(scope="module")
def rows():
    """Pairs of different lengths."""
    random = np.random.default_rng(3)
    lengths = random.integers(1, 9, ROWS)
    return [random.integers(4, 20, length).tolist() for length in lengths]


def cut(rows, order, count, **options):
    sources = Ragged.of([rows[at] for at in order], 20)
    targets = Ragged.of([rows[at][::-1] for at in order], 20)
    return buckets(sources, targets, np.asarray(order), count=count, **options)


def sources(found):
    """The sources in buckets, whatever their order."""
    taken = []
    for bucket in found:
        batch = bucket.fetch(bucket.store, jnp.arange(bucket.size))
        for row, length in zip(batch.source, batch.source_lengths, strict=True):
            taken.append(tuple(np.asarray(row[:length]).tolist()))
    return sorted(taken)


def test_neither_order_nor_buckets_change_what_is_chosen(rows):
    wanted = None
    for seed, count in ((0, 1), (1, 4), (2, 7)):
        order = np.random.default_rng(seed).permutation(ROWS)
        found = chosen(cut(rows, order, count), 17)
        assert size(found) == 17
        assert all(bucket.size for bucket in found)
        wanted = wanted or sources(found)
        assert sources(found) == wanted
    assert len({len(row) for row in wanted}) > 3  # not the shortest alone
    fewer = sources(chosen(cut(rows, np.arange(ROWS), 3), 8))
    assert set(fewer) < set(wanted)


def test_all_are_chosen_where_there_are_no_more(rows):
    every = cut(rows, np.arange(ROWS), 3)
    for most in (0, ROWS, ROWS + 1):
        assert chosen(every, most) == every


def test_the_target_counts_too():
    same = Ragged.of([[5, 6]] * 40, 20)
    targets = Ragged.of([[4 + at % 16, 4 + at // 16] for at in range(40)], 20)
    (first,), (second,) = (
        chosen(buckets(same, each, np.arange(40)), 5)
        for each in (targets, Ragged.of([[4, 4]] * 40, 20))
    )
    assert sorted(np.asarray(first.store.ids)) != sorted(np.asarray(second.store.ids))


def test_of_generated_examples_the_first_are_taken():
    config = configs.resolve({"train": {"steps": 1}, "task": {"num_valid": 50}})
    every = tasks.create(config).buckets["valid"]
    (found,) = chosen(every, 12)
    assert found.size == 12
    np.testing.assert_array_equal(
        found.fetch(found.store, jnp.arange(12)).source,
        every[0].fetch(every[0].store, jnp.arange(50)).source[:12],
    )

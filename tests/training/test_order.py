"""The order of examples: every epoch a permutation, every split the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax.training.order import Order

sizes = st.lists(st.integers(0, 7), min_size=1, max_size=3).filter(any)
orders = st.builds(
    lambda sizes, batch, run, seed: Order(tuple(sizes), batch, run, seed),
    sizes,
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 2),
)


def steps_of(order, epoch):
    """(bucket, rows) of every step of an epoch, each looked up by itself."""
    first = epoch * order.steps_per_epoch
    chunks = [order.chunk(first + k, 3) for k in range(order.steps_per_epoch)]
    return [(chunk.bucket, chunk.rows[0]) for chunk in chunks]


@given(orders)
@settings(max_examples=12, deadline=None)
def test_an_epoch_has_each_example_exactly_once(order):
    for epoch in (0, 2):
        seen = {bucket: [] for bucket in range(len(order.sizes))}
        for bucket, rows in steps_of(order, epoch):
            assert rows.shape == (order.batch_size,) and rows.dtype == np.int32
            real = rows[rows >= 0].tolist()
            assert real and (rows[rows < 0] == -1).all()
            seen[bucket] += real
        for bucket, size in enumerate(order.sizes):
            assert sorted(seen[bucket]) == list(range(size))


@given(orders, st.integers(1, 5))
@settings(max_examples=12, deadline=None)
def test_a_chunk_is_what_its_steps_are_one_by_one(order, most):
    alone = [*steps_of(order, 0), *steps_of(order, 1)]
    for start in range(len(alone)):
        chunk = order.chunk(start, most)
        epoch = start // order.steps_per_epoch
        end = (epoch + 1) * order.steps_per_epoch
        assert 1 <= len(chunk.rows) <= min(most, end - start)
        for ahead, rows in enumerate(chunk.rows):
            bucket, expected = alone[start + ahead]
            assert bucket == chunk.bucket
            np.testing.assert_array_equal(rows, expected)
        # A chunk is as long as it may be: the next batch is of another bucket.
        after = start + len(chunk.rows)
        if len(chunk.rows) < most and after < end:
            assert alone[after][0] != chunk.bucket


@given(orders, st.lists(st.integers(1, 4), min_size=30, max_size=30))
@settings(max_examples=12, deadline=None)
def test_any_split_of_an_epoch_gives_the_same_steps(order, sizes):
    taken, step = [], 0
    for most in sizes:
        if step >= order.steps_per_epoch:
            break
        chunk = order.chunk(step, min(most, order.steps_per_epoch - step))
        taken += [(chunk.bucket, *rows.tolist()) for rows in chunk.rows]
        step += len(chunk.rows)
    assert taken == flat(order, 0)[: len(taken)]


def flat(order, epoch):
    return [(bucket, *rows.tolist()) for bucket, rows in steps_of(order, epoch)]


def test_the_order_depends_on_the_seed_and_the_epoch_alone():
    order = Order((20, 13), 4, 2, seed=0)
    assert flat(order, 0) == flat(Order((20, 13), 4, 2, seed=0), 0)
    different = [flat(order, 0), flat(order, 1), flat(Order((20, 13), 4, 2, 1), 0)]
    assert different[0] != different[1] != different[2] != different[0]
    assert flat(order, 0) != sorted(flat(order, 0))


def test_runs_of_one_bucket_stay_together_and_are_shuffled():
    order = Order((40, 40), 4, 5, seed=3)
    buckets = [bucket for bucket, _ in steps_of(order, 0)]
    runs = [buckets[start : start + 5] for start in range(0, 20, 5)]
    assert all(len(set(run)) == 1 for run in runs)
    starts = {tuple(b for b, _ in steps_of(order, epoch)) for epoch in range(6)}
    assert len(starts) > 1


def test_the_examples_of_a_run_do_not_depend_on_how_long_runs_may_be():
    batches = [sorted(flat(Order((30,), 4, most, seed=1), 0)) for most in (1, 3, 100)]
    assert batches[0] == batches[1] == batches[2]


@pytest.mark.parametrize(("batch", "most"), [(1, 1), (4, 3), (32, 100)])
def test_an_endless_set_counts_on(batch, most):
    order = Order((None,), batch, 1, seed=0)
    assert order.steps_per_epoch is None
    for step in (0, 1, 7, 1000):
        chunk = order.chunk(step, most)
        assert chunk.bucket == 0 and chunk.rows.shape == (most, batch)
        expected = step * batch + np.arange(most * batch)
        np.testing.assert_array_equal(chunk.rows.ravel(), expected)


def test_an_endless_set_never_asks_for_a_filler_row():
    order = Order((None,), 1000, 3, seed=0)
    rows = order.chunk(2**31 // 1000, 3).rows  # where int32 would run over
    assert rows.min() >= 0 and rows.dtype == np.int32


def test_with_replacement_each_example_comes_as_often_as_any_other():
    order = Order((30, 10), 4, 3, seed=0, replacement=True)
    assert order.steps_per_epoch == 10
    steps = [step for epoch in range(400) for step in steps_of(order, epoch)]
    counts = np.zeros(40, int)
    for bucket, rows in steps:
        assert rows.shape == (4,) and (rows >= 0).all()
        counts += np.bincount(rows + 30 * bucket, minlength=40)
    assert counts.sum() == 16_000  # 400 each, of which the deviation is 20 and more
    assert (abs(counts - 400) < 150).all()
    # A step is what it is alone, and is another one in the next epoch.
    alone = np.concatenate([order.chunk(step, 1).rows for step in range(10)])
    assert (alone == [rows for _, rows in steps[:10]]).all()
    assert (alone[0] != steps[10][1]).any()

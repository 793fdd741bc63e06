"""Generated examples: the right targets, the stated distribution, no dependence on
padding, batch or tracing, and splits that do not meet."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from s2sjax import tasks
from s2sjax.config import Config, TaskConfig
from s2sjax.tasks import generated
from s2sjax.tasks.synthetic import PATTERNS
from s2sjax.tasks.task import Bucket, Task, decode_source
from s2sjax.types import EOS, PAD, SYMBOLS, Batch

CHI_SQUARE = {5: 25.7, 6: 27.9, 9: 33.7, 12: 39.1}  # quantile 0.9999 by freedom


def made(name: str, **fields: Any) -> Task:
    return tasks.create(Config(task=TaskConfig(name=name, **fields)), None)


def drawn(bucket: Bucket, rows: Any) -> Batch:
    batch = jax.jit(bucket.fetch)(bucket.store, np.asarray(rows, np.int32))
    found: Batch = jax.tree.map(np.array, batch)
    return found


def sources(batch: Batch) -> list[tuple[int, ...]]:
    return [
        tuple(row[:length].tolist())
        for row, length in zip(batch.source, batch.source_lengths, strict=True)
    ]


CASES: list[tuple[str, dict[str, Any]]] = [
    ("reversed_prefix", {"length": 6, "min_length": 3, "cardinality": 50}),
    ("reversed", {"length": 7, "min_length": 0, "cardinality": 4}),
    ("sorted", {"length": 9, "cardinality": 30, "first_symbol": -4}),
    ("maxmin_dup", {"length": 6, "min_length": 2}),
    ("copy", {"length": 5, "min_length": 1, "reverse_source": True}),
    ("addition", {"length": 3, "reverse_source": True}),
    ("addition", {"length": 11}),
]


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_target_is_what_plain_python_expects(name: str, fields: dict[str, Any]) -> None:
    task = made(name, **fields)
    for split in tasks.SPLITS:
        (bucket,) = task.buckets[split]
        batch = drawn(bucket, np.arange(100))
        assert batch.source.shape == (100, bucket.source_width)
        assert batch.target.shape == (100, bucket.target_width)
        for i in range(100):
            length, target_length = batch.source_lengths[i], batch.target_lengths[i]
            source = decode_source(task, batch.source[i, :length].tolist())
            target = task.target_vocabulary.decode(batch.target[i])
            assert len(source) == length
            assert target == task.expected(source)
            assert target_length == len(target) + 1
            assert batch.target[i, target_length - 1] == EOS
            assert (batch.target[i, target_length:] == PAD).all()
            assert (batch.source[i, length:] == PAD).all()


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_an_example_does_not_depend_on_its_batch(
    name: str, fields: dict[str, Any]
) -> None:
    (bucket,) = made(name, **fields).buckets["train"]
    together = drawn(bucket, [3, 70_000, -1, 5])
    for row, number in enumerate([3, 70_000, -1, 5]):
        alone = drawn(bucket, [number])
        for one, many in zip(alone[:-1], together[:-1], strict=True):
            np.testing.assert_array_equal(one[0], many[row])


@pytest.mark.parametrize("draws", ["integers", "addition"])
def test_draws_do_not_depend_on_the_padding(draws: str) -> None:
    if draws == "addition":
        narrow, wide = made("addition", length=3), made("addition", length=6)
        fields = {"length": np.int32(3)}
    else:
        options = {"min_length": 1, "cardinality": 7}
        narrow = made("copy", length=10, **options)
        wide = made("copy", length=17, **options)
        fields = {"length": np.int32(10)}
    (few,), (many,) = narrow.buckets["train"], wide.buckets["train"]
    many = dataclasses.replace(many, store=many.store._replace(**fields))
    one, other = drawn(few, np.arange(200)), drawn(many, np.arange(200))
    assert sources(one) == sources(other)
    assert few.source_width < many.source_width
    width = few.target_width
    np.testing.assert_array_equal(one.target, other.target[:, :width])
    assert (other.target[:, width:] == PAD).all()


def test_replicas_share_one_program_and_equal_runs_alone() -> None:
    wanted = [(4, 9), (2, 3), (6, 5)]
    tasks_alone = [
        made("reversed", length=n, min_length=2, cardinality=c) for n, c in wanted
    ]
    widest = made("reversed", length=6).buckets["train"][0]
    stores = [task.buckets["train"][0].store for task in tasks_alone]
    stacked = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *stores)
    rows = np.arange(50, dtype=np.int32)
    batches = jax.jit(jax.vmap(widest.fetch, in_axes=(0, None)))(stacked, rows)
    for replica, task in enumerate(tasks_alone):
        together = jax.tree.map(lambda leaf, r=replica: np.array(leaf[r]), batches)
        assert sources(together) == sources(drawn(task.buckets["train"][0], rows))


@pytest.mark.parametrize("cardinality", [1, 2, 7, 10, 13])
def test_every_symbol_occurs_equally_often(cardinality: int) -> None:
    task = made("copy", length=25, cardinality=cardinality)
    batch = drawn(task.buckets["train"][0], np.arange(400))
    counts = np.bincount(batch.source.ravel() - SYMBOLS, minlength=cardinality)
    assert len(counts) == cardinality
    assert (counts > 0).all()
    if cardinality - 1 in CHI_SQUARE:
        assert chi_square(counts) < CHI_SQUARE[cardinality - 1]


@pytest.mark.parametrize("split", tasks.SPLITS)
def test_lengths_are_uniform(split: str) -> None:
    # A space small enough to be split: content is redrawn, lengths are not.
    task = made("copy", length=10, min_length=4, cardinality=3)
    batch = drawn(task.buckets[split][0], np.arange(3000))
    counts = np.bincount(batch.source_lengths, minlength=11)
    assert counts[:4].sum() == 0
    assert chi_square(counts[4:]) < CHI_SQUARE[6]


def test_numbers_of_digits_and_digits_are_uniform() -> None:
    task = made("addition", length=6)
    batch = drawn(task.buckets["train"][0], np.arange(3000))
    shown = ["".join(map(str, decode_source(task, row))) for row in batch.source]
    first, second = zip(*(text.split("+") for text in shown), strict=True)
    for numbers in (first, second):
        counts = np.bincount([len(number) for number in numbers], minlength=7)[1:]
        assert chi_square(counts) < CHI_SQUARE[5]
        assert all(number == str(int(number)) for number in numbers)
        last = np.bincount([int(number[-1]) for number in numbers if len(number) > 1])
        assert chi_square(last) < CHI_SQUARE[9]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("copy", {"length": 4, "cardinality": 10}),
        ("sorted", {"length": 8, "min_length": 3, "cardinality": 5}),
        ("addition", {"length": 2}),
    ],
)
def test_splits_of_a_small_space_do_not_meet(name: str, fields: dict[str, Any]) -> None:
    task = made(name, **fields)
    found = {
        split: set(sources(drawn(task.buckets[split][0], np.arange(4000))))
        for split in tasks.SPLITS
    }
    if "min_length" in fields:  # there are too few of the shortest for three splits
        found = {k: {s for s in v if len(s) > 3} for k, v in found.items()}
    assert not found["train"] & found["test"]
    assert not found["train"] & found["valid"]
    assert not found["valid"] & found["test"]
    assert len(found["test"]) > 50


def test_a_large_space_is_not_split() -> None:
    store = made("reversed", length=8).buckets["test"][0].store
    batch = drawn(made("reversed", length=8).buckets["test"][0], np.arange(400))
    groups = [
        int(generated.split_of(row - SYMBOLS, np.int32(8))) for row in batch.source[:80]
    ]
    assert not generated.is_small(store.min_length, store.cardinality)
    assert generated.is_small(np.int32(7), np.int32(10))
    assert groups.count(0) > 40  # most test sources are of the training class


def test_hash_classes_have_their_shares() -> None:
    values = np.arange(16_000)
    digits = np.stack([values // 10**p % 10 for p in range(5)], 1).astype(np.int32)
    length = np.full(len(values), 5, np.int32)
    classes = np.array(jax.jit(jax.vmap(generated.split_of))(digits, length))
    counts = np.bincount(classes, minlength=3)
    expected = len(values) * np.array([14, 1, 1]) / 16
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_seeds_and_splits_differ() -> None:
    first = made("reversed").buckets
    config = Config(seed=1, task=TaskConfig(name="reversed"))
    second = tasks.create(config, None).buckets
    rows = np.arange(20)
    seen = [sources(drawn(b[s][0], rows)) for b in (first, second) for s in first]
    assert len({tuple(batch) for batch in seen}) == 6


def test_filler_has_no_weight() -> None:
    batch = drawn(made("copy").buckets["train"][0], [-1, 0])
    assert batch.weights.tolist() == [0, 1]
    assert not batch.source[0].any()
    assert not batch.target[0].any()
    assert batch.source_lengths[0] == batch.target_lengths[0] == 0


def test_sizes() -> None:
    task = made("copy", num_train=77, num_valid=5, num_test=6)
    assert [task.buckets[split][0].size for split in tasks.SPLITS] == [77, 5, 6]
    assert made("copy").buckets["train"][0].size is None


def test_unseen_is_exact() -> None:
    task = made("copy", length=3, num_train=40, reverse_source=True)
    (bucket,) = task.buckets["train"]
    train = sources(drawn(bucket, np.arange(40)))
    other = sources(drawn(task.buckets["test"][0], np.arange(40)))
    assert task.unseen([list(row) for row in train], 40) == 0
    assert task.unseen([list(row) for row in other], 40) == 1
    # A finite set counts as a whole, for an epoch is in another order ...
    later = [list(row) for row in train[20:] if row not in train[:20]]
    assert later
    assert task.unseen(later, 20) == 0
    assert task.unseen([list(train[0]), [99]], 10**9) == 0.5
    # ... and of an endless one what came so far.
    fresh = made("copy", length=3, num_train=0, reverse_source=True)
    drawn_so_far = sources(drawn(fresh.buckets["train"][0], np.arange(40)))
    later = [list(row) for row in drawn_so_far[20:] if row not in drawn_so_far[:20]]
    assert later
    assert fresh.unseen(later, 20) == 1 and fresh.unseen(later, 40) == 0


def test_table_has_plain_and_jax_patterns_for_the_same_names() -> None:
    assert set(PATTERNS) < set(tasks.TASKS)
    for name, entry in tasks.TASKS.items():
        if name in PATTERNS or name in ("addition", "digits_to_words"):
            task = made(name, **({"length": 4} if "length" in entry.uses else {}))
            if name == "reversed_prefix":
                task = made(name, length=6)
            assert task.expected(entry.source) == list(entry.target)


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())

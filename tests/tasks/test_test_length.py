"""A test split of longer sources: its lengths, and that nothing else changes."""

from typing import Any

import jax
import numpy as np
import pytest

from s2sjax import metrics, rng, tasks
from s2sjax.config import Config, TaskConfig, TrainConfig
from s2sjax.errors import UsageError
from s2sjax.inference.evaluate import outcomes
from s2sjax.inference.system import System, output_lengths
from s2sjax.models.architectures import build_model
from s2sjax.models.seq2seq import Seq2Seq
from s2sjax.tasks.task import Bucket, Task, decode_source
from s2sjax.types import EOS, PAD, Batch

SHORT = {"length": 10, "min_length": 1, "num_test": 3000}


def made(name: str = "reversed", **fields: Any) -> Task:
    return tasks.create(Config(task=TaskConfig(name=name, **fields)))


def drawn(bucket: Bucket, count: int) -> Batch:
    batch = jax.jit(bucket.fetch)(bucket.store, np.arange(count, dtype=np.int32))
    return Batch(*(np.array(field) for field in batch))


def assert_equal(one: Batch, other: Batch) -> None:
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def rows(batch: Batch) -> list[list[int]]:
    pairs = zip(batch.source.tolist(), batch.source_lengths.tolist(), strict=True)
    return [row[:length] for row, length in pairs]


def test_the_test_split_is_longer_and_the_others_are_not() -> None:
    task = made(**SHORT, test_length=40)
    for split, longest in (("train", 10), ("valid", 10), ("test", 40)):
        (bucket,) = task.buckets[split]
        assert (bucket.source_width, bucket.target_width) == (longest, longest + 1)
        counts = np.bincount(drawn(bucket, 3000).source_lengths, minlength=longest + 1)
        assert counts[0] == 0 and len(counts) == longest + 1
        expected = 3000 / longest  # uniform: within five standard deviations
        assert (np.abs(counts[1:] - expected) < 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("reversed", {"length": 4, "test_length": 9}),
        ("sorted", {"length": 6, "min_length": 2, "test_length": 3}),
        ("maxmin_dup", {"length": 4, "test_length": 7, "reverse_source": True}),
        ("reversed_prefix", {"length": 6, "min_length": 3, "test_length": 11}),
        ("addition", {"length": 2, "test_length": 5}),
    ],
)
def test_targets_are_what_plain_python_expects(
    name: str, fields: dict[str, Any]
) -> None:
    task = made(name, **fields)
    (bucket,) = task.buckets["test"]
    batch = drawn(bucket, 200)
    for i, row in enumerate(rows(batch)):
        target = task.target_vocabulary.decode(batch.target[i])
        assert target == task.expected(decode_source(task, row))
        end = batch.target_lengths[i] - 1
        assert batch.target[i, end] == EOS and (batch.target[i, end + 1 :] == PAD).all()
    longest = fields["test_length"] * (2 if name == "addition" else 1)
    assert batch.source_lengths.max() == longest + (name == "addition")


@pytest.mark.parametrize("fields", [{}, {"cardinality": 3}, {"min_length": 2}])
def test_unset_it_is_the_training_length_example_for_example(
    fields: dict[str, Any],
) -> None:
    unset, same, longer = (
        made(length=6, **fields, **more)
        for more in ({}, {"test_length": 6}, {"test_length": 12})
    )
    for split in tasks.SPLITS:
        (ours,), (theirs,) = unset.buckets[split], same.buckets[split]
        assert ours.fetch == theirs.fetch  # and so shares its compilation
        assert_equal(drawn(ours, 100), drawn(theirs, 100))
        if split != "test":
            (theirs,) = longer.buckets[split]
            assert_equal(drawn(ours, 100), drawn(theirs, 100))
    assert unset.target_vocabulary.symbols == longer.target_vocabulary.symbols


def test_unseen_is_the_share_that_no_training_example_has() -> None:
    task = made(**SHORT, test_length=12, cardinality=2, num_train=500)
    seen = {tuple(row) for row in rows(drawn(task.buckets["train"][0], 500))}
    asked = rows(drawn(task.buckets["test"][0], 400))
    share = np.mean([tuple(row) not in seen for row in asked])
    assert 0.5 < share < 1  # two symbols of length 1 are in every split
    assert task.unseen(asked, 10**6) == pytest.approx(share)
    assert task.unseen([row for row in asked if len(row) > 10], 10**6) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"name": "reversed", "test_length": 9},
            "task.test_length=9 is below the shortest source of reversed, 10",
        ),
        (
            {"name": "copy", "min_length": 3, "test_length": 2},
            "task.test_length=2 is below the shortest source of copy, 3",
        ),
        ({"name": "digits_to_words", "test_length": 3}, "task.test_length=3 means not"),
        ({"name": "text", "test_length": 3}, "task.test_length=3 means nothing"),
    ],
)
def test_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        made(**fields)
    assert "\n" not in str(caught.value)


def test_evaluation_shows_every_length_and_lets_outputs_be_as_long() -> None:
    task = TaskConfig("copy", 3, 1, test_length=9, cardinality=5, num_test=90)
    config = Config(task=task, train=TrainConfig(steps=1))
    built = tasks.create(config)
    size = len(built.target_vocabulary)
    model: Seq2Seq = build_model(config, size, size)
    system = System.of(model, config, model.init(rng.root(0)))
    found, sources = outcomes(system, built.buckets["test"])
    assert set(metrics.by_length(found)) == {str(n) for n in range(1, 10)}
    lengths = [len(source) for source in sources]
    np.testing.assert_array_equal(found.target_lengths, lengths)
    most = output_lengths(config.decode, 9).most
    # A model that has learned nothing runs into the limit of its own source.
    ran_on = found.output_lengths[found.truncated]
    own = np.array(most)[found.target_lengths[found.truncated]]
    np.testing.assert_array_equal(ran_on, own)
    assert all(limit > length for length, limit in enumerate(most))

"""Series that are drawn: what the equation says, whatever the batch and the padding."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax import rng, tasks
from s2sjax.config import Config, TaskConfig
from s2sjax.errors import UsageError
from s2sjax.tasks.series import processes
from s2sjax.tasks.task import Bucket, Task
from s2sjax.types import Batch

NAMES = sorted(processes.PROCESSES)


def made(name: str, **fields: Any) -> Task:
    return tasks.create(Config(task=TaskConfig(name=name, **fields)), None)


def drawn(bucket: Bucket, rows: Any) -> Batch:
    batch = jax.jit(bucket.fetch)(bucket.store, np.asarray(rows, np.int32))
    return jax.tree.map(np.array, batch)


def same(one: Any, other: Any) -> None:
    """Equal but for how two programs round."""
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_rows_have_the_shapes_that_the_task_says(name: str) -> None:
    task = made(name, length=20, min_length=9, test_length=30)
    for split, width in {"train": 20, "valid": 20, "test": 30}.items():
        (bucket,) = task.buckets[split]
        batch = drawn(bucket, np.arange(50))
        source, target = task.source_vocabulary, task.target_vocabulary
        horizon = target.steps
        assert batch.source.shape == (50, width, len(source))
        assert batch.target.shape == (50, horizon, len(target))
        assert batch.given.known.shape == (50, horizon, len(target.known))
        assert batch.given.first.shape == (50, len(target))
        assert (bucket.source_width, bucket.target_width) == (width, horizon)
        lengths = batch.source_lengths
        assert lengths.min() >= 9 and lengths.max() <= width
        assert len(set(lengths.tolist())) > 5
        within = np.arange(width) < lengths[:, None]
        assert (batch.source[~within] == 0).all()
        assert np.isfinite(batch.source).all() and np.isfinite(batch.target).all()
        assert batch.source[within].std() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_an_example_depends_on_neither_batch_nor_padding(name: str) -> None:
    (bucket,) = made(name, length=20, min_length=9).buckets["train"]
    together = drawn(bucket, [3, 70_000, -1, 5])
    wide = dataclasses.replace(
        bucket, fetch=dataclasses.replace(bucket.fetch, width=33)
    )
    padded = drawn(wide, [3, 70_000, -1, 5])
    assert (padded.source[:, 20:] == 0).all()
    narrow = padded._replace(source=padded.source[:, :20])
    jax.tree.map(same, narrow, together)
    for row, number in enumerate([3, 70_000, -1, 5]):
        alone = drawn(bucket, [number])
        jax.tree.map(
            lambda one, many, row=row: np.testing.assert_array_equal(one[0], many[row]),
            alone,
            together,
        )


@pytest.mark.parametrize("name", NAMES)
def test_lengths_are_numbers_inside_one_program(name: str) -> None:
    (short,) = made(name, length=7).buckets["train"]
    (long,) = made(name, length=12).buckets["train"]
    rows = jnp.arange(4)
    fetch = jax.jit(long.fetch)
    one, other = fetch(long.store, rows), fetch(short.store, rows)
    assert fetch._cache_size() == 1
    assert other.source_lengths.tolist() == [7] * 4
    exact = jax.jit(short.fetch)(short.store, rows)
    same(other.source[:, :7], exact.source)
    same(other.target, exact.target)
    assert one.source_lengths.tolist() == [12] * 4


@pytest.mark.parametrize("name", ["mackey_glass", "sines"])
def test_the_target_goes_on_where_the_source_ends(name: str) -> None:
    """A longer context holds what a shorter one is asked for."""
    (bucket,) = made(name, length=20, horizon=6).buckets["train"]
    (longer,) = made(name, length=26, horizon=6).buckets["train"]
    one, other = drawn(bucket, np.arange(5)), drawn(longer, np.arange(5))
    same(other.source[:, :20], one.source)
    same(other.source[:, 20:, :1], one.target)
    same(other.source[:, 20:, 1:], one.given.known)
    same(one.given.first, one.source[:, -1, :1])


def test_sines_are_their_equation() -> None:
    key = rng.per_example(rng.root(3), jnp.array([5]))[0]
    drawn = processes.sines(key, jnp.int32(40), 40, 8)
    y, u = np.asarray(drawn.source).T
    sizes = jax.random.uniform(rng.stream(key, "amplitudes"), (3,), minval=0.3)
    share = np.asarray(jax.random.uniform(rng.stream(key, "periods"), (3,)))
    phases = np.asarray(jax.random.uniform(rng.stream(key, "phases"), (3,)))
    e = (y - u) * 0
    for t in range(40):
        periods = 8 * 5**share
        total = sum(np.asarray(sizes) * np.sin(2 * np.pi * (t / periods + phases)))
        e[t] = (y[t] - u[t] - (1 + u[t] / 2) * total) / 0.05
    assert abs(e.mean()) < 0.6 and 0.7 < e.std() < 1.3
    changes = np.flatnonzero(np.diff(u))
    assert len(set(np.diff(changes).tolist())) == 1 and 5 <= np.diff(changes)[0] < 15
    assert np.abs(u).max() <= 1


def test_adding_adds_what_is_marked() -> None:
    (bucket,) = made("adding", length=12, min_length=2).buckets["train"]
    batch = drawn(bucket, np.arange(300))
    assert batch.target.shape == (300, 1, 1) and set(batch.target_lengths) == {1}
    places = set()
    for row, length in enumerate(batch.source_lengths.tolist()):
        numbers, marks = batch.source[row, :length].T
        assert sorted(set(marks.tolist())) == ([0, 1] if length > 2 else [1])
        first, second = np.flatnonzero(marks)
        assert first < length // 2 <= second
        places |= {(length, int(first), int(second))} if length == 12 else set()
        assert batch.target[row, 0, 0] == pytest.approx(numbers @ marks, abs=1e-6)
    assert len(places) > 15
    numbers = batch.source[..., 0][np.arange(12) < batch.source_lengths[:, None]]
    assert 0 <= numbers.min() < 0.01 and 0.99 < numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 0.03


def delayed(level: float, steps: int, per_step: int) -> np.ndarray:
    """The series of a constant past, by a loop over its small steps."""
    size, delay = 1 / per_step, 17 * per_step
    x = [level] * (delay + 1)

    def inflow(value: float) -> float:
        return 0.2 * value / (1 + value**10)

    for _ in range(steps * per_step):
        mean = (inflow(x[-delay - 1]) + inflow(x[-delay])) / 2
        x.append(x[-1] * np.exp(-0.1 * size) + (1 - np.exp(-0.1 * size)) / 0.1 * mean)
    return np.array(x[delay + per_step :: per_step])


def test_mackey_glass_is_its_equation() -> None:
    key = rng.per_example(rng.root(3), jnp.array([5]))[0]
    found = processes.mackey_glass(key, jnp.int32(60), 60, 20)
    level = jax.random.uniform(rng.stream(key, "level"), minval=0.4, maxval=1.4)
    begin = 255 + int(jax.random.bits(rng.stream(key, "begin")) % 100)
    plain = delayed(float(level), begin + 80, processes.PER_STEP)[begin:]
    np.testing.assert_allclose(found.source[:, 0], plain[:60], atol=2e-3)
    np.testing.assert_allclose(found.target[:, 0], plain[60:], atol=2e-3)
    assert found.first == found.source[-1]
    # Smaller steps change little, as long as chaos has not made more of it.
    coarse, fine = (delayed(0.9, 150, n) for n in (processes.PER_STEP, 80))
    np.testing.assert_allclose(coarse, fine, atol=0.02)
    assert 0.2 < plain.min() < 0.8 < 1.0 < plain.max() < 1.4


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("adding", {"length": 1}, "the shortest source of adding is 1"),
        ("sines", {"min_length": 0}, "it takes at least 1"),
        ("sines", {"test_length": 3}, "task.test_length=3 is below"),
        ("adding", {"horizon": 3}, "task.horizon=3 means nothing to the task adding"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    name: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        made(name, **fields)


def test_who_always_says_the_mean_is_wrong_by_a_sixth() -> None:
    task = made("adding", length=10, num_valid=1000)
    found = task.baselines("valid")
    assert found.keys() == {"mean", "ridge"}
    assert found["mean"]["rmse"] ** 2 == pytest.approx(1 / 6, rel=0.1)

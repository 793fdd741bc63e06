"""Which examples a step trains on: a pure function of (seed, step)."""

from dataclasses import dataclass
from functools import lru_cache

import jax
import numpy as np

from s2sjax import rng
from s2sjax.config import Config
from s2sjax.tasks.task import Task, places


@dataclass(frozen=True)
class Chunk:
    """The steps from one on that can run in one call: they share a bucket."""

    bucket: int
    rows: np.ndarray  # [N, B] int32, -1 for filler
    windows: np.ndarray  # [N] int32, which window of its examples a step takes


@dataclass(frozen=True)
class Order:
    """The order of a run.

    An endless set gives step k the examples k B .. k B + B - 1. A finite one is gone
    through in epochs: each example exactly once, in an order that depends on (seed,
    epoch). A batch comes from one bucket of lengths; the last of a bucket is filled
    up. Runs of `run` batches of one bucket stay together, so that they can be one
    compiled call, and the runs are shuffled.

    Where examples are trained on in windows (`train.tbptt`), a batch takes a step for
    each of its windows, one after another.

    With replacement every example of a step is drawn from all of a bucket, and a bucket
    as often as it has examples; an epoch is as many steps as go through the set once.

    Attributes:
      sizes: examples in each bucket; None for the one bucket of an endless set.
      batch_size: examples in a batch, B.
      run: most batches of one bucket in a row, before the next is drawn.
      seed: of the whole.
      replacement: whether a finite set is drawn from with replacement.
      windows: of the examples of each bucket; (): one.
    """

    sizes: tuple[int | None, ...]
    batch_size: int
    run: int
    seed: int
    replacement: bool = False
    windows: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: Config, task: Task) -> "Order":
        """The order of a config's run through a task's training examples."""
        sizes = tuple(bucket.size for bucket in task.buckets["train"])
        train, replacement = config.train, config.task.sampling == "replacement"
        windows: tuple[int, ...] = ()
        if train.tbptt:
            widths = [bucket.source_width for bucket in task.buckets["train"]]
            ahead = config.model.lookahead
            windows = tuple(-(-(width + ahead) // train.tbptt) for width in widths)
        return cls(
            *(sizes, train.batch_size, train.bucket_run, config.seed, replacement),
            windows,
        )

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps in an epoch; None for an endless set."""
        if None in self.sizes:
            return None
        sizes = [size or 0 for size in self.sizes]
        if self.replacement:
            sizes = [sum(sizes)]
        windows = self.windows or (1,) * len(sizes)
        return sum(
            -(-size // self.batch_size) * count
            for size, count in zip(sizes, windows, strict=True)
        )

    def epoch(self, step: int) -> float | None:
        """How often the set has been gone through after `step` steps, if it ends."""
        return step / self.steps_per_epoch if self.steps_per_epoch else None

    def chunk(self, step: int, most: int) -> Chunk:
        """The batches from `step` (from 0) on that share a bucket, `most` at most."""
        if self.steps_per_epoch is None:
            steps = np.arange(step, step + most, dtype=np.int64)
            first, windows = np.divmod(steps, sum(self.windows) or 1)
            rows = first[:, None] * self.batch_size + np.arange(self.batch_size)
            return Chunk(0, (rows % 2**31).astype(np.int32), windows.astype(np.int32))
        epoch, within = divmod(step, self.steps_per_epoch)
        buckets, rows = (_drawn if self.replacement else _epoch)(self, epoch)
        batches, windows = (
            each[within : within + most] for each in _steps(self, epoch)
        )
        same = buckets[batches] == buckets[batches[0]]
        count = len(same) if same.all() else int(np.argmin(same))
        bucket = int(buckets[batches[0]])
        return Chunk(bucket, rows[batches[:count]], windows[:count])


@lru_cache(maxsize=2)
def _epoch(order: Order, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """The bucket [N] and the rows [N, B] of each batch of an epoch."""
    key = rng.stream(rng.root(order.seed), "order", epoch)
    runs = []
    for bucket, size in enumerate(order.sizes):
        assert size is not None
        batches = -(-size // order.batch_size)
        filled = np.full(batches * order.batch_size, -1, np.int32)
        filled[:size] = _permutation(jax.random.fold_in(key, bucket), size)
        rows = filled.reshape(batches, order.batch_size)
        runs += [
            (np.full(len(part), bucket), part)
            for part in np.split(rows, range(order.run, batches, order.run))
        ]
    shuffled = _permutation(jax.random.fold_in(key, len(order.sizes)), len(runs))
    buckets, parts = zip(*(runs[index] for index in shuffled), strict=True)
    return np.concatenate(buckets), np.concatenate(parts)


@lru_cache(maxsize=2)
def _steps(order: Order, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each step of an epoch its batch, and which window of that, [N] int32."""
    buckets, _ = (_drawn if order.replacement else _epoch)(order, epoch)
    counts = np.array(order.windows or (1,) * len(order.sizes))[buckets]
    batches = np.repeat(np.arange(len(buckets), dtype=np.int32), counts)
    return batches, places(np.zeros_like(counts), counts).astype(np.int32)


@lru_cache(maxsize=2)
def _drawn(order: Order, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """As `_epoch`, drawn with replacement."""
    key = rng.stream(rng.root(order.seed), "order", epoch)
    steps, sizes = order.steps_per_epoch or 0, np.array(order.sizes, np.int64)

    def bits(number: int, *shape: int) -> np.ndarray:
        drawn = jax.random.bits(jax.random.fold_in(key, number), shape)
        return np.asarray(drawn).astype(np.int64)

    # Of 32 random bits the remainder is taken: no example is favoured by more than
    # size / 2**32.
    places = bits(0, -(-steps // order.run)) % sizes.sum()
    runs = np.searchsorted(np.cumsum(sizes), places, side="right")
    buckets = np.repeat(runs, order.run)[:steps]
    rows = bits(1, steps, order.batch_size) % sizes[buckets][:, None]
    return buckets, rows.astype(np.int32)


def _permutation(key: jax.Array, size: int) -> np.ndarray:
    """By sorted random bits: inside a larger, masked set the order is the same."""
    bits = np.asarray(jax.random.bits(key, (size,)))
    return np.argsort(bits, kind="stable").astype(np.int32)

"""Series that are drawn on the device: each a pure function of (key, length)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import rng
from s2sjax.config import Config
from s2sjax.tasks.series.numbers import Numbers
from s2sjax.tasks.synthetic import least_length, longest_tested
from s2sjax.tasks.task import SPLITS, Bucket, Task
from s2sjax.tasks.vocabulary import Symbol
from s2sjax.types import Batch, Given


class Limits(NamedTuple):
    """What a process draws from. Every field may be traced; all are scalars."""

    key: Array  # of the split
    min_length: Array  # int32
    length: Array  # int32


class Drawn(NamedTuple):
    """One example. What stands beyond its length means nothing."""

    source: Array  # [S, F]
    target: Array  # [T, G]
    first: Array  # [G]
    known: Array  # [T, C]


Draw = Callable[[Array, Array, int, int], Drawn]
"""`(key, length, width, horizon) -> Drawn`, with S = width and T = horizon.

No value depends on `width` or `horizon`.
"""


@dataclass(frozen=True)
class Process:
    """`fetch` of a generated bucket: equal processes share one compilation."""

    draw: Draw
    width: int  # S
    horizon: int  # T

    def __call__(self, store: Limits, rows: Array) -> Batch:
        """Examples `rows` [B]; -1 asks for filler."""
        ids = jnp.maximum(rows, 0)
        keys = rng.per_example(store.key, ids)
        examples = jax.vmap(self._example, in_axes=(0, 0, None))
        length, drawn = examples(keys, rows >= 0, store)
        return Batch(
            drawn.source,
            length,
            drawn.target,
            jnp.where(rows >= 0, self.horizon, 0),
            ids,
            (rows >= 0).astype(jnp.float32),
            Given(
                drawn.first,
                drawn.known,
                jnp.zeros_like(drawn.first),
                jnp.ones_like(drawn.first),
            ),
        )

    def _example(self, key: Array, real: Array, limits: Limits) -> tuple[Array, Drawn]:
        """The length and the numbers, zeros beyond it and in a filler row."""
        length = jnp.where(real, _length(key, limits), 0)
        drawn = self.draw(key, length, self.width, self.horizon)
        within = (jnp.arange(self.width) < length)[:, None]
        drawn = drawn._replace(source=jnp.where(within, drawn.source, 0))
        return length, jax.tree.map(lambda leaf: jnp.where(real, leaf, 0), drawn)


def _length(key: Array, limits: Limits) -> Array:
    """A length, uniform in [min_length, length]."""
    span = (limits.length - limits.min_length + 1).astype(jnp.uint32)
    extra = jax.random.bits(rng.stream(key, "length")) % span
    return limits.min_length + extra.astype(jnp.int32)


SINES = 3  # in a sum
PERIODS = (8.0, 40.0)  # steps, between which those of sines are, evenly by logarithm
HOLDS = (5, 15)  # steps for which the driver stays as it is, from and below
NOISE = 0.05


def sines(key: Array, length: Array, width: int, horizon: int) -> Drawn:
    """A sum of sines that something from outside makes stronger and weaker.

        y(t) = (1 + u(t) / 2) sum_k a_k sin(2 pi t / p_k + f_k) + u(t) + 0.05 e(t)

    Amplitudes a_k, periods p_k and phases f_k are the example's own. The driver u,
    uniform in (-1, 1), stays for the same 5 to 14 steps at each of its values, and is
    known ahead; e is normal. At a step of the source stand y and u.
    """
    at = jax.vmap(_driven, in_axes=(None, 0))
    y, u = at(key, jnp.arange(width))
    target, ahead = at(key, length + jnp.arange(horizon))
    last, _ = _driven(key, length - 1)
    source = jnp.stack([y, u], axis=-1)
    return Drawn(source, target[:, None], last[None], ahead[:, None])


def _driven(key: Array, t: Array) -> tuple[Array, Array]:
    """The sum and its driver at a time t []."""
    amplitudes = jax.random.uniform(
        rng.stream(key, "amplitudes"), (SINES,), minval=0.3, maxval=1.0
    )
    low, high = PERIODS
    spread = jax.random.uniform(rng.stream(key, "periods"), (SINES,))
    periods = low * (high / low) ** spread
    phases = jax.random.uniform(rng.stream(key, "phases"), (SINES,))
    total = jnp.sum(amplitudes * jnp.sin(2 * jnp.pi * (t / periods + phases)))
    hold, offset = jax.random.randint(rng.stream(key, "hold"), (2,), *HOLDS)
    level = jax.random.uniform(rng.stream(key, "driver", (t + offset) // hold))
    u = 2 * level - 1
    noise = jax.random.normal(rng.stream(key, "noise", t))
    return (1 + u / 2) * total + u + NOISE * noise, u


@dataclass(frozen=True)
class Kind:
    """A process in the table: how it is drawn, and what its numbers are called."""

    draw: Draw
    source: tuple[str, ...]
    target: tuple[str, ...]
    known: tuple[str, ...] = ()
    own: int = 0  # see `Numbers`


PROCESSES = {
    "sines": Kind(sines, ("sum", "driver"), ("sum",), known=("driver",), own=1),
}


def make(config: Config) -> Task:
    """One of `PROCESSES`."""
    task = config.task
    kind = PROCESSES[task.name]
    sizes = {
        "train": task.num_train or None,
        "valid": task.num_valid,
        "test": task.num_test,
    }
    lengths = dict.fromkeys(SPLITS, task.length) | {"test": longest_tested(config)}

    def bucket(split: str) -> Bucket:
        numbers = (least_length(config), lengths[split])
        limits = Limits(
            rng.stream(rng.root(config.seed), split), *map(jnp.int32, numbers)
        )
        fetch = Process(kind.draw, lengths[split], task.horizon)
        return Bucket(
            sizes[split], fetch.width, fetch.horizon, limits, fetch, drawn=True
        )

    def expected(source: Sequence[Symbol]) -> list[Symbol] | None:
        return None

    def unseen(sources: list[list[int]], count: int) -> float:
        return 1.0  # numbers are never drawn twice

    source: Any = Numbers(kind.source, task.length, own=kind.own)
    target: Any = Numbers(
        kind.target, task.horizon, known=kind.known, season=task.season
    )
    return Task(
        name=task.name,
        source_vocabulary=source,
        target_vocabulary=target,
        buckets={split: (bucket(split),) for split in SPLITS},
        expected=expected,
        unseen=unseen,
    )

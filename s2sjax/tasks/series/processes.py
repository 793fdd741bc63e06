"""Series that are drawn on the device: each a pure function of (key, length)."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from s2sjax import rng
from s2sjax.config import Config
from s2sjax.tasks.generated import length_of
from s2sjax.tasks.series import baselines
from s2sjax.tasks.series.baselines import Fitted
from s2sjax.tasks.series.numbers import Numbers, check_counts
from s2sjax.tasks.synthetic import (
    checked_least_length,
    split_lengths,
    split_sizes,
)
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
        bits = jax.random.bits(rng.stream(key, "length"))
        length = length_of(bits, limits.min_length, limits.length)
        length = jnp.where(real, length, 0)
        drawn = self.draw(key, length, self.width, self.horizon)
        within = (jnp.arange(self.width) < length)[:, None]
        drawn = drawn._replace(source=jnp.where(within, drawn.source, 0))
        return length, jax.tree.map(lambda leaf: jnp.where(real, leaf, 0), drawn)


DRAWN = 4096  # examples that are drawn for forecasts without a model

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


def adding(key: Array, length: Array, width: int, horizon: int) -> Drawn:
    """Two numbers of a long sequence, which are marked, are added.

    At a step of the source stand a number, uniform in (0, 1), and a mark: 1 at one step
    of the first half and at one of the second, else 0. The target is the sum of the two
    numbers. (Hochreiter and Schmidhuber 1997, section 5.4; the marks and the range are
    those of Le, Jaitly and Hinton 2015.) Who always says 1 is wrong by 1/6 in the mean
    square.
    """
    bits = jax.random.bits(rng.stream(key, "marks"), (2,))
    half = jnp.maximum(length // 2, 1).astype(jnp.uint32)
    rest = jnp.maximum(length.astype(jnp.uint32) - half, 1)
    first, second = bits[0] % half, half + bits[1] % rest

    def number(t: Array) -> Array:
        return jax.random.uniform(rng.stream(key, "numbers", t))

    t = jnp.arange(width)
    marks = ((t == first) | (t == second)).astype(jnp.float32)
    target = (number(first) + number(second))[None, None]
    nothing = jnp.zeros((horizon, 0))
    return Drawn(
        jnp.stack([jax.vmap(number)(t), marks], axis=-1), target, jnp.zeros(1), nothing
    )


DELAY = 17  # steps
PER_STEP = 4  # steps of the integration
WARM_UP = 255  # steps that are forgotten: 15 delays
SPREAD = 100  # and up to so many more, so that examples begin anywhere


def mackey_glass(key: Array, length: Array, width: int, horizon: int) -> Drawn:
    """A chaotic series: what grows by what was there 17 steps before, and decays.

        x'(t) = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t)

    (Mackey and Glass 1977), in steps of 1. Between them the decay is exact and what was
    there before is a line, four times a step. Each example begins with a level of its
    own, and is left alone for 255 steps and up to 99 more.
    """
    level = jax.random.uniform(rng.stream(key, "level"), minval=0.4, maxval=1.4)
    bits = jax.random.bits(rng.stream(key, "begin"))
    begin = WARM_UP + (bits % SPREAD).astype(jnp.int32)
    decay = jnp.exp(jnp.float32(-0.1 / PER_STEP))

    def inflow(x: Array) -> Array:
        return 0.2 * x / (1 + x**10)

    def step(x: Array, mean: Array) -> tuple[Array, Array]:
        x = decay * x + (1 - decay) / 0.1 * mean
        return x, x

    def one_delay(before: Array, unused: None) -> tuple[Array, Array]:
        flow = inflow(before)
        _, own = lax.scan(step, before[-1], (flow[:-1] + flow[1:]) / 2)
        return jnp.concatenate([before[-1:], own]), own[PER_STEP - 1 :: PER_STEP]

    delays = -(-(WARM_UP + SPREAD + width + horizon) // DELAY)
    start = jnp.full(DELAY * PER_STEP + 1, level)
    _, rows = lax.scan(one_delay, start, None, length=delays)
    x = rows.reshape(-1)
    source = lax.dynamic_slice(x, (begin,), (width,))[:, None]
    target = lax.dynamic_slice(x, (begin + length,), (horizon,))[:, None]
    last = lax.dynamic_slice(x, (begin + length - 1,), (1,))
    return Drawn(source, target, last, jnp.zeros((horizon, 0)))


@dataclass(frozen=True)
class Kind:
    """A process in the table: how it is drawn, and what its numbers are called."""

    draw: Draw
    source: tuple[str, ...]
    target: tuple[str, ...]
    known: tuple[str, ...] = ()
    own: int = 0  # see `Numbers`
    horizon: int | None = None  # where that is part of it
    least_length: int = 1


PROCESSES = {
    "sines": Kind(sines, ("sum", "driver"), ("sum",), known=("driver",), own=1),
    "adding": Kind(adding, ("number", "mark"), ("sum",), horizon=1, least_length=2),
    "mackey_glass": Kind(mackey_glass, ("x",), ("x",), own=1),
}


def make(config: Config) -> Task:
    """One of `PROCESSES`."""
    task = config.task
    kind = PROCESSES[task.name]
    shortest = checked_least_length(config, kind.least_length)
    horizon = kind.horizon or task.horizon
    sizes, lengths = split_sizes(config), split_lengths(config)

    def bucket(split: str) -> Bucket:
        numbers = (shortest, lengths[split])
        limits = Limits(
            rng.stream(rng.root(config.seed), split), *map(jnp.int32, numbers)
        )
        fetch = Process(kind.draw, lengths[split], horizon)
        return Bucket(
            sizes[split], fetch.width, fetch.horizon, limits, fetch, drawn=True
        )

    def expected(source: Sequence[Symbol]) -> list[Symbol] | None:
        return None

    def unseen(sources: list[list[int]], count: int) -> float:
        return 1.0  # numbers are never drawn twice

    source: Any = Numbers(kind.source, task.length, own=kind.own)
    target: Any = Numbers(kind.target, horizon, known=kind.known, season=task.season)
    check_counts(config, target, f"task.name={task.name}")
    buckets: dict[str, tuple[Bucket, ...]] = {
        split: (bucket(split),) for split in SPLITS
    }

    @functools.cache
    def fitted() -> Fitted:
        return baselines.fit(buckets["train"][0], DRAWN)

    def forecasts(batch: Batch) -> Mapping[str, np.ndarray]:
        return baselines.forecasts(fitted(), batch, source, target)

    @functools.cache
    def judged(split: str) -> Mapping[str, Mapping[str, float]]:
        return baselines.errors(buckets[split][0], forecasts, DRAWN)

    return Task(
        name=task.name,
        source_vocabulary=source,
        target_vocabulary=target,
        buckets=buckets,
        expected=expected,
        unseen=unseen,
        baselines=judged,
        forecasts=forecasts,
    )

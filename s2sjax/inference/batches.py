"""Batches of examples: cut to one size, filled up, padded; several at the same time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from s2sjax import environment
from s2sjax.types import PAD

Item = TypeVar("Item")
Result = TypeVar("Result")

Passed = Callable[[int, int], None]
"""`passed(done, all)`: how many of all, examples mostly, are done, from 0 on."""

Watch = Callable[..., AbstractContextManager[Passed]]
"""`watch(what, then="")`: tells a person how far `what` is; and what comes `then`, once
all is done, if that took long."""

WAIT_SECONDS = 1.0  # of one batch, until it is said that it is not done yet
MOST_AT_ONCE = 8  # each holds the memory of a batch


class Chunk(NamedTuple):
    """Which examples the rows of one batch are."""

    rows: np.ndarray  # [B] int32, their numbers; filler stands at the end
    examples: int  # rows before the filler


def chunks(
    examples: Sequence[int] | np.ndarray, size: int, *, repeat: bool = False
) -> list[Chunk]:
    """Examples in batches of `size`, in order; the last one is filled up.

    A filler row is -1, which asks for no example; with `repeat` it is one of the first
    examples again, so that a batch costs the same however full it is.

    >>> [chunk.rows.tolist() for chunk in chunks(range(3), 2)]
    [[0, 1], [2, -1]]
    >>> [chunk.rows.tolist() for chunk in chunks([5, 6, 7], 2, repeat=True)]
    [[5, 6], [7, 5]]
    """
    numbers = np.asarray(examples, np.int32)
    results = []
    for start in range(0, len(numbers), size):
        places = np.arange(start, start + size)
        rows = numbers[places % len(numbers)]
        if not repeat:
            rows = np.where(places < len(numbers), rows, np.int32(-1))
        results.append(Chunk(rows, min(size, len(numbers) - start)))
    return results


def padded(
    rows: Sequence[Sequence[int]], size: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ids in an array [size, width], and their lengths [size]; int32."""
    tokens = np.full((size, width), PAD, np.int32)
    lengths = np.zeros(size, np.int32)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = row
        lengths[place] = len(row)
    return tokens, lengths


def at_once() -> int:
    """How many batches are decoded at the same time.

    On the CPU one for each core: the steps of a decoder are many small operations,
    of which few are worth splitting (measured on two cores, biLSTM 64, batch 100:
    greedy 1.9 and a beam of 5 1.6 times the sequences per second). Other devices are
    kept busy by one.
    """
    if jax.default_backend() != "cpu":
        return 1
    return min(len(environment.cores()), MOST_AT_ONCE)


def unwatched(done: int, all_: int) -> None:
    """Nobody waits."""


def nobody(what: str, then: str = "") -> AbstractContextManager[Passed]:
    """The `Watch` of nobody."""
    return nullcontext(unwatched)


def each_batch(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[Result]:
    """`function` of each item, in order, `at_once` of them at the same time.

    The first goes alone, so that a program is compiled once. `waiting` is called now
    and then while the next result is not there.
    """
    pool = ThreadPoolExecutor(at_once())
    try:
        for some in (items[:1], items[1:]):
            for future in [pool.submit(function, item) for item in some]:
                while not wait([future], WAIT_SECONDS).done:
                    waiting()
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)

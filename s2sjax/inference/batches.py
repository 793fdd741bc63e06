"""Several batches at once: a core each, where a batch alone leaves cores idle."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import jax

from s2sjax import environment

Item = TypeVar("Item")
Result = TypeVar("Result")

Passed = Callable[[int, int], None]
"""`passed(done, all)`: how many of all, examples mostly, are done, from 0 on."""

WAIT_SECONDS = 1.0  # of one batch, until it is said that it is not done yet
MOST_AT_ONCE = 8  # each holds the memory of a batch


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

"""What is done otherwise on a CPU than on a GPU or a TPU: each choice, and why.

Inside a program a choice is a function here. It is the same function of its arguments
everywhere; which of its ways a program takes is settled when the program is lowered for
a platform, and the other ways are not in it.

Figures of CPUs are measured, on two cores. **Of GPUs and TPUs none is: nothing here has
run on one.** What is said of them follows XLA's source and what others report.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

MOST_ONE_HOT = 1024  # symbols, up to which rows are summed by one product


def rows(table: Array, ids: Array) -> Array:
    """Rows of a table: [V, E] and ids [...] -> [..., E]; of its gradient see `summed`.

    >>> rows(jnp.array([[1.0], [2.0]]), jnp.array([1, 0, 1])).tolist()
    [[2.0], [1.0], [2.0]]
    """
    return _rows(len(table), table, ids)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rows(size: int, table: Array, ids: Array) -> Array:
    return table[ids]


def _rows_forward(size: int, table: Array, ids: Array) -> tuple[Array, Array]:
    return table[ids], ids


def _rows_backward(size: int, ids: Array, d: Array) -> tuple[Array, None]:
    return summed(d.reshape(-1, d.shape[-1]), ids.reshape(-1), size), None


_rows.defvjp(_rows_forward, _rows_backward)


def summed(rows: Array, ids: Array, size: int) -> Array:
    """The sum of the rows of each id: [N, E] and ids [N] -> [size, E].

    On the CPU rows are added one after another. A GPU would add them in any order, so
    that bits differ between runs; told not to (`train.deterministic`), XLA makes a loop
    of it with a turn for each row, and its quick way out has been wrong
    (openxla/xla#17886, jax-ml/jax#27796). A TPU adds rows one by one. There it is a
    product with one-hot vectors in full float32, 0.3 GFLOP for 54 symbols and 2,560
    rows of 1,024; and for more than `MOST_ONE_HOT` symbols the rows are sorted by id
    and added in pairs, about 2 log2 N rounds.
    """
    elsewhere = _by_product if size <= MOST_ONE_HOT else _by_sorting
    return lax.platform_dependent(
        rows, ids, cpu=partial(_by_row, size), default=partial(elsewhere, size)
    )


def _by_row(size: int, rows: Array, ids: Array) -> Array:
    return jnp.zeros((size, rows.shape[1]), rows.dtype).at[ids].add(rows)


def _by_product(size: int, rows: Array, ids: Array) -> Array:
    one_hot = jax.nn.one_hot(ids, size, dtype=rows.dtype, axis=0)  # -> [size, N]
    return jnp.matmul(one_hot, rows, precision=lax.Precision.HIGHEST)


def _by_sorting(size: int, rows: Array, ids: Array) -> Array:
    order = jnp.argsort(ids)
    ids, rows = ids[order], rows[order]
    changes = ids[1:] != ids[:-1]
    edge = jnp.ones(1, bool)
    begins = jnp.concatenate([edge, changes])[:, None]
    totals, _ = lax.associative_scan(_within_one, (rows, begins))
    # The last row of an id has its total; the others go nowhere, each elsewhere.
    ends = jnp.concatenate([changes, edge])
    places = jnp.where(ends, ids, size + jnp.arange(len(ids), dtype=ids.dtype))
    empty = jnp.zeros((size, rows.shape[1]), rows.dtype)
    return empty.at[places].set(totals, mode="drop", unique_indices=True)


def _within_one(one: Any, other: Any) -> tuple[Array, Array]:
    """Sums that begin anew where an id does."""
    (before, begun), (now, begins) = one, other
    return jnp.where(begins, now, before + now), begun | begins


@jax.custom_vjp
def picked(x: Array, ids: Array) -> Array:
    """One number of each last axis: [..., V] and ids [...] -> [...].

    Its gradient is written out, for that of indexing scatters. On the CPU too: it is as
    fast there, and has the same bits ([128, 21, 54]: 0.18 and 0.20 ms with the
    gradient; [64, 21, 8004]: 11.2 and 11.3).

    >>> picked(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([1, 0])).tolist()
    [2.0, 3.0]
    """
    return jnp.take_along_axis(x, ids[..., None], axis=-1)[..., 0]


def _picked_forward(x: Array, ids: Array) -> tuple[Array, Any]:
    return picked(x, ids), (x, ids)


def _picked_backward(residuals: Any, d: Array) -> tuple[Array, None]:
    x, ids = residuals
    numbers = jnp.expand_dims(jnp.arange(x.shape[-1]), range(ids.ndim))
    return jnp.where(numbers == ids[..., None], d[..., None], 0), None


picked.defvjp(_picked_forward, _picked_backward)


def total(x: Array, axis: int) -> Array:
    """The sum along the first or the last axis, 0 or -1.

    On the CPU a product with ones: XLA reduces the first axes of a large array slowly
    there ([20, 128, 1024]: 15 ms, and 0.9 ms as a product). Elsewhere products of
    float32 keep three digits unless told otherwise, and reductions all; and they melt
    into what is summed.
    """
    return lax.platform_dependent(
        x, cpu=partial(_by_ones, axis), default=partial(jnp.sum, axis=axis)
    )


def _by_ones(axis: int, x: Array) -> Array:
    ones = jnp.ones(x.shape[axis], x.dtype)
    return ones @ x if axis == 0 else x @ ones


def settled(x: Array) -> Array:
    """The same array, which is computed before what is made of it.

    XLA's CPU compiler vectorises no transcendental function of slices, nor what it
    computes again for each of them; a barrier keeps it from doing either. On a GPU a
    barrier keeps kernels apart that would be one, about two more in a step.
    """
    return lax.platform_dependent(
        x, cpu=lax.optimization_barrier, default=lambda same: same
    )

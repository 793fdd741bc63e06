"""Windows of series: where they are, and how one is fetched on the device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from s2sjax.tasks.series.columns import WINDOW_MEAN, Columns
from s2sjax.types import Batch, Given


class Store(NamedTuple):
    """Series one after the other, and where the windows of a bucket begin."""

    values: Array  # [L, D] float32, NaN where missing: targets, past and future
    static: Array  # [I, E] float32
    shift: Array  # [G] float32
    scale: Array  # [G] float32
    starts: Array  # [N] int32, the row of a context's first step
    series: Array  # [N] int32
    ids: Array  # [N] int32


def taken(store: Store, rows: np.ndarray) -> Store:
    """The store with some of its windows, of the same series."""
    return store._replace(
        starts=store.starts[rows], series=store.series[rows], ids=store.ids[rows]
    )


@dataclass(frozen=True)
class Windows:
    """`fetch` of a bucket of windows: equal ones share one compilation."""

    context: int  # S
    horizon: int  # T
    targets: int  # G
    past: int
    masked: tuple[bool, ...]  # of each of the D columns
    window_mean: bool

    @staticmethod
    def of(columns: Columns, context: int, horizon: int) -> "Windows":
        """Windows of so many steps of some columns."""
        return Windows(
            context,
            horizon,
            len(columns.targets),
            len(columns.past),
            tuple(column.masked for column in columns.numbers),
            columns.scaling == WINDOW_MEAN,
        )

    def __call__(self, store: Store, rows: Array) -> Batch:
        """Windows `rows` [B]; -1 asks for filler."""
        real, chosen = rows >= 0, jnp.maximum(rows, 0)
        steps = jnp.arange(self.context + self.horizon)[None, :]
        values = store.values[store.starts[chosen][:, None] + steps]
        static = store.static[store.series[chosen]]
        before, ahead = values[:, : self.context], values[:, self.context :]
        g = self.targets
        own, target = before[..., :g], ahead[..., :g]
        shift = jnp.broadcast_to(store.shift, (len(rows), g))
        scale = jnp.broadcast_to(store.scale, (len(rows), g))
        if self.window_mean:
            scale = _mean_size(own)
            own, target = own / scale[:, None], target / scale[:, None]
        before = jnp.concatenate([own, before[..., g:]], axis=-1)
        source = self._with_masks(before, self.masked, static)
        future = g + self.past
        known = self._with_masks(ahead[..., future:], self.masked[future:], static)
        return Batch(
            jnp.where(real[:, None, None], source, 0),
            jnp.where(real, self.context, 0),
            jnp.where(real[:, None, None], target, 0),
            jnp.where(real, self.horizon, 0),
            jnp.where(real, store.ids[chosen], 0),
            real.astype(jnp.float32),
            Given(last_observed(own), known, shift, scale),
        )

    def _with_masks(
        self, values: Array, masked: Sequence[bool], static: Array
    ) -> Array:
        """What is missing as 0, then masks, then what is static, at each step."""
        there = ~jnp.isnan(values)
        some = np.flatnonzero(masked)
        at_each = jnp.broadcast_to(
            static[:, None], (*values.shape[:2], static.shape[1])
        )
        masks = there[..., some].astype(values.dtype)
        return jnp.concatenate([jnp.where(there, values, 0), masks, at_each], axis=-1)


def last_observed(values: Array) -> Array:
    """The last number of each column that is there, 0 where none is.

    Shapes: values [B, S, G] -> [B, G].
    """
    there = ~jnp.isnan(values)
    steps = jnp.arange(values.shape[1])[None, :, None]
    last = jnp.max(jnp.where(there, steps, 0), axis=1, keepdims=True)
    found = jnp.take_along_axis(values, last, axis=1)[:, 0]
    return jnp.where(jnp.isnan(found), 0, found)


def _mean_size(values: Array) -> Array:
    """The mean size of the numbers that are there, 1 where all are 0 or missing.

    Shapes: values [B, S, G] -> [B, G].
    """
    there = ~jnp.isnan(values)
    total = jnp.sum(jnp.where(there, jnp.abs(values), 0), axis=1)
    mean = total / jnp.maximum(jnp.sum(there, axis=1), 1)
    return jnp.where(mean > 0, mean, 1)


def starts(
    cuts: np.ndarray, split: int, context: int, horizon: int, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """The windows of a split: the row of each one's first step, and its series.

    What is forecast lies in the split as a whole; what is read may begin before it.

    Args:
      cuts: [I, 4] rows where the parts of each series begin and end.
      split: position in SPLITS.
      context, horizon: steps that are read, and forecast.
      stride: steps from one window to the next.

    >>> cuts = np.array([[0, 6, 8, 10]])
    >>> [starts(cuts, split, 3, 2, 1)[0].tolist() for split in range(3)]
    [[0, 1], [3], [5]]
    """
    found, series = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for number, row in enumerate(cuts.tolist()):
        first = max(row[split], row[0] + context)  # row of a first forecast
        origins = np.arange(first, row[split + 1] - horizon + 1, stride)
        found.append(origins - context)
        series.append(np.full(len(origins), number))
    return np.concatenate(found), np.concatenate(series)

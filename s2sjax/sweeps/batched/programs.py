"""Evaluation of all replicas of one program, free-running and teacher-forced."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from s2sjax.config import Config
from s2sjax.inference import system as predictor
from s2sjax.inference.evaluate import rows_at_once
from s2sjax.inference.system import Forced, System, symbol_lengths
from s2sjax.metrics import Outcomes, concatenate
from s2sjax.models.seq2seq import Seq2Seq
from s2sjax.tasks.task import Bucket, Fetch
from s2sjax.training import step
from s2sjax.training.recipe import Recipe
from s2sjax.training.state import Numbers, StepMetrics, TrainState, first_state
from s2sjax.types import Batch

AXIS = "replica"


@dataclass(frozen=True)
class Layout:
    """Where replicas are, and whether a device takes those it has all at once."""

    mesh: Mesh
    batched: bool

    @classmethod
    def of(cls, size: int, devices: Sequence[Any] | None = None) -> "Layout":
        """The layout of `size` replicas: on as many devices as divide them evenly."""
        found = jax.devices() if devices is None else list(devices)
        count = math.gcd(size, len(found))
        mesh = Mesh(np.array(found[:count]), (AXIS,))
        return cls(mesh, batched=found[0].platform != "cpu")

    @property
    def sharding(self) -> NamedSharding:
        """Of every stacked array."""
        return NamedSharding(self.mesh, PartitionSpec(AXIS))

    def place(self, tree: Any) -> Any:
        """Stacked arrays on their devices."""
        return jax.device_put(tree, self.sharding)

    def each(
        self, function: Callable[..., Any], *stacked: Any, batched: bool | None = None
    ) -> Any:
        """`function` of every replica: arguments and results are stacked.

        Args:
          function: of one replica.
          stacked: its arguments, trees of arrays with a leading axis.
          batched: for a function that must not be, or must; None: as the layout has it.
        """
        at_once = self.batched if batched is None else batched

        def local(*arguments: Any) -> Any:
            if at_once:
                return jax.vmap(function)(*arguments)
            return lax.map(lambda one: function(*one), arguments)

        spec = PartitionSpec(AXIS)
        # The replicas never meet, so that there is nothing to check across devices.
        spread = jax.shard_map(
            local, mesh=self.mesh, in_specs=spec, out_specs=spec, check_vma=False
        )
        return spread(*stacked)


def padded_size(count: int, devices: int) -> int:
    """The smallest multiple of the devices, as many as can be used, that holds `count`.

    >>> padded_size(5, 2), padded_size(1, 2)
    (6, 1)
    """
    used = min(count, devices)
    return -(-count // used) * used


@partial(jax.jit, static_argnums=(0, 1, 2))
def first_states(
    layout: Layout, model: Seq2Seq, recipe: Recipe, numbers: Numbers
) -> TrainState:
    """The states before the first step; see `state.first_state`."""
    # A batched QR or random draw hangs on some backends.
    return layout.each(partial(first_state, model, recipe), numbers, batched=False)


@partial(jax.jit, static_argnums=(0, 1, 2, 3, 4), donate_argnums=(5,))
def run_steps(
    layout: Layout,
    model: Seq2Seq,
    config: Config,
    steps: int,
    fetch: Fetch,
    *traced: Any,
) -> tuple[TrainState, StepMetrics, Array]:
    """`step.run_steps` of every replica, `traced` stacked; `count` [R] may be 0."""
    one = partial(step.run_steps, model, config, steps, fetch)
    return layout.each(one, *traced)


@partial(jax.jit, static_argnums=0)
def choose(layout: Layout, which: Array, new: Any, old: Any) -> Any:
    """For each replica the new tree where `which` [R] is true, else the old."""

    def one(which: Array, new: Any, old: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(which, a, b), new, old)

    return layout.each(one, which, new, old)


@partial(jax.jit, static_argnums=(0, 1))
def fetch(layout: Layout, fetch_one: Fetch, store: Any, rows: Array) -> Batch:
    """Examples `rows` [B] of every replica."""
    return layout.each(lambda store: fetch_one(store, rows), store)


@partial(jax.jit, static_argnums=0)
def decode(layout: Layout, system: System, batch: Batch) -> Any:
    """What `predictor.decode` makes of every replica's batch."""

    def one(system: System, batch: Batch) -> Any:
        return predictor.decode(system, batch.source, batch.source_lengths, batch.ids)

    return layout.each(one, system, batch)


@partial(jax.jit, static_argnums=0)
def force(layout: Layout, system: System, batch: Batch) -> Forced:
    """`predictor.force` of every replica."""
    return layout.each(predictor.force, system, batch)


@partial(jax.jit, static_argnums=0)
def edits(layout: Layout, *columns: Array) -> Array:
    """`predictor.edits` of every replica."""
    return layout.each(predictor.edits, *columns)


def stack(trees: Sequence[Any]) -> Any:
    """Trees as one, with a leading axis; arrays end in zeros up to the largest.

    On the host: a compiled concatenation of a thousand scalars takes seconds.

    >>> stack([jnp.ones(2), jnp.ones(3)]).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    """
    return jax.tree.map(lambda *leaves: _stacked(leaves), *trees)


def _stacked(leaves: Sequence[Any]) -> Array:
    if not jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        arrays = [np.asarray(leaf) for leaf in leaves]
        shape = map(max, zip(*(array.shape for array in arrays), strict=True))
        result = np.zeros((len(arrays), *shape), np.result_type(*arrays))
        for place, array in enumerate(arrays):
            its: tuple[Any, ...] = (place, *map(slice, array.shape))
            result[its] = array
        return jnp.asarray(result)
    bits = np.stack([np.asarray(jax.random.key_data(leaf)) for leaf in leaves])
    return jax.random.wrap_key_data(
        jnp.asarray(bits), impl=jax.random.key_impl(leaves[0])
    )


Sources = list[list[int]]


def outcomes(
    layout: Layout,
    system: System,
    bucket: Bucket,
    stop: Callable[[], bool] = lambda: False,
) -> list[tuple[Outcomes, Sources]] | None:
    """For each replica what `evaluate.outcomes` says of one run.

    Args:
      layout: of the replicas.
      system: stacked parameters and numbers.
      bucket: the examples, as many for each; its store is stacked.
      stop: is asked between batches whether to give up.

    Returns:
      Outcomes and source rows of each replica, or None if it was given up.
    """
    parts: list[list[Outcomes]] = []
    sources: list[Sources] = []
    assert bucket.size is not None
    batch_size = rows_at_once(system, bucket)
    for start in range(0, bucket.size, batch_size):
        if stop():
            return None
        rows = np.arange(start, start + batch_size)
        count = min(bucket.size - start, batch_size)
        rows = np.where(rows < bucket.size, rows, -1).astype(np.int32)
        columns, source, lengths = _batch(layout, system, bucket, rows)
        parts = parts or [[] for _ in lengths]
        sources = sources or [[] for _ in lengths]
        for replica, part in enumerate(parts):
            part.append(Outcomes.of(*(column[replica, :count] for column in columns)))
            pairs = zip(source[replica], lengths[replica], strict=True)
            sources[replica] += [row[:n].tolist() for row, n in list(pairs)[:count]]
    return list(zip(map(concatenate, parts), sources, strict=True))


def _batch(
    layout: Layout, system: System, bucket: Bucket, rows: np.ndarray
) -> tuple[Sequence[np.ndarray], np.ndarray, np.ndarray]:
    """The columns of `Outcomes`, [R, B, ...]; sources [R, B, S] and lengths [R, B].

    Each part is a program of its own, as it is for a single run: compiled into one,
    the parts would be rounded otherwise.
    """
    batch = fetch(layout, bucket.fetch, bucket.store, jnp.asarray(rows))
    hypotheses = decode(layout, system, batch)
    forced = force(layout, system, batch)
    first = jax.tree.map(lambda leaf: leaf[:, :, 0], hypotheses)
    lengths = symbol_lengths(hypotheses)[:, :, 0]
    target_lengths = jnp.maximum(batch.target_lengths - 1, 0)
    edited = edits(layout, first.tokens, lengths, batch.target, target_lengths)
    columns: tuple[Any, ...] = (
        first.tokens,
        lengths,
        first.truncated,
        batch.target,
        target_lengths,
        edited,
        first.scores,
        first.aux["logprob"],
        -forced.log_probs.sum(axis=-1),
        forced.correct,
    )
    return (
        [np.asarray(column) for column in columns],
        np.asarray(batch.source),
        np.asarray(batch.source_lengths),
    )

"""What is compiled for all replicas of a group: first states, steps, evaluation."""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from s2sjax.inference.batches import chunks
from s2sjax.inference.evaluate import Evaluated, kind_of
from s2sjax.inference.system import System
from s2sjax.models.architectures import Model
from s2sjax.models.embeddings import Vectors
from s2sjax.tasks.task import Bucket
from s2sjax.training import step
from s2sjax.training.recipe import Recipe
from s2sjax.training.state import Numbers, StepMetrics, TrainState, first_state
from s2sjax.training.step import Program, Work
from s2sjax.types import Batch

AXIS, MEMBER = "replica", "member"  # of the mesh, and of those that a device has


@dataclass(frozen=True)
class Layout:
    """Where replicas are, and whether a device takes those it has all at once."""

    mesh: Mesh
    batched: bool

    @classmethod
    def of(cls, size: int, devices: Sequence[Any] | None = None) -> "Layout":
        """The layout of `size` replicas: on as many devices as divide them evenly."""
        available = jax.devices() if devices is None else list(devices)
        count = math.gcd(size, len(available))
        mesh = Mesh(np.array(available[:count]), (AXIS,))
        return cls(mesh, batched=available[0].platform != "cpu")

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
                return jax.vmap(function, axis_name=MEMBER)(*arguments)
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
    layout: Layout,
    model: Model,
    recipe: Recipe,
    numbers: Numbers,
    vectors: dict[str, Vectors] | None = None,
) -> TrainState:
    """The states before the first step; see `state.first_state`."""

    def first(numbers: Numbers, vectors: dict[str, Vectors]) -> TrainState:
        return first_state(model, recipe, numbers, vectors=vectors)

    # A batched QR or random draw hangs on some backends.
    return layout.each(first, numbers, vectors or {}, batched=False)


@partial(jax.jit, static_argnums=(0, 1, 4), donate_argnums=2)
def run_steps(
    layout: Layout, program: Program, state: TrainState, work: Work, all_run: bool
) -> tuple[TrainState, StepMetrics, Array]:
    """`step.run_steps` of every replica; state and work are stacked.

    Args:
      layout: static.
      program: static.
      state: donated.
      work: where a device takes its replicas at once, the limit of each is 0 or the
        same.
      all_run: whether none has ended; those that have no steps to take then, which fill
        up a device, may take them all the same. Static.
    """
    run = partial(step.run_steps, program)
    return layout.each(
        partial(_in_step, run, all_run) if layout.batched else run, state, work
    )


def _in_step(run: Callable[..., Any], all_run: bool, state: Any, work: Work) -> Any:
    """`run` of one of the replicas that a device takes at once.

    Their loop has one limit. With a limit of its own for each, every step would choose
    for every array of the state whether it is the new one or the old. A replica that
    has ended has its old state back after the loop, for which there is a copy of it.
    """
    limit = lax.pmax(work.limit, MEMBER)
    new, metrics, norm = run(state, work._replace(limit=limit))
    if all_run:
        return new, metrics, norm
    runs, nothing = work.limit > 0, jax.tree.map(jnp.zeros_like, metrics)
    return _either(runs, new, state), _either(runs, metrics, nothing), norm


def _either(which: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(which, a, b), new, old)


@partial(jax.jit, static_argnums=0)
def choose(layout: Layout, which: Array, new: Any, old: Any) -> Any:
    """For each replica the new tree where `which` [R] is true, else the old."""
    return layout.each(_either, which, new, old)


@partial(jax.jit, static_argnums=(0, 1))
def each(layout: Layout, function: Callable[..., Any], *stacked: Any) -> Any:
    """A function of every replica, compiled."""
    return layout.each(function, *stacked)


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
            index: tuple[Any, ...] = (place, *map(slice, array.shape))
            result[index] = array
        return jnp.asarray(result)
    bits = np.stack([np.asarray(jax.random.key_data(leaf)) for leaf in leaves])
    return jax.random.wrap_key_data(
        jnp.asarray(bits), impl=jax.random.key_impl(leaves[0])
    )


def outcomes(
    layout: Layout,
    system: System,
    bucket: Bucket,
    stop: Callable[[], bool] = lambda: False,
) -> list[Evaluated] | None:
    """For each replica what `evaluate.outcomes` returns for one run.

    Args:
      layout: of the replicas.
      system: stacked parameters and numbers.
      bucket: the examples, as many for each; its store is stacked.
      stop: is asked between batches whether to give up; then there is no result.
    """
    assert bucket.size is not None
    size = jax.tree.leaves(system.params)[0].shape[0]
    parts: list[list[Any]] = [[] for _ in range(size)]
    sources: list[list[Any]] = [[] for _ in range(size)]
    of_each, kind = partial(each, layout), kind_of(system.models[0].readout)
    for chunk in chunks(range(bucket.size), kind.rows_at_once(system, bucket)):
        if stop():
            return None
        rows = np.tile(chunk.rows, (size, 1))
        batch: Batch = of_each(bucket.fetch, bucket.store, rows)
        found = kind.columns(system, batch, of_each)
        arrays = [np.asarray(column) for column in found]
        batch = jax.tree.map(np.asarray, batch)
        for place in range(size):
            own = [column[place] for column in arrays]
            parts[place].append(kind.of_columns(own, bucket, chunk))
            one = jax.tree.map(operator.itemgetter(place), batch)
            sources[place] += kind.rows_of(one, chunk.examples)
    return list(zip(map(kind.concatenate, parts), sources, strict=True))

"""One run on several devices: each takes a part of every batch.

Rows are divided among the devices, everything else is whole on each of them. A step
adds up what the devices found, gradients and numbers of tokens, so that the loss is
the mean over all tokens wherever they were: devices have unequal numbers of them.

Left to itself the compiler would divide less: products over time and rows at once
reshape [T, B, D] to [T B, D], for which it gathers all rows on every device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from s2sjax.training import step
from s2sjax.training.state import StepMetrics, TrainState
from s2sjax.training.step import Program, Work

AXIS = "batch"
FILLER = -1  # a row that asks for no example, and has no weight


@dataclass(frozen=True)
class Placement:
    """Where a run computes. On one device nothing is placed, and nothing changes."""

    mesh: Mesh

    @classmethod
    def of(cls, devices: Sequence[Any] | None = None) -> "Placement":
        """On these devices; None: all that there are, also those of other hosts."""
        return cls(Mesh(np.array(devices or jax.devices()), (AXIS,)))

    @property
    def size(self) -> int:
        """How many devices."""
        return self.mesh.size

    def whole(self, tree: Any) -> Any:
        """Arrays, known to every host, whole on each device."""
        if self.size == 1:
            return tree
        return jax.tree.map(partial(_placed, self._sharding()), tree)

    def rows(self, rows: np.ndarray) -> Array:
        """Rows [N, B] divided along B, filled up to a multiple of the devices."""
        if self.size == 1:
            return jnp.asarray(rows)
        filled = np.pad(
            rows, ((0, 0), (0, -rows.shape[1] % self.size)), constant_values=FILLER
        )
        return _placed(self._sharding(None, AXIS), filled)

    def local(self, tree: Any) -> Any:
        """Arrays that are whole on each device, as this host's first device has them.

        For what runs on one device, such as an evaluation; nothing is copied.
        """
        if self.size == 1:
            return tree
        return jax.tree.map(lambda array: array.addressable_data(0), tree)

    def run_steps(
        self, program: Program, state: TrainState, work: Work
    ) -> tuple[TrainState, StepMetrics, Array]:
        """`step.run_steps` on these devices; examples are made where their rows are.

        Args:
          program: static.
          state: as `whole` returns it.
          work: its rows as `rows` returns them, the others as `whole` does.
        """
        if self.size == 1:
            return step.run_steps(program, state, work)
        return _run_steps(self.mesh, program, state, work)

    def _sharding(self, *axes: str | None) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*axes))


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _run_steps(
    mesh: Mesh, program: Program, state: TrainState, work: Work
) -> tuple[TrainState, StepMetrics, Array]:
    whole, divided = PartitionSpec(), PartitionSpec(None, AXIS)
    of_work = Work._make((whole, whole, divided, whole, None))
    # The sums are explicit, so that there is nothing to infer across devices.
    everywhere = jax.shard_map(
        lambda state, work: step.run_steps(program, state, work, AXIS),
        mesh=mesh,
        in_specs=(whole, of_work),
        out_specs=whole,
        check_vma=False,
    )
    return everywhere(state, work)


def _placed(sharding: NamedSharding, array: Any) -> Array:
    # Each host gives its own devices their parts: `device_put` would compare, over
    # the network, what the hosts have.
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        data = _placed(sharding, jax.random.key_data(array))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    values = np.asarray(array)
    return jax.make_array_from_callback(
        values.shape, sharding, lambda index: np.array(values[index])
    )

"""The arrays of one checkpoint on the disk, by way of orbax."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from s2sjax.errors import RunError, UsageError
from s2sjax.runs import manifest as manifests
from s2sjax.runs.manifest import Damaged, Leaf


def paths(tree: Any) -> dict[tuple[str, ...], Any]:
    """The leaves of a pytree by their path as texts, in the order of the tree.

    >>> paths({"params": {"bias": 1}, "step": (2, 3)})
    {('params', 'bias'): 1, ('step', '0'): 2, ('step', '1'): 3}
    """
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        tuple(jax.tree_util.keystr((entry,), simple=True) for entry in path): leaf
        for path, leaf in leaves
    }


def nested(leaves: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Nested dicts of leaves by path.

    >>> nested({("decoder", "bias"): 1})
    {'decoder': {'bias': 1}}
    """
    tree: dict[str, Any] = {}
    for (*parents, name), leaf in leaves.items():
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = leaf
    return tree


def write(directory: Path, arrays: list[np.ndarray]) -> None:
    """Stores arrays under numbers: a name in the store is never made from input."""
    # The store refuses arrays without elements; the manifest alone describes those.
    stored = {_key(i): array for i, array in enumerate(arrays) if array.size}
    if stored:
        with ocp.StandardCheckpointer(multiprocessing_options=_alone()) as checkpointer:
            checkpointer.save(directory, stored)
            checkpointer.wait_until_finished()


def read(
    directory: Path, leaves: tuple[Leaf, ...]
) -> dict[tuple[str, ...], np.ndarray]:
    """The stored arrays by path, each checked against its leaf.

    Raises:
      Damaged: an array is missing, or is not what was saved.
      RunError: the library cannot read what is there.
    """
    stored = [i for i, leaf in enumerate(leaves) if 0 not in leaf.shape]
    restored: dict[str, Any] = {}
    if stored:
        kinds = {_key(i): ocp.RestoreArgs(restore_type=np.ndarray) for i in stored}
        try:
            handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=_alone())
            with ocp.Checkpointer(
                handler, multiprocessing_options=_alone()
            ) as checkpointer:
                restored = checkpointer.restore(
                    directory, args=ocp.args.PyTreeRestore(restore_args=kinds)
                )
        except Exception as error:  # the library raises many kinds
            reason = str(error).partition("\n")[0]
            raise RunError(
                f"{directory} cannot be read by orbax-checkpoint "
                f"{importlib.metadata.version('orbax-checkpoint')}: {reason}"
            ) from error
    return {
        leaf.path: _checked(leaf, restored.get(_key(place)))
        for place, leaf in enumerate(leaves)
    }


def place(array: np.ndarray, target: Any) -> jax.Array:
    """The array on the target's devices."""
    # A copy: a buffer shared with numpy could not be donated to the train step.
    value = jnp.array(array)
    sharding = getattr(target, "sharding", None)
    return value if sharding is None else jax.device_put(value, sharding)


def check_same(
    stored: Mapping[tuple[str, ...], Any],
    wanted: Mapping[tuple[str, ...], Any],
    name: str,
) -> None:
    """Checks arrays by path against those that a model has.

    Raises:
      UsageError: one is missing, is too many, or has another shape or dtype.
    """
    for path in sorted(stored.keys() ^ wanted.keys()):
        listed = "/".join(path)
        if path in wanted:
            raise UsageError(f"{name} has no {listed}, which this model needs")
        raise UsageError(f"{name} has {listed}, which this model has not")
    for path, leaf in wanted.items():
        array, which = stored[path], f"{name}: {'/'.join(path)}"
        if array.shape != tuple(leaf.shape):
            raise UsageError(
                f"{which} has shape {array.shape}; this model has {tuple(leaf.shape)}"
            )
        if array.dtype != leaf.dtype:
            raise UsageError(f"{which} is {array.dtype}; this model has {leaf.dtype}")


def _alone() -> ocp.options.MultiprocessingOptions:
    """Of several processes one writes, and each reads when it likes."""
    index = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}
    )


def _key(index: int) -> str:
    return f"leaf{index:05d}"


def _checked(leaf: Leaf, array: Any) -> np.ndarray:
    if array is None and 0 in leaf.shape:
        array = np.zeros(leaf.shape, jnp.dtype(leaf.dtype))
    if array is None:
        raise Damaged(f"{leaf.name} is missing")
    if manifests.describe(leaf.path, np.asarray(array)) != leaf:
        raise Damaged(f"the checksum of {leaf.name} is wrong")
    return np.asarray(array)

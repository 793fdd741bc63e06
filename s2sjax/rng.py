"""Random keys are derived by name and number, never stored.

Every draw of a run is a pure function of (seed, stream name, numbers), so that a
resumed run, a re-ordered program and a neighbour in the batch cannot change it.
"""

import zlib

import jax
from jax import Array


def root(seed: int | Array) -> Array:
    """The key that all streams of a run are derived from; `seed` may be traced."""
    return jax.random.key(seed)


def stream(key: Array, name: str, *numbers: int | Array) -> Array:
    """Derives the key of stream `name`, then folds in each of `numbers` in turn.

    >>> a = stream(root(0), "dropout", 7)
    >>> b = stream(root(0), "data", 7)
    >>> bool((jax.random.key_data(a) == jax.random.key_data(b)).all())
    False
    """
    key = jax.random.fold_in(key, zlib.crc32(name.encode()))
    for number in numbers:
        key = jax.random.fold_in(key, number)
    return key


def per_example(key: Array, ids: Array) -> Array:
    """One key per example, `fold_in(key, id)`: independent of batch and padding.

    Shapes: ids [B] -> keys [B].
    """
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, ids)

"""The tables of embeddings: where they are, what fills them, and which are trained."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from s2sjax.config import ModelConfig


class Vectors(NamedTuple):
    """Rows of a table that are known before training."""

    known: Array | np.ndarray  # [V] bool
    rows: Array | np.ndarray  # [V, E] float32; anything where not known


def tables(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    """The parameter that each file of vectors fills, by the field that names the file.

    >>> tables(ModelConfig(share_embeddings=True))
    {'embedding_file': ('embed', 'table')}
    """
    if config.share_embeddings:
        return {"embedding_file": ("embed", "table")}
    sides = {"embedding_file": "encoder", "target_embedding_file": "decoder"}
    return {field: (side, "embed", "table") for field, side in sides.items()}


def filled(params: Any, config: ModelConfig, vectors: Mapping[str, Vectors]) -> Any:
    """Parameters whose tables have the known rows; the others keep their draw.

    Args:
      params: before training.
      config: of the model.
      vectors: by the field that named their file.
    """
    given = {tables(config)[field]: each for field, each in vectors.items()}

    def fill(path: Any, leaf: Array) -> Array:
        each = given.get(_names(path))
        if each is None:
            return leaf
        return jnp.where(each.known[:, None], each.rows.astype(leaf.dtype), leaf)

    return jax.tree_util.tree_map_with_path(fill, params)


def trained(params: Any, config: ModelConfig) -> Any:
    """The parameters that training changes, with None in the place of the others.

    A table that a file filled is left out with `model.freeze_embedding`: it has no
    gradient, and no state of the optimiser.
    """
    if not config.freeze_embedding:
        return params
    frozen = {path for field, path in tables(config).items() if getattr(config, field)}
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: None if _names(path) in frozen else leaf, params
    )


def whole(trained: Any, params: Any) -> Any:
    """All parameters: those that are trained, and the others as they were.

    >>> whole({"a": 1, "b": None}, {"a": 0, "b": 2})
    {'a': 1, 'b': 2}
    """
    return jax.tree.map(
        lambda new, old: old if new is None else new,
        trained,
        params,
        is_leaf=lambda leaf: leaf is None,
    )


def _names(path: Any) -> tuple[str, ...]:
    return tuple(entry.key for entry in path)

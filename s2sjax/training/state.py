"""What a training step takes, changes and reports."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from s2sjax import rng
from s2sjax.config import Config, fields, flatten
from s2sjax.models import embeddings
from s2sjax.models.architectures import Model
from s2sjax.models.embeddings import Vectors
from s2sjax.models.padding import zero_rows
from s2sjax.models.sides import vocabulary
from s2sjax.training.recipe import Recipe


class TrainState(NamedTuple):
    """All that is saved of a run; the rest follows from the config and the step."""

    step: Array  # [] int32, steps done
    params: Any
    opt_state: Any
    carried: Any = ()  # of `train.tbptt`, the states [B, D] after the last window


Numbers = Mapping[str, Array]
"""What may differ between the replicas of one program, each [] int32 or float32: the
fields that the schema calls traced by their dotted names, `train.learning_rate`, but
for a task's, which are part of its data; `vocabulary`, a run's own size of a padded
one; and `symbol_weights` [V] float32, where symbols have them."""


class StepMetrics(NamedTuple):
    """What one step reports; sums, so that steps can be added up."""

    loss: Array  # [] float32, nats over the batch
    tokens: Array  # [] float32, real tokens in the batch, each times its weight
    grad_norm: Array  # [] float32, before clipping
    learning_rate: Array  # [] float32


def numbers(
    config: Config,
    vocabulary: int | None = None,
    symbol_weights: np.ndarray | None = None,
) -> Numbers:
    """The numbers of a config.

    Args:
      config: of a run.
      vocabulary: of its targets, where that of the model is padded to a larger one.
      symbol_weights: [V] what each target symbol counts in the loss; None: all as much.

    >>> sorted(numbers(Config()))[:2]
    ['model.dropout_embedding', 'model.dropout_output']
    """
    values = flatten(config)
    traced = {
        path: (jnp.int32 if field.type is int else jnp.float32)(values[path])
        for path, field in fields().items()
        if field.metadata["traced"] and not path.startswith("task.")
    }
    if vocabulary is not None:
        traced["vocabulary"] = jnp.int32(vocabulary)
    if symbol_weights is not None:
        traced["symbol_weights"] = jnp.asarray(symbol_weights)
    return traced


@partial(jax.jit, static_argnums=(0, 1))
def first_state(
    model: Model,
    recipe: Recipe,
    numbers: Numbers,
    params: Any = None,
    vectors: Mapping[str, Vectors] | None = None,
) -> TrainState:
    """The state before the first step.

    Args:
      model: that is trained.
      recipe: of the training.
      numbers: of the run.
      params: to begin with; None: drawn from the seed.
      vectors: rows of the drawn embeddings that are known; see `embeddings.filled`.
    """
    if params is None:
        key = rng.stream(rng.root(numbers["seed"]), "parameters")
        params = embeddings.filled(model.init(key), model.config, vectors or {})
        if "vocabulary" in numbers:
            params = zero_rows(params, vocabulary_axes(model), numbers["vocabulary"])
    optimizer = recipe.optimizer(numbers["train.learning_rate"])
    trained = embeddings.trained(params, model.config)
    return TrainState(jnp.int32(0), params, optimizer.init(trained))


def vocabulary_axes(model: Model) -> Any:
    """For each parameter the axis of the vocabulary, -1 where it has none."""

    def shapes(more: int) -> Any:
        larger = model.clone(
            source=vocabulary(model.source) + more,
            target=vocabulary(model.target) + more,
        )
        return jax.eval_shape(lambda: larger.init(rng.root(0)))

    def differing(one: Any, other: Any) -> int:
        pairs = zip(one.shape, other.shape, strict=True)
        return next((axis for axis, (a, b) in enumerate(pairs) if a != b), -1)

    return jax.tree.map(differing, shapes(0), shapes(1))

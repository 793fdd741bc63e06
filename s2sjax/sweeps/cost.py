"""What a trial costs, from the shapes of its arrays alone; nothing is computed."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from s2sjax import rng, tasks
from s2sjax.config import Config
from s2sjax.models.seq2seq import parameter_count
from s2sjax.training import loop
from s2sjax.training.losses import token_losses
from s2sjax.training.state import build_model, first_state, hyper
from s2sjax.training.step import training_logits
from s2sjax.types import Batch


class Cost(NamedTuple):
    """What one trial costs."""

    parameters: int
    steps: int
    step_flops: int  # of the matrix products of a training step
    memory: int  # bytes while it trains: state, gradients, activations, examples
    state: int  # bytes of those that are parameters and the optimiser's
    data: int  # bytes of those that are examples, of all splits


def estimate(config: Config) -> Cost:
    """The cost of training a config.

    FLOPs are those of the matrix products of the forward pass, a multiplication and an
    addition counted as two, times three for the gradients. Memory counts what must be
    there at once; what the compiler adds is unknown, and what it saves too.

    Raises:
      UsageError: a task, optimiser, schedule or strategy that cannot be.
    """
    loop.check(config)
    task = tasks.create(config)
    steps = loop.total_steps(config, loop.training_order(config, task))
    model = build_model(
        config, len(task.source_vocabulary), len(task.target_vocabulary)
    )
    bucket = max(task.buckets["train"], key=lambda b: (b.target_width, b.source_width))
    rows = jax.ShapeDtypeStruct((config.train.batch_size,), jnp.int32)
    batch = jax.eval_shape(bucket.fetch, bucket.store, rows)
    state = jax.eval_shape(lambda: first_state(config, model))

    def loss(params: Any, batch: Batch) -> jax.Array:
        numbers = hyper(config)
        key = rng.root(numbers.seed)
        logits = training_logits(model, config, params, numbers, key, batch)
        return jnp.sum(token_losses(logits, batch.target, batch.target_lengths))

    def kept(params: Any, batch: Batch) -> Any:
        return jax.vjp(lambda p: loss(p, batch), params)[1]

    forward = jax.make_jaxpr(loss)(state.params, batch)
    activations = jax.eval_shape(kept, state.params, batch)
    held = _bytes(state)
    data = _bytes([b.store for split in task.buckets.values() for b in split])
    return Cost(
        parameter_count(state.params),
        steps,
        3 * product_flops(forward.jaxpr),
        held + _bytes(state.params) + _bytes(activations) + data,
        held,
        data,
    )


def product_flops(jaxpr: Any) -> int:
    """FLOPs of the matrix products in a jaxpr; a scan counts as often as it steps.

    >>> product_flops(jax.make_jaxpr(jnp.matmul)(jnp.ones((2, 3)), jnp.ones((3, 5))))
    60
    """
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            inner = math.prod(shape[axis] for axis in contracted)
            total += 2 * inner * math.prod(equation.outvars[0].aval.shape)
        within = [product_flops(inner) for inner in _within(equation.params)]
        if equation.primitive.name == "cond":
            total += max(within)
        else:
            total += equation.params.get("length", 1) * sum(within)
    return total


def _within(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs that an equation calls."""
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(item, "jaxpr", item)  # a closed one holds an open one
            if hasattr(inner, "eqns"):
                yield inner


def _bytes(tree: Any) -> int:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)

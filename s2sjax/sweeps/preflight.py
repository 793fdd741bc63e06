"""Whether trials can be trained and what they cost, before any of them begins."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from s2sjax import rng, tasks
from s2sjax.config import Config, data_files
from s2sjax.inference import vectors
from s2sjax.models.architectures import Model, build_model
from s2sjax.models.seq2seq import parameter_count
from s2sjax.sweeps.trials import Trial, TrialProblems
from s2sjax.tasks import Task
from s2sjax.training import loop
from s2sjax.training.cadence import total_steps
from s2sjax.training.objectives import losses
from s2sjax.training.order import Order
from s2sjax.training.recipe import recipe
from s2sjax.training.state import first_state, numbers
from s2sjax.training.step import decoded
from s2sjax.types import SYMBOLS, Batch


def check(trials: Sequence[Trial]) -> None:
    """Tries each model, optimiser, schedule, strategy and task once.

    A task of files or of a user's function, which takes long to read, is tried for one
    of the trials that name the same file.

    Raises:
      UsageError: those that cannot be, each with the number of its first trial.
    """
    tried: set[Any] = set()
    problems = TrialProblems()
    for trial in trials:
        config = trial.config
        for what, attempt in (
            ((config.model, config.train, config.decode), loop.check),
            (("vectors", config.model), lambda each: vectors.check(each.model)),
            ((config.task, config.train.metric), tasks.check),
            ((_task(config), config.train.epochs is None, _joint(config)), _build),
        ):
            if what in tried:
                continue
            tried.add(what)
            with problems.of(trial.index):
                attempt(config)
    problems.tell()


def _task(config: Config) -> Any:
    files = data_files(config)
    return (config.task.name, *files.items()) if files else config.task


def _joint(config: Config) -> Any:
    """What else of a model its data are read by."""
    model = config.model
    return model.share_embeddings, model.embedding_file, model.target_embedding_file


def _build(config: Config) -> None:
    task = tasks.create(config)
    total_steps(config, Order.of(config, task))
    vectors.read(config, task)


class Cost(NamedTuple):
    """What one trial costs."""

    parameters: int
    steps: int
    step_flops: int  # of the matrix products of a training step
    memory: int  # bytes while it trains: state, gradients, activations, examples
    state: int  # bytes of those that are parameters and the optimiser's
    data: int  # bytes of those that are examples, of all splits


def estimate(config: Config, task: Task | None = None) -> Cost:
    """The cost of training a config.

    Args:
      config: of a run.
      task: of it; None: it is made.

    FLOPs are those of the matrix products of the forward pass, a multiplication and an
    addition counted as two, times three for the gradients. Memory counts what must be
    there at once; what the compiler adds is unknown, and what it saves too.

    Raises:
      UsageError: a task, optimiser, schedule or strategy that cannot be.
    """
    loop.check(config)
    task = tasks.create(config) if task is None else task
    steps = total_steps(config, Order.of(config, task))
    bucket = max(task.buckets["train"], key=lambda b: (b.target_width, b.source_width))
    rows = jax.ShapeDtypeStruct((config.train.batch_size,), jnp.int32)
    batch = jax.eval_shape(bucket.fetch, bucket.store, rows)
    model = build_model(config, *task.sides)
    chosen = recipe(config.train, steps, model.readout)
    state = jax.eval_shape(lambda: first_state(model, chosen, numbers(config)))
    loss = _loss(config, model)

    def residuals(params: Any, batch: Batch) -> Any:
        return jax.vjp(lambda p: loss(p, batch), params)[1]

    activations = jax.eval_shape(residuals, state.params, batch)
    held = _bytes(state)
    data = _bytes([b.store for split in task.buckets.values() for b in split])
    return Cost(
        parameter_count(state.params),
        steps,
        _flops(config, model, batch),
        held + _bytes(state.params) + _bytes(activations) + data,
        held,
        data,
    )


def step_flops(config: Config, length: int, symbols: int) -> int:
    """The FLOPs of a training step that reads and writes so many of so many symbols."""
    rows = config.train.batch_size

    def batch() -> Batch:
        source, target = (jnp.zeros((rows, n), jnp.int32) for n in (length, length + 1))
        lengths = jnp.zeros(rows, jnp.int32)
        weights = jnp.zeros(rows, jnp.float32)
        return Batch(source, lengths, target, lengths, lengths, weights)

    model = build_model(config, symbols + SYMBOLS, symbols + SYMBOLS)
    return _flops(config, model, jax.eval_shape(batch))


def _loss(config: Config, model: Model) -> Callable[[Any, Batch], jax.Array]:
    """What is differentiated in a training step."""
    chosen, own = recipe(config.train, 1, model.readout), numbers(config)

    def loss(params: Any, batch: Batch) -> jax.Array:
        output = decoded(model, chosen.feeding, params, own, jnp.int32(0), batch)
        return jnp.sum(losses(chosen.objective, model.readout, output, batch))

    return loss


def _flops(config: Config, model: Model, batch: Any) -> int:
    params = jax.eval_shape(lambda: model.init(rng.root(0)))
    return 3 * product_flops(jax.make_jaxpr(_loss(config, model))(params, batch).jaxpr)


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

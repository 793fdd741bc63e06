"""Groups of trials, split until each fits the memory of the devices."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax import tasks
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.models.seq2seq import build_model, parameter_count
from s2sjax.sweeps.batched.grouping import Group, group
from s2sjax.sweeps.batched.programs import padded_size
from s2sjax.sweeps.trials import Trial, TrialProblems
from s2sjax.training import loop
from s2sjax.training.memory import memory
from s2sjax.training.objectives import losses
from s2sjax.training.recipe import recipe
from s2sjax.training.state import first_state, numbers
from s2sjax.training.step import decoded
from s2sjax.types import Batch


def check(trials: Sequence[Trial]) -> None:
    """Tries each optimiser, schedule, strategy and task once.

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
            ((config.task, config.train.metric), tasks.check),
            ((_task(config), config.train.epochs is None), _build),
        ):
            if what in tried:
                continue
            tried.add(what)
            with problems.of(trial.index):
                attempt(config)
    problems.tell()


def _task(config: Config) -> Any:
    task = config.task
    is_slow = task.name not in tasks.TASKS or task.path
    return (task.name, task.path) if is_slow else task


def _build(config: Config) -> None:
    task = tasks.create(config)
    loop.total_steps(config, loop.training_order(config, task))


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
    chosen, own = recipe(config.train, steps), numbers(config)
    state = jax.eval_shape(lambda: first_state(model, chosen, own))

    def loss(params: Any, batch: Batch) -> jax.Array:
        output = decoded(model, chosen.feeding, params, own, jnp.int32(0), batch)
        return jnp.sum(losses(chosen.objective, output, batch))

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


SHARE = 0.6  # of the memory that is there; the rest is for what nobody counted
SAVING = 2  # copies of the state while it is saved


def fitting(trials: Sequence[Trial], limit: int | None = None) -> list[Group]:
    """The programs of a sweep: its groups, in parts that fit.

    Args:
      trials: all of them.
      limit: bytes for all replicas; None: what the devices have.

    Raises:
      UsageError: a trial that does not fit by itself.
    """
    devices = jax.devices()
    limit = int(SHARE * memory(devices)) if limit is None else limit
    return [part for each in group(trials) for part in _parts(each, devices, limit)]


def _parts(whole: Group, devices: Sequence[Any], limit: int) -> list[Group]:
    kept, working = _needs(whole)
    at_once = min(len(devices), len(whole.trials))
    if devices[0].platform == "cpu":
        # A device of the CPU takes its replicas one after another.
        most = (limit - at_once * working) // kept
    else:
        most = limit // (kept + working)
    if most < 1:
        needed, room = (f"{n / 2**30:.3g} GiB" for n in (kept + working, limit))
        raise UsageError(
            f"trial {whole.trials[0].index}: backend=batched needs {needed} for one "
            f"trial of this size, and may take {room} here; make it smaller "
            f"(model.units, task.length, train.batch_size)"
        )
    if most >= padded_size(len(whole.trials), len(devices)):
        return [whole]
    most = max(most // len(devices) * len(devices), 1)
    count = -(-len(whole.trials) // most)
    size = -(-len(whole.trials) // count)  # evenly, so that they compile once
    return [
        Group(whole.trials[start : start + size])
        for start in range(0, len(whole.trials), size)
    ]


def _needs(whole: Group) -> tuple[int, int]:
    """Bytes that a replica keeps, and what a step of one needs besides."""
    its = estimate(whole.widest)
    best = its.parameters * np.dtype(np.float32).itemsize
    kept = SAVING * (its.state + best) + its.data
    return kept, its.memory - its.state - its.data

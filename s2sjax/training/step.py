"""The training step, pure; and many of them in one compiled call."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from s2sjax import rng
from s2sjax.models import embeddings
from s2sjax.models.architectures import Model
from s2sjax.models.base import States
from s2sjax.models.dropout import Dropout
from s2sjax.models.labeller import Aligned
from s2sjax.models.padding import cut
from s2sjax.models.seq2seq import apply, started
from s2sjax.tasks.task import Fetch, Part
from s2sjax.training import windows
from s2sjax.training.feeding import Feeding, step_keys
from s2sjax.training.objectives import losses
from s2sjax.training.objectives.weights import token_weights
from s2sjax.training.recipe import Recipe
from s2sjax.training.state import Numbers, StepMetrics, TrainState
from s2sjax.training.windows import Window
from s2sjax.types import Batch, StepOutput


def train_step(
    model: Model,
    recipe: Recipe,
    state: TrainState,
    numbers: Numbers,
    batch: Batch,
    axis: str | None = None,
    window: Window | None = None,
) -> tuple[TrainState, StepMetrics]:
    """One step of gradient descent on the mean loss per real token or number.

    Where examples or symbols have weights, it is the weighted mean: the sums of weights
    divide.

    `model` and `recipe` are static, the rest is traced. Draws are functions of (seed,
    step, example id): see `rng`. Where each device of a mesh has a part of the batch,
    `axis` is the mesh's. With a `window` the batch is what lies in it, which begins
    with the states of the last one; no gradient goes back to those.
    """
    each, counted = token_weights(model.readout, batch, numbers.get("symbol_weights"))
    tokens = _total(counted, axis)

    def mean_loss(trained: Any) -> tuple[Array, tuple[Array, Any]]:
        params = embeddings.whole(trained, state.params)
        if window is None:
            output = decoded(model, recipe.feeding, params, numbers, state.step, batch)
            carried = state.carried
        else:
            carried, output = read_on(model, params, numbers, state, batch, window)
        per_token = losses(recipe.objective, model.readout, output, batch)
        loss = jnp.sum(per_token * each)
        return loss / jnp.where(tokens > 0, tokens, 1), (loss, carried)

    trained = embeddings.trained(state.params, model.config)
    grads, (loss, carried) = jax.grad(mean_loss, has_aux=True)(trained)
    grads, loss = _total((grads, loss), axis)
    rate = numbers["train.learning_rate"] * recipe.schedule(state.step)
    updates, opt_state = recipe.optimizer(rate).update(grads, state.opt_state, trained)
    params = embeddings.whole(optax.apply_updates(trained, updates), state.params)
    metrics = StepMetrics(loss, tokens, _norm(grads), rate)
    return TrainState(state.step + 1, params, opt_state, carried), metrics


def _total(tree: Any, axis: str | None) -> Any:
    return tree if axis is None else lax.psum(tree, axis)


def _norm(tree: Any) -> Array:
    # In full: a GPU or a TPU would round what it multiplies.
    squares = partial(jnp.vdot, precision=lax.Precision.HIGHEST)
    return jnp.sqrt(sum(squares(leaf, leaf) for leaf in jax.tree.leaves(tree)))


def decoded(
    model: Model,
    feeding: Feeding,
    params: Any,
    numbers: Numbers,
    step: Array,
    batch: Batch,
) -> StepOutput:
    """What the decoder says at step `step` of training, with dropout and its feeding.

    Gold inputs are a static choice: all of them are known ahead, and each stage of the
    decoder runs over all of time. With any other feeding a step waits for the last.

    Returns:
      Raw values [B, T, P], such as logits, and aux.
    """
    key = rng.stream(rng.root(numbers["seed"]), "step", step)
    keys = rng.per_example(key, batch.ids)
    dropout = _dropout(numbers, keys) if model.config.drops else None
    vocabulary = numbers.get("vocabulary")
    gold = model.readout.gold(batch)
    run = partial(apply, model, params)
    if feeding.feedback is None or not model.config.has_decoder:
        output = run(batch.source, batch.source_lengths, gold, dropout)
        return output._replace(logits=cut(output.logits, vocabulary))

    source = batch.source, batch.source_lengths
    states, memory, _ = started(model, params, *source, dropout)
    time = gold.shape[1]
    noise = run(dropout, time, method="noise")
    probability = numbers["train.feeding_probability"] * feeding.factor(step)
    own = feeding.own(key, keys, time, probability)
    beside = feeding.beside(batch, vocabulary, time)

    def feed(raw: Array, gold: Array, now: Any) -> Array:
        return feeding.feed(raw, gold, *now)

    xs = own.T, step_keys(keys, time).T, beside
    output = run(states, memory, gold, feed, xs, noise, method="free")
    return output._replace(logits=cut(output.logits, vocabulary))


def read_on(
    model: Model,
    params: Any,
    numbers: Numbers,
    state: TrainState,
    batch: Batch,
    window: Window,
) -> tuple[States, StepOutput]:
    """The states after a window, and what is said in it of its targets."""
    assert isinstance(model, Aligned)
    key = rng.stream(rng.root(numbers["seed"]), "step", state.step)
    keys = rng.per_example(key, batch.ids)
    dropout = _dropout(numbers, keys) if model.config.drops else None
    before = jax.tree.map(
        lambda first, last: jnp.where(window.is_first, first, last),
        model.start(len(batch.ids)),
        state.carried,
    )
    source = before, batch.source, batch.source_lengths
    states, raw = apply(model, params, *source, dropout, method="advance")
    if model.config.lookahead:
        raw = jnp.roll(raw, -window.skipped, axis=1)
    return states, StepOutput(cut(raw, numbers.get("vocabulary")), {})


def _dropout(numbers: Numbers, keys: Array) -> Dropout:
    start = "model.dropout_"
    rates = {
        name.removeprefix(start): rate
        for name, rate in numbers.items()
        if name.startswith(start)
    }
    return Dropout(jax.vmap(partial(rng.stream, name="dropout"))(keys), rates)


class Program(NamedTuple):
    """What a compiled run of steps is compiled for: static, and hashable."""

    model: Model
    recipe: Recipe
    fetch: Fetch  # where examples come from; see `tasks.Bucket`
    part: Part | None = None  # likewise, of windows


class Work(NamedTuple):
    """What it works on besides the state: traced."""

    numbers: Numbers
    store: Any  # of the examples that `fetch` reads
    rows: Array  # [N, B] int32, the examples of each step, -1 for filler
    limit: Array  # [] int32, how many of the N steps to take
    windows: Array | None = None  # [N] int32, which window of its examples each takes


@partial(jax.jit, static_argnums=(0, 3), donate_argnums=1)
def run_steps(
    program: Program, state: TrainState, work: Work, axis: str | None = None
) -> tuple[TrainState, StepMetrics, Array]:
    """`work.limit` steps in one call, so that dispatch does not bound small models.

    The limit is traced: the split of a run into calls never changes its result, and
    never compiles anew.

    Args:
      program: static.
      state: donated.
      work: traced.
      axis: see `train_step`; the rows are then those of one device.

    Returns:
      The state, the metrics of each step, [N] (those beyond the limit are 0), and the
      norm of the parameters at the end.
    """
    model, recipe, fetch, part = program
    size = work.rows.shape[0]
    empty = StepMetrics(*[jnp.zeros(size, jnp.float32)] * len(StepMetrics._fields))

    def body(index: Array, carry: Any) -> Any:
        state, metrics = carry
        rows, window = work.rows[index], None
        if work.windows is None:
            batch = fetch(work.store, rows)
        else:
            ahead = model.config.lookahead
            window = Window.of(work.windows[index], recipe.tbptt, ahead)
            batch = windows.fetched(model, fetch, part, work.store, rows, window)
        of_batch = work.numbers, batch, axis, window
        state, now = train_step(model, recipe, state, *of_batch)
        metrics = jax.tree.map(
            lambda all_, one: all_.at[index].set(one.astype(all_.dtype)), metrics, now
        )
        return state, metrics

    state, metrics = lax.fori_loop(0, work.limit, body, (state, empty))
    return state, metrics, _norm(state.params)

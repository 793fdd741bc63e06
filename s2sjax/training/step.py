"""The training step, pure; and many of them in one compiled call."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from s2sjax import rng
from s2sjax.config import Config
from s2sjax.decoding.forced import decoder_inputs, token_losses
from s2sjax.models.dropout import Dropout
from s2sjax.models.padding import cut, cut_step
from s2sjax.models.seq2seq import Seq2Seq, apply
from s2sjax.tasks.task import Fetch
from s2sjax.training.feeding import FEEDBACKS, unroll
from s2sjax.training.optimizer import optimizer, schedule
from s2sjax.training.state import Hyper, StepMetrics, TrainState
from s2sjax.types import BOS, Batch, StepOutput


def train_step(
    model: Seq2Seq,
    config: Config,
    steps: int,
    state: TrainState,
    hyper: Hyper,
    batch: Batch,
    axis: str | None = None,
) -> tuple[TrainState, StepMetrics]:
    """One step of gradient descent on the mean loss per real token.

    `model`, `config` and `steps` (of the whole run) are static, the rest is traced.
    Draws are functions of (seed, step, example id): see `rng`. Where each device of a
    mesh has a part of the batch, `axis` is the mesh's.
    """
    tokens = _total(jnp.sum(batch.target_lengths * batch.weights), axis)
    keys = rng.stream(rng.root(hyper.seed), "step", state.step)

    def mean_loss(params: Any) -> tuple[Array, Array]:
        logits = training_logits(model, config, params, hyper, keys, batch)
        losses = token_losses(logits, batch.target, batch.target_lengths)
        loss = jnp.sum(losses * batch.weights[:, None])
        return loss / jnp.maximum(tokens, 1), loss

    grads, loss = _total(jax.grad(mean_loss, has_aux=True)(state.params), axis)
    rate = hyper.learning_rate * schedule(config.train, steps)(state.step)
    updates, opt_state = optimizer(config.train, rate).update(
        grads, state.opt_state, state.params
    )
    params = optax.apply_updates(state.params, updates)
    metrics = StepMetrics(loss, tokens, _norm(grads), rate)
    return TrainState(state.step + 1, params, opt_state), metrics


def _total(tree: Any, axis: str | None) -> Any:
    return tree if axis is None else lax.psum(tree, axis)


def _norm(tree: Any) -> Array:
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(tree)))


def training_logits(
    model: Seq2Seq,
    config: Config,
    params: Any,
    hyper: Hyper,
    key: Array,
    batch: Batch,
) -> Array:
    """The logits that are trained on, [B, T, V], with dropout and the feeding chosen.

    "gold" is a static choice and takes the path that hoists the products out of the
    recurrence; any other feeding steps, with a mask drawn per example and token.
    """
    keys = rng.per_example(key, batch.ids)
    dropout = None
    rates = (hyper.dropout_embedding, hyper.dropout_state, hyper.dropout_output)
    shape = config.model
    if shape.dropout_embedding or shape.dropout_state or shape.dropout_output:
        dropout = Dropout(jax.vmap(partial(rng.stream, name="dropout"))(keys), *rates)
    gold = decoder_inputs(batch.target, BOS)
    run = partial(apply, model, params)
    if config.train.feeding == "gold":
        output = run(batch.source, batch.source_lengths, gold, dropout)
        return cut(output.logits, hyper.vocabulary)

    encoded = run(batch.source, batch.source_lengths, dropout, method="encode")
    states, memory = run(encoded, dropout, method="start")
    width = gold.shape[1]
    noise = None if dropout is None else run(dropout, width, method="noise")

    def step(carry: Any, x: Array) -> tuple[Any, StepOutput]:
        time, states = carry
        now = jax.tree.map(lambda drawn: drawn[:, time], noise)
        states, output = run(states, x, memory, now, method="step")
        return (time + 1, states), output

    def draw(key: Array) -> Array:
        uniform = jax.random.uniform(rng.stream(key, "feeding"), (width,))
        return uniform < hyper.feeding_probability

    feedback = FEEDBACKS[config.train.feeding]
    carry = (jnp.int32(0), states)
    own = jax.vmap(draw)(keys)
    return unroll(cut_step(step, hyper.vocabulary), carry, gold, own, feedback).logits


@partial(jax.jit, static_argnums=(0, 1, 2, 3, 9), donate_argnums=(4,))
def run_steps(
    model: Seq2Seq,
    config: Config,
    steps: int,
    fetch: Fetch,
    state: TrainState,
    hyper: Hyper,
    store: Any,
    rows: Array,
    count: Array,
    axis: str | None = None,
) -> tuple[TrainState, StepMetrics, Array]:
    """`count` steps in one compiled call, so that dispatch does not bound small models.

    Args:
      model, config, steps: see `train_step`.
      fetch, store: where examples come from; see `tasks.Bucket`.
      state: donated.
      hyper: the traced numbers.
      rows: which examples each step takes, [N, B] int32, -1 for filler.
      count: how many of the N rows to take, traced: the split of a run into calls
        never changes its result, and never compiles anew.
      axis: see `train_step`; `rows` are then those of one device.

    Returns:
      The state, the metrics of each step, [N] (those beyond `count` are 0), and the
      norm of the parameters at the end.
    """
    empty = jax.tree.map(
        lambda leaf: jnp.zeros(rows.shape[0], leaf.dtype),
        StepMetrics(*[jnp.float32(0)] * len(StepMetrics._fields)),
    )

    def body(index: Array, carry: Any) -> Any:
        state, metrics = carry
        batch = fetch(store, rows[index])
        state, now = train_step(model, config, steps, state, hyper, batch, axis)
        metrics = jax.tree.map(
            lambda all_, one: all_.at[index].set(one.astype(all_.dtype)), metrics, now
        )
        return state, metrics

    state, metrics = lax.fori_loop(0, count, body, (state, empty))
    return state, metrics, _norm(state.params)

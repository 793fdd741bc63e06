"""What a training step takes, changes and reports."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import rng
from s2sjax.config import Config
from s2sjax.models.seq2seq import Seq2Seq, initialise
from s2sjax.training.optimizer import optimizer


class TrainState(NamedTuple):
    """All that is saved of a run; the rest follows from the config and the step."""

    step: Array  # [] int32, steps done
    params: Any
    opt_state: Any


class Hyper(NamedTuple):
    """The numbers of a run that may differ between replicas of one program."""

    seed: Array  # [] int32
    learning_rate: Array  # [] float32, at its peak
    dropout_embedding: Array  # [] float32
    dropout_state: Array  # [] float32
    dropout_output: Array  # [] float32
    feeding_probability: Array  # [] float32
    vocabulary: Array | None = None  # [] int32, where the model's is padded


class StepMetrics(NamedTuple):
    """What one step reports; sums, so that steps can be added up."""

    loss: Array  # [] float32, nats over the batch
    tokens: Array  # [] float32, real tokens in the batch
    grad_norm: Array  # [] float32, before clipping
    learning_rate: Array  # [] float32


def hyper(config: Config) -> Hyper:
    """The numbers of a config."""
    return Hyper(
        jnp.int32(config.seed),
        jnp.float32(config.train.learning_rate),
        jnp.float32(config.model.dropout_embedding),
        jnp.float32(config.model.dropout_state),
        jnp.float32(config.model.dropout_output),
        jnp.float32(config.train.feeding_probability),
    )


def first_state(config: Config, model: Seq2Seq) -> TrainState:
    """The state before the first step, a function of the config alone."""

    @jax.jit
    def make(seed: Array) -> TrainState:
        params = initialise(model, rng.stream(rng.root(seed), "parameters"))
        transformation = optimizer(config.train, config.train.learning_rate)
        return TrainState(jnp.int32(0), params, transformation.init(params))

    return make(jnp.int32(config.seed))

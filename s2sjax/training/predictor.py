"""A trained model read out: decoding and forced scores, compiled once per width."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import metrics, rng
from s2sjax.config import Config, DecodeConfig
from s2sjax.decoding.strategies import strategy
from s2sjax.models.encoder import Encoded
from s2sjax.models.seq2seq import Seq2Seq, apply, decoder_steps
from s2sjax.training.losses import decoder_inputs, real_tokens, token_losses
from s2sjax.types import BOS, EOS, UNK, Batch, Hypotheses


class Forced(NamedTuple):
    """Teacher-forced scores of each row."""

    nll: Array  # [B] float32, nats, EOS included
    correct: Array  # [B] int32, tokens that would have been chosen


def limit(config: DecodeConfig, source_lengths: Array, source_width: int) -> Array:
    """The most tokens of a row's output, EOS counted: a function of its own source."""
    # From a table: float32 rounds some products up to the next whole number.
    limits = [widest(config, length) for length in range(source_width + 1)]
    return jnp.asarray(limits, jnp.int32)[source_lengths]


def widest(config: DecodeConfig, source_width: int) -> int:
    """The largest limit that a source of this width can have."""
    return int(-(-config.length_ratio * source_width // 1)) + config.length_extra


@partial(jax.jit, static_argnums=(0, 1))
def decode(
    model: Seq2Seq,
    config: Config,
    params: Any,
    source: Array,
    lengths: Array,
    ids: Array,
) -> tuple[Hypotheses, Encoded]:
    """Decodes a batch by the config's strategy; the encoder's view comes along.

    Shapes: source [B, S], lengths [B], ids [B] (which input each row is, the seed of
    its own randomness).
    """
    step, carry, encoded = decoder_steps(model, params, source, lengths)
    keys = rng.per_example(rng.stream(rng.root(config.seed), "decoding"), ids)
    run = strategy(config.decode.strategy)
    limits = limit(config.decode, lengths, source.shape[1])
    width = widest(config.decode, source.shape[1])
    return run(step, carry, limits, keys, width), encoded


@partial(jax.jit, static_argnums=(0,))
def force(model: Seq2Seq, params: Any, batch: Batch) -> Forced:
    """Teacher-forced scores of the targets."""
    inputs = decoder_inputs(batch.target, BOS)
    logits = apply(model, params, batch.source, batch.source_lengths, inputs).logits
    losses = token_losses(logits, batch.target, batch.target_lengths)
    chosen = jnp.argmax(logits, axis=-1) == batch.target
    real = real_tokens(batch.target, batch.target_lengths)
    return Forced(jnp.sum(losses, axis=1), jnp.sum(chosen & real, axis=1))


@jax.jit
def edits(tokens: Array, lengths: Array, target: Array, target_lengths: Array) -> Array:
    """Edit distance between the symbols, EOS left out, [B] int32.

    An unknown symbol in a reference equals nothing, not even an unknown one.
    """
    target = jnp.where(target == UNK, -1, target)
    return metrics.edit_distance(tokens, lengths, target, target_lengths)


def symbol_lengths(hypotheses: Hypotheses) -> Array:
    """Lengths without EOS, [B, N]."""
    ended = jnp.any(hypotheses.tokens == EOS, axis=-1)
    return hypotheses.lengths - ended

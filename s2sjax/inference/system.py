"""Trained models as compiled programs: decoding, forced scores, encoding.

Each is compiled once for a width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax import rng
from s2sjax.config import Config, DecodeConfig
from s2sjax.decoding import similarity
from s2sjax.decoding.base import Request, Rules, log_probs
from s2sjax.decoding.ensemble import COMBINATIONS, ensemble, mean_aux
from s2sjax.decoding.forced import real_tokens, token_losses
from s2sjax.decoding.strategies import decoding
from s2sjax.errors import UsageError
from s2sjax.models.architectures import Model
from s2sjax.models.base import Encoded
from s2sjax.models.labeller import Labeller
from s2sjax.models.padding import cut, cut_step
from s2sjax.models.seq2seq import Seq2Seq, apply, decoder_steps
from s2sjax.types import (
    BOS,
    EOS,
    PAD,
    UNK,
    Batch,
    Carry,
    Hypotheses,
    StepFn,
    StepOutput,
)

# Positions of source and longest output in a batch. One of 256 sources of 400 symbols,
# the longest that a text is trained on unless asked, has 310 thousand.
MOST_POSITIONS = 2**19


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["params", "vocabulary", "seed"],
    meta_fields=["models", "config"],
)
@dataclass(frozen=True)
class System:
    """A model with its parameters, or several that decode together."""

    models: tuple[Model, ...]
    config: Config  # of the first
    params: tuple[Any, ...]  # of each
    vocabulary: Array | None = None  # [] int32, where the models' is padded
    seed: Array | None = None  # [] int32, where it is not the config's

    @classmethod
    def of(cls, model: Model, config: Config, params: Any) -> "System":
        """One model."""
        return cls((model,), config, (params,))

    @property
    def ends(self) -> bool:
        """Whether the end of an output is a token of it."""
        return self.models[0].ends


class Forced(NamedTuple):
    """Teacher-forced scores of each row."""

    log_probs: Array  # [B, T] float32, of the target's tokens; 0 after EOS
    correct: Array  # [B, T] bool, tokens that would have been chosen; False after EOS


class Lengths(NamedTuple):
    """The fewest and the most tokens of an output, EOS counted, for each source."""

    least: list[int]  # of a source of 0, 1, .. S symbols
    most: list[int]


def output_lengths(config: DecodeConfig, source_width: int) -> Lengths:
    """How long outputs may be: a function of their own source, not of the batch.

    Raises:
      UsageError: for some source they must be longer than they may be.
    """
    rules: Rules = decoding(config.strategy).rules
    ratio = config.length_ratio if rules.max_ratio is None else rules.max_ratio
    extra = config.length_extra if rules.max_extra is None else rules.max_extra
    sources = range(source_width + 1)
    most = [_at(ratio, extra, length) for length in sources]
    least = [_at(rules.min_ratio, rules.min_extra, length) for length in sources]
    for length, (few, many) in enumerate(zip(least, most, strict=True)):
        if few > many:
            raise UsageError(
                f"decoding strategy '{config.strategy}': for a source of {length} "
                f"symbols the fewest tokens, {few}, are more than the most, {many}"
            )
    return Lengths(least, most)


def batch_rows(
    config: DecodeConfig, source_width: int, target_width: int, examples: int
) -> int:
    """The rows of a batch: `decode.batch_size`, and fewer of long sequences.

    What a batch takes in time and memory grows with its rows and with its longest
    source and output. Fewer rows are a power of two, and no more than needed.

    >>> ordinary, long = (DecodeConfig(), 60, 61, 40), (DecodeConfig(), 6000, 6001, 40)
    >>> batch_rows(*ordinary), batch_rows(*long)
    (256, 16)
    """
    longest = source_width + max(
        target_width, output_lengths(config, source_width).most[-1]
    )
    if config.batch_size * longest <= MOST_POSITIONS:
        return config.batch_size
    few = 1 << max(examples - 1, 0).bit_length()
    return min(config.batch_size, fitting_rows(longest), few)


def fitting_rows(longest: int) -> int:
    """The rows of so many positions that a batch has room for, a power of two."""
    return 1 << max(MOST_POSITIONS // longest, 1).bit_length() - 1


def _at(ratio: float, extra: int, length: int) -> int:
    # On the host: float32 rounds some products up to the next whole number.
    return int(-(-ratio * length // 1)) + extra


@partial(jax.jit, static_argnames=("per_token", "states", "width"))
def decode(
    system: System,
    source: Array,
    lengths: Array,
    ids: Array,
    *,
    prefixes: Array | None = None,
    banned: Array | None = None,
    required: Array | None = None,
    symbols: Array | None = None,
    width: int = 0,
    per_token: bool = False,
    states: bool = False,
) -> Hypotheses:
    """Decodes a batch by the config's strategy.

    Shapes: source [B, S], lengths [B], ids [B] (which input each row is, the seed of
    its own randomness); `prefixes`, `banned` and `required` are those of
    `decoding.base.Request`. Where `symbols` [B] are given, at most `width`, each output
    is cut after so many, and has no end before. With `per_token`, what the decoder says
    of each token comes along, e.g. attention, and with `states` too the states of the
    first model that the token was written from, `decoder_<layer>_<part>` [B, N, T, D];
    what is not asked for is neither kept nor computed.

    Models without a decoder say all at once: of each place the most probable symbol.
    """
    if not system.ends:
        return _said(system, source, lengths, per_token)
    config = system.config
    seed = config.seed if system.seed is None else system.seed
    step, carry = _decoder(system, source, lengths, states=states)
    tables = output_lengths(config.decode, source.shape[1])
    chosen = decoding(config.decode.strategy)
    least = jnp.asarray(tables.least, jnp.int32)[lengths] if any(tables.least) else None
    most = jnp.asarray(tables.most, jnp.int32)[lengths]
    if symbols is not None:
        least, most = symbols + 1, symbols
    request = Request(
        max(tables.most) if symbols is None else width,
        most,
        rng.per_example(rng.stream(rng.root(seed), "decoding"), ids),
        lengths,
        least,
        prefixes,
        banned,
        required,
        no_repeat=chosen.rules.no_repeat,
    )
    hypotheses = chosen.strategy(step, carry, request)
    aux = {
        name: leaf
        for name, leaf in hypotheses.aux.items()
        if per_token or leaf.ndim == hypotheses.scores.ndim
    }
    return hypotheses._replace(aux=aux)


@jax.jit
def force(system: System, batch: Batch) -> Forced:
    """Teacher-forced scores of the targets."""
    inputs = system.models[0].readout.gold(batch)
    source = batch.source, batch.source_lengths
    if len(system.models) == 1 or not system.ends:
        logits = _at_once(system, *source, inputs).logits
    else:
        step, carry = _decoder(system, *source)
        _, outputs = lax.scan(step, carry, inputs.T)
        logits = outputs.logits.swapaxes(0, 1)
    losses = token_losses(logits, batch.target, batch.target_lengths)
    real = real_tokens(batch.target, batch.target_lengths)
    chosen = jnp.argmax(logits, axis=-1) == batch.target
    return Forced(-losses, chosen & real)


@jax.jit
def encode(system: System, source: Array, lengths: Array) -> Encoded:
    """What the first model's encoder makes of a batch: memory and final states."""
    model, params = system.models[0], system.params[0]
    return apply(model, params, source, lengths, method="encode")


@jax.jit
def code(system: System, encoded: Encoded) -> Array:
    """The bottleneck of the first model, [B, latent]."""
    return apply(system.models[0], system.params[0], encoded, method="code")


@jax.jit
def edits(tokens: Array, lengths: Array, target: Array, target_lengths: Array) -> Array:
    """Edit distance between the symbols, EOS left out, [B] int32.

    An unknown symbol in a reference equals nothing, not even an unknown one.
    """
    target = jnp.where(target == UNK, -1, target)
    return jax.vmap(similarity.edits)(tokens, lengths, target, target_lengths)


def symbol_lengths(hypotheses: Hypotheses) -> Array:
    """Lengths without EOS, [B, N]."""
    ended = jnp.any(hypotheses.tokens == EOS, axis=-1)
    return hypotheses.lengths - ended


def _at_once(
    system: System, source: Array, lengths: Array, inputs: Array
) -> StepOutput:
    """What all models say where all inputs [B, T] are known: logits [B, T, V]."""
    outputs = [
        apply(model, params, source, lengths, inputs)
        for model, params in zip(system.models, system.params, strict=True)
    ]
    parts = [cut(output.logits, system.vocabulary) for output in outputs]
    if len(parts) == 1:
        return outputs[0]._replace(logits=parts[0])
    combine = COMBINATIONS[system.config.decode.ensemble]
    logits = combine(jnp.stack([log_probs(logits) for logits in parts]))
    return StepOutput(logits, mean_aux([output.aux for output in outputs]))


def _said(system: System, source: Array, lengths: Array, per_token: bool) -> Hypotheses:
    """What models without a decoder say, as n-best lists of one."""
    model = system.models[0]
    assert isinstance(model, Labeller)
    width, counts = model.outputs(source.shape[1]), model.outputs(lengths)
    inputs = jnp.full((len(source), max(width, 1)), BOS, jnp.int32)
    output = _at_once(system, source, lengths, inputs)
    within = jnp.arange(inputs.shape[1])[None] < counts[:, None]
    tokens = jnp.where(within, jnp.argmax(output.logits, axis=-1), PAD)
    best = jnp.max(log_probs(output.logits), axis=-1)
    scores = jnp.sum(jnp.where(within, best, 0), axis=1)
    yes = jnp.ones((len(source), 1), bool)
    aux = {name: leaf[:, None] for name, leaf in output.aux.items() if per_token}
    return Hypotheses(
        tokens[:, None].astype(jnp.int32),
        scores[:, None],
        counts[:, None],
        yes,
        ~yes,
        {"logprob": scores[:, None]} | aux,
    )


def _decoder(
    system: System, source: Array, lengths: Array, *, states: bool = False
) -> tuple[StepFn, Carry]:
    """The step function of all models, and its first carry."""
    steps: list[StepFn] = []
    carries = []
    for model, params in zip(system.models, system.params, strict=True):
        assert isinstance(model, Seq2Seq)
        step, carry, _ = decoder_steps(model, params, source, lengths)
        if states and not steps:
            step = _with_states(step, model.cell.names)
        steps.append(cut_step(step, system.vocabulary))
        carries.append(carry)
    combine = COMBINATIONS[system.config.decode.ensemble]
    return ensemble(steps, combine), tuple(carries)


def _with_states(step: StepFn, names: Sequence[str]) -> StepFn:
    """The step, with the states that its logits come from in `aux`."""

    def with_states(carry: Carry, x: Array) -> tuple[Carry, StepOutput]:
        carry, output = step(carry, x)
        states = {
            f"decoder_{layer}_{name}": part
            for layer, state in enumerate(carry.layers)
            for name, part in zip(names, state, strict=True)
        }
        return carry, output._replace(aux=output.aux | states)

    return with_states

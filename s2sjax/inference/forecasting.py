"""Numbers as compiled programs: forecasts of a horizon, and forced likelihoods.

A forecast rolls: each step reads what the last one wrote. So many trajectories are
drawn, or one is written of means or medians, whose last step alone is then uncertain.
Models that do not read what they wrote say all steps in one pass.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import rng, spec
from s2sjax.config import Config
from s2sjax.decoding.strategies import STRATEGIES
from s2sjax.errors import UsageError
from s2sjax.inference.spread import Spread, of_draws, of_raw
from s2sjax.inference.system import System
from s2sjax.models.architectures import Model
from s2sjax.models.readout import Numeric
from s2sjax.models.readout.numeric import OWN, Own
from s2sjax.models.seq2seq import apply, started
from s2sjax.types import Batch


class Rolling(NamedTuple):
    """How a horizon is written."""

    own: Own  # what of a step goes into the next
    draws: int = 0  # trajectories that are drawn; 0: one that is not


def mean() -> Rolling:
    """One trajectory, each step of which reads the mean of the last."""
    return Rolling(OWN["mean"])


def median() -> Rolling:
    """One trajectory, each step of which reads the median of the last."""
    return Rolling(OWN["median"])


def sample(*, n: int = 200) -> Rolling:
    """`n` trajectories, each step of which reads a draw from the last."""
    spec.between("n", n, 2, 10_000)
    return Rolling(OWN["sample"], n)


NUMBER_STRATEGIES: dict[str, Callable[..., Rolling]] = {
    "mean": mean,
    "median": median,
    "sample": sample,
}


def rolling(text: str, readout: Numeric) -> Rolling:
    """What a decoding strategy of numbers is, e.g. `mean` or `sample:n=100`.

    Raises:
      UsageError: an unknown one or argument, one of symbols, or draws from what is no
        distribution.
    """
    name = spec.parse(text).name
    if name in STRATEGIES and name not in NUMBER_STRATEGIES:
        raise UsageError(
            f"decoding strategy '{name}' is of symbols; numbers take mean, median or "
            f"sample:n=200"
        )
    chosen: Rolling = spec.call("decoding strategy", text, NUMBER_STRATEGIES)
    if chosen.draws and "nll" not in readout.output.objectives:
        raise UsageError(
            f"decoding strategy '{text}': model.output={readout.name} is no "
            f"distribution to draw from; use mean or median"
        )
    return chosen


def trajectories(text: str) -> int:
    """How many there are in a forecast by a strategy."""
    chosen: Rolling = spec.call("decoding strategy", text, NUMBER_STRATEGIES)
    return max(chosen.draws, 1)


def check(config: Config, readout: Numeric) -> None:
    """Whether a run of numbers can decode as its config says.

    Raises:
      UsageError: as `rolling`.
    """
    rolling(config.decode.strategy, readout)


def only(system: System) -> tuple[Model, Any, Numeric]:
    """The one model of a system, its parameters, and what it writes.

    Raises:
      UsageError: there are several.
    """
    if len(system.models) > 1:
        raise UsageError("runs that forecast numbers do not decode together; give one")
    (model,), (params,) = system.models, system.params
    readout = model.readout
    assert isinstance(readout, Numeric)
    return model, params, readout


@jax.jit
def forecast(system: System, batch: Batch) -> Spread:
    """What is forecast of the targets of a batch, in their units; [B, T, ...].

    Nothing is read of the targets but where they are; their score is NaN where there
    is none. The draws of an example depend on its id alone.
    """
    model, _, readout = only(system)
    config, given = system.config, batch.given
    seed = config.seed if system.seed is None else system.seed
    keys = rng.per_example(rng.stream(rng.root(seed), "decoding"), batch.ids)
    target = jnp.where(readout.real(batch), batch.target, jnp.nan)
    scale = jnp.broadcast_to(given.scale[:, None], target.shape)
    chosen = rolling(config.decode.strategy, readout)
    unscaled = given.shift[:, None], scale
    score = rng.stream(rng.root(seed), "score")
    if chosen.draws and model.rolls:
        numbers = jnp.arange(chosen.draws)
        _, draws = jax.vmap(lambda number: _roll(system, batch, chosen, keys, number))(
            numbers
        )
        return of_draws(draws, target).unscaled(*unscaled)
    raw, _ = _roll(system, batch, chosen, keys, jnp.int32(0))
    return of_raw(readout.output, raw, target, scale, score).unscaled(*unscaled)


def _roll(
    system: System, batch: Batch, chosen: Rolling, keys: Array, number: Array
) -> tuple[Array, Array]:
    """A trajectory: raw values [B, T, P], and what was written, [B, T, G]."""
    model, params, readout = only(system)
    # Nothing of the target is there, so that the model's own goes in everywhere.
    nothing = batch._replace(target=jnp.full_like(batch.target, jnp.nan))
    rows = dataclasses.replace(readout, gaps=model.rolls).gold(nothing)
    source = batch.source, batch.source_lengths
    scale = batch.given.scale
    time = rows.shape[1]

    def at(key: Array) -> Array:
        return jax.vmap(lambda t: rng.stream(key, "trajectory", number, t))(
            jnp.arange(time)
        )

    drawn = jax.vmap(at)(keys).T  # -> [T, B]

    def written(raw: Array, keys: Array, scale: Array) -> Array:
        return jax.vmap(partial(chosen.own, readout.output))(raw, keys, scale)

    if not model.rolls:
        raw = apply(model, params, *source, rows).logits
    else:
        states, memory, _ = started(model, params, *source)

        def feed(raw: Array, gold: Array, now: Any) -> Array:
            own = written(raw, *now)
            return readout.fed(own, gold, jnp.ones(len(own), bool))

        # What a step reads was drawn with the key of the step before.
        xs = jnp.roll(drawn, 1, axis=0), jnp.broadcast_to(scale, (time, *scale.shape))
        raw = apply(model, params, states, memory, rows, feed, xs, method="free").logits
    own = jax.vmap(written, in_axes=(1, 0, None), out_axes=1)(raw, drawn, scale)
    return raw, own


@jax.jit
def force(system: System, batch: Batch) -> Array:
    """log p of the targets in their own units, [B, T, G] in nats, forced.

    NaN where there is none, or what is written is no distribution. The model's own
    mean stands in for what is missing.
    """
    model, params, readout = only(system)
    real, rows = readout.real(batch), readout.gold(batch)
    if "nll" not in readout.output.objectives:
        return jnp.full(batch.target.shape, jnp.nan)
    source, scale = (batch.source, batch.source_lengths), batch.given.scale
    if not (readout.gaps and model.rolls):
        raw = apply(model, params, *source, jnp.nan_to_num(rows)).logits
    else:
        states, memory, _ = started(model, params, *source)

        def feed(raw: Array, gold: Array, now: Any) -> Array:
            own = readout.output.mean(raw)
            return readout.fed(own, gold, jnp.zeros(len(own), bool))

        raw = apply(model, params, states, memory, rows, feed, method="free").logits
    y = jnp.where(real, batch.target, 0)
    found = readout.output.log_prob(raw, y, scale[:, None])
    return jnp.where(real, found, jnp.nan)

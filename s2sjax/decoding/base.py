"""What a decoding strategy is, and what all of them take."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax import spec
from s2sjax.types import Carry, Hypotheses, StepFn


class Request(NamedTuple):
    """How long each output may be, what must and must not be in it, and its keys.

    What is None is not asked for and costs nothing. Built inside a compiled function:
    `width` and `no_repeat` are plain numbers, the rest are arrays.
    """

    width: int  # T, the largest limit there can be
    limits: Array  # [B] int32, most tokens, EOS counted
    keys: Array  # [B], each input's own
    source_lengths: Array | None = None  # [B] int32, for the coverage penalty
    minimums: Array | None = None  # [B] int32, fewest tokens, EOS counted
    prefixes: Array | None = None  # [B, P] int32, the first tokens, PAD after them
    banned: Array | None = None  # [B, V] bool, tokens that must not be written
    required: Array | None = None  # [B, C, L] int32, phrases to write, PAD after each
    no_repeat: int = 0  # no n-gram of this order is written twice; 0: any may be


class Scores(NamedTuple):
    """What a search sees of one step."""

    log_probs: Array  # [B, V] float32, -inf where a token must not follow
    aux: dict[str, Array]  # the step's own, leading axis B


ScoreFn = Callable[[Carry, Array], tuple[Carry, Scores]]
"""`score(carry, token) -> (carry, Scores)`: token [B] int32."""


def log_probs(logits: Array) -> Array:
    """log softmax in float32 over the last axis.

    A token with logit -inf keeps -inf, also where all are: there is no NaN that was
    not in the logits. One NaN makes all of its distribution NaN, so that whichever
    token a search takes, the score shows it.

    >>> import jax.numpy as jnp
    >>> bool(jnp.isnan(log_probs(jnp.array([-jnp.inf, jnp.nan, 0.0]))).all())
    True
    """
    logits = logits.astype(jnp.float32)
    # A compiler may take a maximum past a NaN; comparisons with it are defined.
    nothing = jnp.all(logits == -jnp.inf, axis=-1, keepdims=True)
    spoilt = jnp.any(jnp.isnan(logits), axis=-1, keepdims=True)
    normalised = jnp.where(nothing, -jnp.inf, jax.nn.log_softmax(logits))
    return jnp.where(spoilt, jnp.nan, normalised)


def only(allowed: Array, log_probs: Array) -> Array:
    """Log-probabilities where `allowed`, -inf elsewhere. A NaN stays: no mask hides it.

    >>> import jax.numpy as jnp
    >>> only(jnp.array([False, True]), jnp.array([jnp.nan, 0.0])).tolist()
    [nan, 0.0]
    """
    return jnp.where(allowed | jnp.isnan(log_probs), log_probs, -jnp.inf)


def scorer(step: StepFn) -> ScoreFn:
    """The model's own log-probabilities.

    What constrains a search masks these and does not normalise them again, so that
    the sum over a hypothesis is its log-probability under the model.
    """

    def score(carry: Carry, token: Array) -> tuple[Carry, Scores]:
        carry, output = step(carry, token)
        return carry, Scores(log_probs(output.logits), output.aux)

    return score


def spread(carry: Carry, count: int) -> Carry:
    """The same carry in every slot: [B, ...] -> [B, K, ...]."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf[:, None], count, axis=1), carry)


def slotwise(score: ScoreFn) -> ScoreFn:
    """`score` of all slots: tokens and carry [B, K, ...].

    What the step closes over, the encoded source, is not copied for each slot.
    """
    return jax.vmap(score, in_axes=1, out_axes=1)


def pick(leaf: Array, slots: Array) -> Array:
    """`leaf` [B, K, ...] at each row's slots [B, N] -> [B, N, ...]."""
    return jax.vmap(lambda row, chosen: row[chosen])(leaf, slots)


def pick_all(tree: Any, slots: Array) -> Any:
    """`pick` for every leaf: hypotheses move to other slots with all they carry."""
    return jax.tree.map(lambda leaf: pick(leaf, slots), tree)


State = TypeVar("State")

Driver = Callable[
    [Callable[[State], State], Callable[[State], Array], State, int], State
]
"""`drive(extend, unfinished, first, most)`: the state after at most `most` steps."""


def until_done(
    extend: Callable[[State], State],
    unfinished: Callable[[State], Array],
    first: State,
    most: int,
) -> State:
    """Ends with the last unfinished input. `unfinished(state)` must say no by then.

    `extend` changes nothing that is returned of a finished one, so that this and
    `every_step` agree.
    """
    return lax.while_loop(unfinished, extend, first)


def every_step(
    extend: Callable[[State], State],
    unfinished: Callable[[State], Array],
    first: State,
    most: int,
) -> State:
    """Always `most` steps: under `vmap` or a gradient as cheap as the other."""
    last, _ = lax.scan(lambda state, _: (extend(state), None), first, None, most)
    return last


LARGEST_SIZE = 10**6  # of what is held or returned, and tokens of an output
Strategy = Callable[[StepFn, Carry, Request], Hypotheses]
"""`strategy(step, carry, request)`: the hypotheses of every row of the carry."""


@dataclass(frozen=True)
class Rules:
    """What every strategy takes besides its own arguments.

    An output has at least `min_ratio * source length + min_extra` tokens and at most
    `max_ratio * source length + max_extra`, EOS counted, both rounded up; what is not
    given of the maximum is the config's `decode.length_ratio` and
    `decode.length_extra`. No n-gram of the order `no_repeat` stands in it twice.
    """

    min_ratio: float = 0.0
    min_extra: int = 0
    max_ratio: float | None = None
    max_extra: int | None = None
    no_repeat: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                spec.between(field.name, value, *_POSSIBLE[field.name])


_POSSIBLE = {
    "min_ratio": (0, 1000),
    "min_extra": (0, LARGEST_SIZE),
    "max_ratio": (0, 1000),
    "max_extra": (1, LARGEST_SIZE),
    "no_repeat": (0, LARGEST_SIZE),
}


class Decoding(NamedTuple):
    """What a spec names."""

    strategy: Strategy
    rules: Rules


def seeded(strategy: Strategy, seed: int | None) -> Strategy:
    """The strategy with keys of its own, where a seed is given."""
    if seed is None:
        return strategy
    spec.between("seed", seed, 0, spec.LARGEST)

    def with_seed(step: StepFn, carry: Carry, request: Request) -> Hypotheses:
        keys = jax.vmap(jax.random.fold_in, (0, None))(request.keys, seed)
        return strategy(step, carry, request._replace(keys=keys))

    return with_seed

"""The contracts of decoding: what a strategy is given, and what it builds on.

A strategy is `strategy(step, carry, request) -> Hypotheses`: a function of any decoder
step (`s2sjax.types.StepFn`), its first carry and what is asked of the outputs. It knows
no model. This page has, in the order in which a search meets them,

    Request     how long outputs may be, their keys and constraints
    accept      the door: an int becomes a request, a step that breaks the contract
                is refused
    Scores      what a search sees of one step, log-probabilities, and their NaN
    slots       K hypotheses of a row at once: the carry [B, K, ...]
    Rules       what every strategy takes besides its own arguments
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from s2sjax import spec
from s2sjax.errors import UsageError
from s2sjax.types import EOS, Carry, Hypotheses, StepFn, StepOutput

LARGEST_SIZE = 10**6  # of what is held or returned, and tokens of an output


class Request(NamedTuple):
    """How long each output may be, its keys, and the constraints on it.

    A constraint that is None costs nothing. `width` and `no_repeat` are plain numbers,
    so that a request may be built of traced arrays inside a compiled function.
    """

    width: int  # T, the largest limit there can be
    limits: Array  # [B] int32, most tokens, EOS counted; 0: nothing may be written
    keys: Array | None = None  # [B], each input's own; for what draws at random
    source_lengths: Array | None = None  # [B] int32, for the coverage penalty
    minimums: Array | None = None  # [B] int32, fewest tokens, EOS counted
    prefixes: Array | None = None  # [B, P] int32, the first tokens, PAD after them
    banned: Array | None = None  # [B, V] bool, tokens that must not be written
    required: Array | None = None  # [B, C, L] int32, phrases to write, PAD after each
    no_repeat: int = 0  # no n-gram of this order is written twice; 0: any may be


Limit = int | Array | Request
"""The most tokens of an output, EOS counted: one number, or [B]; or a whole request."""

Strategy = Callable[[StepFn, Carry, Request], Hypotheses]
"""`strategy(step, carry, request)`: the hypotheses of every row of the carry."""


def accept(
    step: StepFn, carry: Carry, limit: Limit, key: Array | None = None
) -> tuple[StepFn, Request]:
    """What a strategy was handed, checked: every strategy begins with this.

    Args:
      step: the decoder.
      carry: its first carry.
      limit: see `Limit`. An array must be known when the program is traced, since the
        largest limit is a shape; inside a compiled function build a `Request`.
      key: of all rows; each has `fold_in(key, row)`. A request has keys of its own.

    Returns:
      The step, which checks what it returns wherever it is traced, and the request.

    Raises:
      UsageError: a limit below 1, or a carry without the leading axis B of the limits.
        Later, by the step: it does not return what `StepFn` says.
    """
    if isinstance(limit, Request):
        request = limit
        spec.between("width", request.width, 1, LARGEST_SIZE)
    else:
        request = _request(carry, limit)
    batch = request.limits.shape[0]
    for path, leaf in jax.tree_util.tree_leaves_with_path(carry):
        if jnp.shape(leaf)[:1] != (batch,):
            raise UsageError(
                f"Carry: carry{jax.tree_util.keystr(path)} is {described(leaf)}; every "
                f"array of a carry has the leading axis B, here {batch}"
            )
    if key is not None:
        rows = jnp.arange(batch)
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, rows)
        request = request._replace(keys=keys)
    return checked(step), request


def _request(carry: Carry, limit: int | Array) -> Request:
    """A request of nothing but limits."""
    if isinstance(limit, jax.core.Tracer):
        raise UsageError(
            "limit is traced, and the largest limit is a shape; give an int, or a "
            "Request with its width"
        )
    limits = np.asarray(limit)
    if limits.ndim > 1 or not limits.size or limits.dtype.kind not in "iu":
        raise UsageError(f"limit is {described(limit)}, not an int or int32[B]")
    width = int(limits.max())
    for value in (int(limits.min()), width):
        spec.between("limit", value, 1, LARGEST_SIZE)
    if not limits.ndim:
        sizes = [jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(carry)]
        if () in sizes or not sizes:  # the number of rows is nowhere else
            raise UsageError(
                f"Carry: {described(carry)} has no leading axis B; give each row's "
                "limit, int32[B]"
            )
        limits = np.broadcast_to(limits, sizes[0])
    return Request(width, jnp.asarray(limits, jnp.int32))


def checked(step: StepFn) -> StepFn:
    """The step, which refuses to return what `StepFn` does not allow."""

    def checked_step(carry: Carry, x: Array) -> tuple[Carry, StepOutput]:
        returned = step(carry, x)
        problem = _problem(returned, carry, len(x))
        if problem:
            raise UsageError(f"step(carry, x) -> (Carry, StepOutput): {problem}")
        return returned

    return checked_step


def _problem(returned: Any, before: Carry, batch: int) -> str:
    """What is wrong with what a step returned, or nothing."""
    is_pair = isinstance(returned, tuple) and len(returned) == 2
    if not is_pair or not isinstance(returned[1], StepOutput):
        return (
            f"a carry and a StepOutput(logits, aux) wanted, {described(returned)} came"
        )
    after, (logits, aux) = returned
    if described(before) != described(after):
        return f"the Carry {described(before)} came back as {described(after)}"
    shape = jnp.shape(logits)
    fits = len(shape) == 2 and shape[0] == batch and shape[1] > EOS
    if not fits or not jnp.issubdtype(jnp.result_type(logits), jnp.floating):
        wanted = f"float[{batch}, V], V > {EOS},"
        return f"StepOutput.logits: {wanted} wanted, {described(logits)} came"
    if not isinstance(aux, dict):
        return f"StepOutput.aux: a dict of arrays wanted, {described(aux)} came"
    for name, leaf in aux.items():
        if jnp.shape(leaf)[:1] != (batch,):
            return (
                f"StepOutput.aux[{name!r}]: the leading axis {batch} wanted, "
                f"{described(leaf)} came"
            )
    return ""


def described(tree: Any) -> str:
    """A tree with the type and shape of each array, e.g. `(float32[2, 7], {})`."""

    def shown(leaf: Any) -> str:
        try:
            return f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}"
        except TypeError:
            return type(leaf).__name__

    return str(jax.tree.map(shown, tree)).replace("'", "")


class Scores(NamedTuple):
    """What a search sees of one step."""

    log_probs: Array  # [B, V] float32, -inf where a token must not follow
    aux: dict[str, Array]  # the step's own, leading axis B


ScoreFn = Callable[[Carry, Array], tuple[Carry, Scores]]
"""`score(carry, token) -> (carry, Scores)`: token [B] int32. `constraints.constrained`
makes it of a step: the model's own log-probabilities, some of them ruled out. They are
not normalised again, so that the sum over a hypothesis is its log-probability under the
model."""


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
    # A compiler may take the maximum past a NaN; the sum has it whatever that does.
    largest = jnp.max(logits, axis=-1, keepdims=True)
    shifted = logits - jnp.where(largest == -jnp.inf, 0, largest)
    total = jnp.sum(jnp.exp(shifted), axis=-1, keepdims=True)
    return shifted - jnp.log(jnp.where(total == 0, 1, total))


def only(allowed: Array, log_probs: Array) -> Array:
    """Log-probabilities where `allowed`, -inf elsewhere. A NaN stays: no mask hides it.

    >>> import jax.numpy as jnp
    >>> only(jnp.array([False, True]), jnp.array([jnp.nan, 0.0])).tolist()
    [nan, 0.0]
    """
    return jnp.where(allowed | jnp.isnan(log_probs), log_probs, -jnp.inf)


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


@dataclass(frozen=True)
class Rules:
    """What every strategy takes in its spec besides its own arguments.

    An output has at least `min_ratio * source length + min_extra` tokens and at most
    `max_ratio * source length + max_extra`, EOS counted, both rounded up; what is not
    given of the maximum is the config's `decode.length_ratio` and
    `decode.length_extra`. No n-gram of the order `no_repeat` stands in it twice.

    Raises:
      UsageError: a number outside its range.
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
                least = 1 if field.name == "max_extra" else 0
                most = 1000 if field.name.endswith("ratio") else LARGEST_SIZE
                spec.between(field.name, value, least, most)

"""Objectives: a loss for each target token, whose mean training minimises.

An objective is a function of what the decoder said and of the examples, `nll` the usual
one; a new one is a file here and a line in `OBJECTIVES`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import spec
from s2sjax.decoding.forced import real_tokens
from s2sjax.errors import UsageError
from s2sjax.training.objectives.likelihood import label_smoothing, likelihood
from s2sjax.types import EOS, Batch, StepOutput, described

Objective = Callable[[StepOutput, Batch], Array]
"""`objective(output, batch) -> losses`: in nats for each token of the target, [B, T].

`output` holds what the decoder said at every step: logits [B, T, V], with -inf where a
token can never be emitted, and aux, such as attention [B, T, S]. The step sums the
losses of real tokens, each times what it counts (see `weights`), and divides by the sum
of what they count. Beyond a row's length the target is
EOS, and what is returned there does not count. Gradients pass through `output`, and
must be finite."""

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "nll": likelihood,
    "label_smoothing": label_smoothing,
}


def objective(text: str) -> Objective:
    """The objective of a spec, tried on a few tokens.

    Raises:
      UsageError: an unknown one or argument, or one that does not return losses.
    """
    chosen: Objective = spec.call("train.objective", text, OBJECTIVES)
    rows = jnp.ones(2, jnp.int32)
    tokens = jnp.full((2, 3), EOS)
    output = StepOutput(jnp.zeros((2, 3, 7)), {"attention": jnp.ones((2, 3, 3)) / 3})
    batch = Batch(tokens, rows, tokens, rows, rows, rows * 1.0)
    spec.tried(
        "train.objective",
        text,
        lambda: jax.eval_shape(lambda: losses(chosen, output, batch)),
    )
    return chosen


def losses(objective: Objective, output: StepOutput, batch: Batch) -> Array:
    """What an objective makes of a batch, [B, T]; 0 beyond a row's length.

    Raises:
      UsageError: it returned something else.
    """
    real, shape = real_tokens(batch.target, batch.target_lengths), batch.target.shape
    # PAD has no probability, and its gradient is not finite though it does not count.
    per_token = objective(
        output, batch._replace(target=jnp.where(real, batch.target, EOS))
    )
    is_float = isinstance(per_token, Array) and jnp.issubdtype(
        per_token.dtype, jnp.floating
    )
    if not is_float or per_token.shape != shape:
        name = getattr(objective, "__name__", objective)
        raise UsageError(
            f"train.objective: {name} returned {described(per_token)}; wanted "
            f"a loss for each target token, float{list(shape)}"
        )
    return jnp.where(real, per_token, 0.0)

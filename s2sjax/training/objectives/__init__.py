"""Objectives: a loss for each target token or number, whose mean training minimises.

An objective is a function of what the decoder said and of the examples, `nll` the usual
one; a new one is a file here and a line in `OBJECTIVES`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import spec
from s2sjax.errors import UsageError
from s2sjax.models.readout import SYMBOLIC, Numeric, Readout
from s2sjax.training.objectives.likelihood import label_smoothing, likelihood
from s2sjax.training.objectives.numbers import NUMBER_OBJECTIVES, OfNumbers
from s2sjax.types import EOS, Batch, Given, StepOutput, described

Objective = Callable[[StepOutput, Batch], Array]
"""`objective(output, batch) -> losses`: of each token of the target, [B, T] in nats, or
of each number, [B, T, G].

`output` holds what the decoder said at every step: logits [B, T, V], with -inf where a
token can never be emitted, and aux, such as attention [B, T, S]. The step sums the
losses of real tokens, each times what it counts (see `weights`), and divides by the sum
of what they count. Beyond a row's length the target is
EOS, or 0, as where a number is missing, and what is returned there does not count. Of
numbers `output.logits` are the raw values of their kind, [B, T, P]. Gradients pass
through `output`, and must be finite."""

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "nll": likelihood,
    "label_smoothing": label_smoothing,
}


def objective(text: str, readout: Readout = SYMBOLIC) -> Objective:
    """The objective of a spec, tried on a few tokens or numbers.

    Raises:
      UsageError: an unknown one or argument, one that does not return losses, or that
        what is written has not.
    """
    rows, tokens = jnp.ones(2, jnp.int32), jnp.full((2, 3), EOS)
    aux = {"attention": jnp.ones((2, 3, 3)) / 3}
    output = StepOutput(jnp.zeros((2, 3, readout.size)), aux)
    batch = Batch(tokens, rows, tokens, rows, rows, rows * 1.0)
    if isinstance(readout, Numeric):
        chosen = _of_numbers(text, readout)
        some = jnp.ones((2, readout.numbers))
        steps = jnp.ones((2, 3, readout.numbers))
        given = Given(some, steps[..., :0], some, some)
        batch = batch._replace(target=steps, given=given)
    else:
        chosen = spec.call("train.objective", text, OBJECTIVES)
    spec.tried(
        "train.objective",
        text,
        lambda: jax.eval_shape(lambda: losses(chosen, readout, output, batch)),
    )
    return chosen


def _of_numbers(text: str, readout: Numeric) -> Objective:
    chosen = spec.parse(text)
    if chosen.file:
        own: Objective = spec.call("train.objective", text, {})
        return own
    takes = readout.output.objectives
    if chosen.name in NUMBER_OBJECTIVES and chosen.name not in takes:
        raise UsageError(
            f"train.objective={text} does not train model.output={readout.name}, "
            f"which takes {' or '.join(takes)}"
        )
    loss = spec.call("train.objective", text, NUMBER_OBJECTIVES)
    return OfNumbers(loss, readout.output)


def losses(
    objective: Objective, readout: Readout, output: StepOutput, batch: Batch
) -> Array:
    """What an objective makes of a batch, in the shape of its targets; 0 where they
    have nothing.

    Raises:
      UsageError: it returned something else.
    """
    real, shape = readout.real(batch), batch.target.shape
    # PAD has no probability, and its gradient is not finite though it does not count.
    per_token = objective(
        output, batch._replace(target=jnp.where(real, batch.target, readout.filler))
    )
    is_float = isinstance(per_token, Array) and jnp.issubdtype(
        per_token.dtype, jnp.floating
    )
    if not is_float or per_token.shape != shape:
        name = getattr(objective, "__name__", objective)
        raise UsageError(
            f"train.objective: {name} returned {described(per_token)}; wanted "
            f"a loss for each token or number of the target, float{list(shape)}"
        )
    return jnp.where(real, per_token, 0.0)

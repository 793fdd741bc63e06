"""Greedy decoding: the most probable token at every step."""

import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.driver import Driver, until_done
from s2sjax.decoding.request import Request
from s2sjax.decoding.trace import follow
from s2sjax.types import Carry, Hypotheses, StepFn


def greedy(
    step: StepFn, carry: Carry, request: Request, drive: Driver = until_done
) -> Hypotheses:
    """y_t = argmax p(y | y_1 .. y_{t-1}), until EOS or the row's own limit.

    Of equally probable tokens the one with the smallest id is taken.

    Args:
      step: the decoder.
      carry: its first carry.
      request: what is asked of each output.
      drive: how the steps are driven.

    Returns:
      One hypothesis for each row, [B, 1, T]; its score is its log-probability.
    """

    def most_probable(log_probs: Array, time: Array) -> tuple[Array, Array]:
        return jnp.argmax(log_probs, axis=-1), jnp.max(log_probs, axis=-1)

    return follow(step, carry, request, 1, most_probable, drive).hypotheses()

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
        # The first of the best ones: on a CPU two plain reductions take less time than
        # one that carries a place along.
        best = jnp.max(log_probs, axis=-1)
        places = jnp.arange(log_probs.shape[-1])[None]
        among = jnp.where(log_probs == best[:, None], places, places[:, -1:])
        return jnp.min(among, axis=-1), best

    return follow(step, carry, request, 1, most_probable, drive).hypotheses()

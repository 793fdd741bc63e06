"""Ancestral sampling, from the model's distribution or a filtered one."""

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.driver import Driver, until_done
from s2sjax.decoding.filters import Filters
from s2sjax.decoding.request import Request
from s2sjax.decoding.scoring import log_probs as normalised
from s2sjax.decoding.trace import follow
from s2sjax.types import Carry, Hypotheses, StepFn


def sample(
    step: StepFn,
    carry: Carry,
    request: Request,
    count: int = 1,
    filters: Filters = Filters(),  # noqa: B008 (frozen)
    drive: Driver = until_done,
) -> Hypotheses:
    """Draws y_t ~ q(y | y_1 .. y_{t-1}), `count` times for each row.

    q is p under the filters, normalised again. A draw is a function of the row's key,
    its number among the row's samples and the step: not of the batch, the limit or
    how many samples there are. Drawn as argmax(log q + Gumbel noise) (Gumbel 1954).

    Args:
      step: the decoder.
      carry: its first carry.
      request: what is asked of each output.
      count: samples for each row, N.
      filters: what tokens are drawn from.
      drive: how the steps are driven.

    Returns:
      The samples as drawn, [B, N, T]: not sorted, and the same one may come twice.
      Scores are log q, `aux["logprob"]` is log p.
    """
    numbers = jnp.arange(count)
    keys = jax.vmap(lambda key: jax.vmap(jax.random.fold_in, (None, 0))(key, numbers))(
        request.keys
    )  # -> [B, N]

    def draw(key: Array, time: Array, log_probs: Array) -> tuple[Array, Array]:
        filtered = filters(normalised(log_probs))  # a constraint may have masked some
        noise = jax.random.gumbel(jax.random.fold_in(key, time), filtered.shape)
        token = jnp.argmax(filtered + noise)
        return token, filtered[token]

    def drawn(log_probs: Array, time: Array) -> tuple[Array, Array]:
        of_row = jax.vmap(draw, in_axes=(0, None, 0))
        return jax.vmap(of_row, in_axes=(0, None, 0))(keys, time, log_probs)

    return follow(step, carry, request, count, drawn, drive).hypotheses()

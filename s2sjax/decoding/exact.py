"""Exact search: the best hypotheses there are, or how far off they may be."""

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax.decoding.beam import beam
from s2sjax.decoding.best_first import best_first
from s2sjax.decoding.driver import Driver, until_done
from s2sjax.decoding.n_best import n_best
from s2sjax.decoding.normaliser import Normaliser
from s2sjax.decoding.request import Request
from s2sjax.decoding.trace import follow
from s2sjax.types import Carry, Hypotheses, StepFn


def exact(
    step: StepFn,
    carry: Carry,
    request: Request,
    count: int = 1,
    normaliser: Normaliser = Normaliser(),  # noqa: B008 (frozen)
    budget: int = 1000,
    capacity: int = 1000,
    size: int = 8,
    drive: Driver = until_done,
) -> Hypotheses:
    """The `count` best hypotheses by best-first search (Stahlberg and Byrne 2019).

    A node is a prefix y of n tokens, and its bound is the most that a hypothesis that
    begins with it can score: log p(y) over the largest divisor of the lengths that it
    can still end with, n + 1 to the limit, for alpha of either sign
    (`Normaliser.bound`). The nodes of the best bounds are expanded first, `size` of
    them at once. A beam goes before and gives hypotheses to beat; a node that cannot
    beat the `count`-th best known is forgotten. Where no node is left, what is known
    is the truth, to the rounding of float32.

    The budget can end first, and the frontier can overflow. Then the best hypotheses
    known are returned, never worse than the beam's, with a bound on what they lack.

    Cost: a step of `size` hypotheses for every `size` expansions, of which it takes as
    many as there are prefixes whose bound is above the score of the last hypothesis
    returned; sorting the frontier is the rest of the time, and grows with `capacity`.
    Memory for each input: `budget` carries and 8 bytes each, and 20 bytes for each
    node of `capacity`. A capacity of `budget` is never a limit to the search.

    It is affordable where the model is sure and alpha is not positive. Inputs proved,
    of 16, by a random recurrent model of 27 symbols, limit 20, one hypothesis, by the
    mean probability of greedy decoding's tokens:

                 alpha 0                 alpha 1
        budget   250    1000   4000      250    1000   4000
        0.51       8      14     16        0       0      0
        0.88      11      15     16        6       8     13
        0.97      12      16     16        7      13     16

    Args:
      step: the decoder.
      carry: its first carry.
      request: what is asked of each output.
      count: hypotheses returned, N.
      normaliser: what scores are divided by.
      budget: expansions for each row, rounded up to a multiple of `size`.
      capacity: nodes that the frontier holds for each row, at least `size`.
      size: nodes expanded at once, and the size of the beam, unless N is larger.
      drive: how the steps are driven.

    Returns:
      An n-best list [B, N, T], unique and best first; a row without a complete
      hypothesis gives the beam's best live prefix, flagged `truncated`. In `aux`:
      `logprob`; `bound` [B, N], the most that the true k-th best complete hypothesis
      can score; `proved` [B, N] bool, whether the k-th is that one, or, where there is
      no complete one, whether there can be none.

    Raises:
      ValueError: the frontier cannot hold what is expanded at once.
    """
    if capacity < size:
        raise ValueError(f"capacity={capacity} is less than size={size}")
    known = beam(step, carry, request, max(size, count), count, normaliser, drive=drive)
    complete = known.valid & ~known.truncated
    to_beat = jnp.where(complete, known.scores, -jnp.inf)[:, -1]
    search = best_first(
        *(step, carry, request, to_beat, count, normaliser),
        *(budget, capacity, size, drive),
    )
    found = Hypotheses(
        search.tree.spell(search.complete, request.width),
        search.complete.scores,
        search.complete.lengths,
        search.complete.exist(),
        jnp.zeros_like(complete),
        {"logprob": search.complete.log_probs},
    )
    known = known._replace(aux={"logprob": known.aux["logprob"]})
    both = jax.tree.map(lambda *two: jnp.concatenate(two, axis=1), found, known)
    best = n_best(both, both.scores, count)
    scores = jnp.where(best.truncated, -jnp.inf, best.scores)
    bound = jnp.maximum(scores, search.frontier.bound()[:, None])
    certificate = {"bound": bound, "proved": bound <= scores}
    aux = _seen(step, carry, request, best.tokens, drive)
    return best._replace(aux=aux | best.aux | certificate)


def _seen(
    step: StepFn, carry: Carry, request: Request, tokens: Array, drive: Driver
) -> dict[str, Array]:
    """What the step says along known outputs [B, N, T]: each [B, N, T, ...].

    One more pass over what is returned costs less than keeping it of every node.
    """

    def given(log_probs: Array, time: Array) -> tuple[Array, Array]:
        return tokens[:, :, time], jnp.zeros(tokens.shape[:2])

    return follow(step, carry, request, tokens.shape[1], given, drive).aux

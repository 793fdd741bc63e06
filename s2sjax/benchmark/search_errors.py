"""Search errors: where a strategy's output scores less than the best one known."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from s2sjax.benchmark.outputs import Outputs
from s2sjax.decoding.goals import TOLERANCE, Goal
from s2sjax.decoding.scores import Normaliser


class Best(NamedTuple):
    """The best complete hypotheses known of all E examples."""

    scores: np.ndarray  # [E], -inf where none is known
    proved: np.ndarray | None  # [E] bool, whether there is no better one; None: unknown


def best_known(goal: Goal, pool: Sequence[tuple[Goal | None, Outputs]]) -> Best:
    """The best that any strategy with the same rules found, by this goal's normaliser.

    Only a search for the very same goal can prove that there is nothing better.
    """
    scores, proved = None, None
    for aim, outputs in pool:
        if aim is None or aim.rules != goal.rules:
            continue
        every = np.where(
            outputs.valid & ~outputs.truncated,
            scored(outputs, goal.normaliser),
            -np.inf,
        ).max(axis=1)
        scores = every if scores is None else np.maximum(scores, every)
        if aim == goal and outputs.proved is not None:
            certain = outputs.proved[:, 0]
            proved = certain if proved is None else proved | certain
    assert scores is not None, "a strategy's own outputs are in the pool"
    return Best(scores, proved)


def scored(outputs: Outputs, normaliser: Normaliser) -> np.ndarray:
    """The normalised log-probabilities of all hypotheses, [E, N]."""
    divisors = normaliser.divisors(int(outputs.lengths.max(initial=0)))
    return outputs.log_probs / divisors[outputs.lengths]


def search_errors(goal: Goal, outputs: Outputs, best: Best) -> np.ndarray:
    """Whose returned hypothesis scores less than the best known, [E] bool.

    One that was cut at its limit is an error wherever a complete one is known.
    """
    own = scored(outputs, goal.normaliser)[:, 0]
    known = best.scores != -np.inf
    return known & (outputs.truncated[:, 0] | (own < best.scores - TOLERANCE))

"""Search errors: where a strategy's output scores less than the best one known."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from s2sjax import spec
from s2sjax.benchmark.outputs import Outputs
from s2sjax.decoding.base import Rules
from s2sjax.decoding.scores import KINDS, Normaliser
from s2sjax.decoding.strategies import decoding

TOLERANCE = 1e-4  # of scores: less than that is rounding, not searching


class Goal(NamedTuple):
    """What a strategy looks for: the best score under the rules."""

    normaliser: Normaliser
    rules: Rules

    def of(self, reference: str) -> str:
        """The spec of another strategy with this goal.

        >>> Goal(Normaliser("average", 0.6), Rules(no_repeat=2)).of("exact:budget=50")
        'exact:budget=50,normaliser=average,alpha=0.6,no_repeat=2'
        """
        parsed = spec.parse(reference)
        usual = vars(Rules())
        kept, _ = parsed.split({"normaliser", "alpha", *usual})
        own: dict[str, Any] = {}
        if self.normaliser != Normaliser():
            own = vars(self.normaliser)
        own = {"normaliser" if name == "kind" else name: own[name] for name in own}
        own |= {
            name: value
            for name, value in vars(self.rules).items()
            if value != usual[name]
        }
        return str(spec.Spec(kept.name, (*kept.arguments, *own.items())))


def goal(strategy: str) -> Goal | None:
    """The goal of a strategy, or None where it adds up more than log-probabilities.

    What has no normaliser is held to the log-probability.

    >>> goal("beam:size=5,alpha=1.0").normaliser
    Normaliser(kind='average', alpha=1.0)
    >>> goal("beam:coverage=0.2") is None
    True
    """
    parsed = spec.parse(strategy)
    given = dict(parsed.arguments)
    if parsed.name == "rerank":
        given["normaliser"] = given.get("by", "average")
    kind = given.get("normaliser")
    if given.get("coverage") or kind == "length":
        return None
    kind = kind if kind in KINDS else None
    return Goal(Normaliser.named(kind, given.get("alpha")), decoding(strategy).rules)


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

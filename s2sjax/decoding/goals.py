"""What a search looks for: the best score, by its normaliser and under its rules."""

from typing import Any, NamedTuple

from s2sjax import spec
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

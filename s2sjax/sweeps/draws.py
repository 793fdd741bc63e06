"""Random trials: distributions of single fields, and draws from them with a seed."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s2sjax.errors import UsageError
from s2sjax.sweeps.algebra import Overrides


@dataclass(frozen=True)
class Distribution:
    """What a field may be: a range, even or even in its logarithm, or some values."""

    low: float = 0.0
    high: float = 0.0  # itself possible
    log: bool = False
    values: tuple[Any, ...] = ()  # where not empty, one of these and no range

    @property
    def whole(self) -> bool:
        """Whether it gives whole numbers: both ends of the range are."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, source: random.Random) -> Any:
        """One value."""
        if self.values:
            return source.choice(self.values)
        if self.whole and not self.log:
            return source.randint(int(self.low), int(self.high))
        if not self.log:
            return source.uniform(self.low, self.high)
        # Half a unit on each side gives a whole number at an end its full share.
        reach = 0.5 if self.whole else 0.0
        ends = math.log(self.low - reach), math.log(self.high + reach)
        value = math.exp(source.uniform(*ends))
        value = round(value) if self.whole else value
        return min(max(value, self.low), self.high)


def uniform(low: float, high: float) -> Distribution:
    """Evenly from `low` to `high`; two whole numbers give whole numbers.

    Raises:
      UsageError: the ends are not in order.
    """
    return _range("uniform", low, high, log=False)


def log_uniform(low: float, high: float) -> Distribution:
    """As `uniform`, evenly in the logarithm: each factor of ten as often as the next.

    Raises:
      UsageError: the ends are not in order, or not above 0.
    """
    return _range("log_uniform", low, high, log=True)


def choice(*values: Any) -> Distribution:
    """One of some values, each as often.

    Raises:
      UsageError: there are none.
    """
    if not values:
        raise UsageError("choice() is empty; it takes one value or more")
    return Distribution(values=values)


def draws(
    count: int, space: Mapping[str, Distribution], *, seed: int = 0
) -> list[Overrides]:
    """Independent draws from a space of fields.

    A field's values depend on its name, `seed` and the number of the draw alone:
    more draws only add trials, and another field changes none of these.

    Raises:
      UsageError: a field without a distribution.

    >>> space = {"train.learning_rate": log_uniform(1e-4, 1e-1)}
    >>> draws(3, space)[:2] == draws(2, space)
    True
    """
    columns = {}
    for name, distribution in space.items():
        if not isinstance(distribution, Distribution):
            raise UsageError(
                f"draws: {name}={distribution!r} is not uniform(...), "
                "log_uniform(...) or choice(...)"
            )
        source = random.Random(f"{seed}/{name}")
        columns[name] = [distribution.draw(source) for _ in range(count)]
    return [{name: column[i] for name, column in columns.items()} for i in range(count)]


def _range(what: str, low: float, high: float, *, log: bool) -> Distribution:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise UsageError(f"{what}({low}, {high}): it takes the lower end first")
    if log and low <= 0:
        raise UsageError(f"{what}({low}, {high}): a logarithm needs ends above 0")
    return Distribution(low, high, log)

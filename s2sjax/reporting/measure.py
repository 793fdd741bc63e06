"""The metrics of a sweep: their labels and units, and which end is better."""

import dataclasses
import math

from s2sjax.metrics import metric

# As the names of metrics of a sweep begin, and as people call the split.
SPLITS = {"valid": "validation", "test": "test"}


@dataclasses.dataclass(frozen=True)
class Measure:
    """A metric as people read it.

    Attributes:
      share: whether it is a share of 1, shown in percent.
      lower: whether less is better.
      most: its largest value, where its least is 0; None: it may be any number.
      split: of which it is, one of `SPLITS`; empty where that is told elsewhere.
    """

    name: str
    label: str
    share: bool
    lower: bool
    most: float | None = None
    split: str = ""

    @property
    def quantity(self) -> str:
        """The name without the split.

        >>> measure("valid_exact").quantity, measure("exact").quantity
        ('exact', 'exact')
        """
        return self.name.removeprefix(f"{self.split}_") if self.split else self.name

    def text(self, value: float, decimals: int = 0) -> str:
        """A value in few characters; only 1 is 100 %, and only 0 is 0 %.

        Args:
          decimals: of percents.

        >>> exact, nll = measure("exact"), measure("nll")
        >>> exact.text(0.98), exact.text(0.9996), exact.text(1), nll.text(0.01234)
        ('98', '>99', '100', '0.0123')
        """
        if not self.share:
            return f"{value:.3g}"
        unit = 10**-decimals
        if 0 < value < 0.005 * unit:
            return f"<{unit:g}"
        if 1 - 0.005 * unit <= value < 1:
            return f">{100 - unit:g}"
        if value in (0, 1):
            return f"{100 * value:.0f}"
        return f"{math.floor(100 * value / unit + 0.5) * unit:.{decimals}f}"

    @property
    def interval(self) -> str:
        """What the interval of a mean is, see `groups.estimate`.

        >>> measure("exact").interval, measure("my_score").interval
        ('score interval at 95 %', "Student's interval at 95 %")
        """
        kind = "Student's" if self.most is None else "score"
        return f"{kind} interval at 95 %"

    @property
    def unit(self) -> str:
        """The label with the unit of `text`.

        >>> measure("exact").unit, measure("nll").unit, measure("chrf").unit
        ('exact match, %', 'nll, nats per token', 'chrF')
        """
        unit = "%" if self.share else metric(self.quantity).unit
        return f"{self.label}, {unit}" if unit else self.label


def measure(name: str) -> Measure:
    """The metric of that name; of one that is not known here, more is better.

    Args:
      name: with the split in front, `valid_exact`, where a sweep has it of several.

    >>> measure("nll").lower, measure("exact").share, measure("my_score").label
    (True, True, 'my score')
    >>> measure("valid_nll").label, measure("test_exact").label
    ('validation nll', 'test exact match')
    """
    first, _, rest = name.partition("_")
    split, quantity = (first, rest) if first in SPLITS and rest else ("", name)
    about = metric(quantity)
    label = f"{SPLITS[split]} {about.label}" if split else about.label
    return Measure(name, label, about.share, about.lower, about.most, split)


def percents(share: float, _: object = None) -> str:
    """A share on an axis, in percent.

    >>> percents(0.25), percents(0.9875)
    ('25', '98.75')
    """
    return f"{100 * share:.4g}"

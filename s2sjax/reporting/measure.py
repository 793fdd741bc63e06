"""What a metric of a sweep is called, and which end of it is better."""

import dataclasses

_LABELS = {
    "exact": "exact match",
    "token_accuracy": "token accuracy",
    "forced_token_accuracy": "forced token accuracy",
    "edit_distance": "edit distance",
    "bleu": "BLEU",
    "chrf": "chrF",
}
_UNITS = {"edit_distance": "edits per token", "nll": "nats per token"}
_SHARES = ("exact", "token_accuracy", "forced_token_accuracy", "truncated", "unseen")
_LOWER = ("nll", "edit_distance", "truncated", "loss", "seconds", "grad_norm")


@dataclasses.dataclass(frozen=True)
class Measure:
    """A metric as people read it.

    Attributes:
      share: whether it is a share of 1, shown in percent.
      lower: whether less is better.
    """

    name: str
    label: str
    share: bool
    lower: bool

    def text(self, value: float) -> str:
        """A value in few characters; only 1 is 100 %, and only 0 is 0 %.

        >>> exact, nll = measure("exact"), measure("nll")
        >>> exact.text(0.98), exact.text(0.9996), exact.text(1), nll.text(0.01234)
        ('98', '>99', '100', '0.0123')
        """
        if not self.share:
            return f"{value:.3g}"
        if 0.995 <= value < 1 or 0 < value < 0.005:
            return ">99" if value > 0.5 else "<1"
        return str(int(100 * value + 0.5))

    @property
    def unit(self) -> str:
        """The label with the unit of `text`.

        >>> measure("exact").unit, measure("nll").unit, measure("chrf").unit
        ('exact match, %', 'nll, nats per token', 'chrF')
        """
        unit = "%" if self.share else _UNITS.get(self.name)
        return f"{self.label}, {unit}" if unit else self.label


def measure(name: str) -> Measure:
    """The metric of that name; of one that is not known here, more is better.

    >>> measure("nll").lower, measure("exact").share, measure("my_score").label
    (True, True, 'my score')
    """
    label = _LABELS.get(name, name.replace("_", " "))
    return Measure(name, label, name in _SHARES, name in _LOWER)

"""Two systems on the same examples: which is better, whether by chance, and where.

A system is its predictions, as `s2sjax eval` saves them.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np
from scipy import stats

from s2sjax import json_objects
from s2sjax.errors import UsageError
from s2sjax.inference.summary import ONLY_WRONG
from s2sjax.inference.text_scores import USUAL, segments
from s2sjax.metrics import metric

DRAWS = 1000  # of the examples, with replacement (Koehn 2004)
SEED = 0  # of these: the same predictions give the same numbers
CONFIDENCE = 0.95
NUMBERS = 2**20  # gathered at a time

Text = str | list[Any]  # the symbols of integers, an unknown one among them


class Prediction(TypedDict):
    """What a comparison needs of a line of predictions; see `summary.predictions`."""

    source: Text
    output: Text
    reference: Text
    references: list[Any]
    lengths: list[int]
    right: bool
    edits: int
    reference_logprob: float | None
    features: NotRequired[list[str]]
    cased: NotRequired[list[str]]  # the references as they were written
    only_wrong: NotRequired[bool]  # of a file that lacks what is right


class Differing(NamedTuple):
    """An example for which two systems write different outputs."""

    source: Text
    references: list[Any]
    a: Text
    b: Text
    a_right: bool
    b_right: bool
    a_edits: int
    b_edits: int


@dataclass(frozen=True)
class Compared:
    """A metric of both systems. `low` and `high` bound the difference, b less a."""

    a: float
    b: float
    low: float
    high: float
    p: float  # of a difference as large, were there none

    @property
    def difference(self) -> float:
        """B less a."""
        return self.b - self.a


@dataclass(frozen=True)
class Comparison:
    """Two systems, `a` and `b`, on the same examples.

    Attributes:
      names: of the systems.
      examples: that both were given.
      metrics: by name. Bounds are those of a paired bootstrap, of 95 %; p is that of
        McNemar's exact test for `exact`, and the bootstrap's for the others.
      right: how many examples both, a alone, b alone and neither have right.
      by_length: of each, exact match by the length of the first reference.
      differing: the examples with different outputs, those that b does worst first.
    """

    names: tuple[str, str]
    examples: int
    metrics: dict[str, Compared]
    right: dict[str, int]
    by_length: dict[str, dict[str, dict[str, float]]]
    differing: list[Differing]

    def to_json(self) -> dict[str, Any]:
        """What `compare --json` prints."""
        a, b = self.names
        return {
            "a": a,
            "b": b,
            "examples": self.examples,
            "metrics": {
                name: vars(each) | {"difference": each.difference}
                for name, each in self.metrics.items()
            },
            "right": self.right,
            "by_length": self.by_length,
            "differing": [each._asdict() for each in self.differing],
        }


def read(path: Path) -> list[Prediction]:
    """The predictions of a file.

    Raises:
      UsageError: it cannot be read, is empty, lacks the predictions that are right, or
        a line is no prediction.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json_objects.checked(json_objects.loads(line), Prediction))
        except ValueError as error:
            raise UsageError(
                f"{path}:{number} is no prediction: {error}; `s2sjax eval` saves "
                f"predictions with all fields"
            ) from None
    if not rows:
        raise UsageError(f"{path} is empty; it has a line for each prediction")
    if any(row.get(ONLY_WRONG) for row in rows):
        raise UsageError(
            f"{path} has only what is wrong, and a comparison needs every prediction; "
            f"let `s2sjax eval` save them all"
        )
    return rows


def compare(
    names: tuple[str, str], a: Sequence[Prediction], b: Sequence[Prediction]
) -> Comparison:
    """Compares two systems.

    Raises:
      UsageError: their examples are not the same, or there is only one.
    """
    a, b = _paired(names, a, b)
    if len(a) < 2:
        raise UsageError(f"{names[0]} and {names[1]} share one example; two are needed")
    right = np.array([[row["right"] for row in rows] for rows in (a, b)])
    only_a, only_b = (
        int((right[0] & ~right[1]).sum()),
        int((right[1] & ~right[0]).sum()),
    )
    metrics = {
        name: _compared(*(make(rows) for rows in (a, b)))
        for name, make in _measures(a, b).items()
    }
    exact = vars(metrics["exact"]) | {"p": mcnemar(only_a, only_b)}
    return Comparison(
        names,
        len(a),
        metrics | {"exact": Compared(**exact)},
        {
            "both": int(right.all(axis=0).sum()),
            "only_a": only_a,
            "only_b": only_b,
            "neither": int((~right).all(axis=0).sum()),
        },
        {name: _by_length(rows) for name, rows in (("a", a), ("b", b))},
        _differing(a, b),
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact test of McNemar (1947): is what one alone has right evenly shared?

    Args:
      only_a: examples that the first alone has right.
      only_b: that the second alone has.

    >>> mcnemar(0, 3), mcnemar(0, 0)
    (0.25, 1.0)
    """
    if not only_a + only_b:
        return 1.0
    return float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)


def _paired(
    names: tuple[str, str], a: Sequence[Prediction], b: Sequence[Prediction]
) -> tuple[list[Prediction], list[Prediction]]:
    """Both in one order of examples."""

    def key(row: Prediction) -> str:
        about = row["source"], row.get("features"), row["references"]
        return json.dumps(about)

    keys = [list(map(key, rows)) for rows in (a, b)]
    more = Counter(keys[0]) - Counter(keys[1]), Counter(keys[1]) - Counter(keys[0])
    if any(more):
        side = 0 if more[0] else 1
        example = json.loads(next(iter(more[side])))[0]
        raise UsageError(
            f"{names[0]} and {names[1]} are not of the same examples: of {names[side]} "
            f"{more[side].total():,} of {len(keys[side]):,} are not in the other, e.g. "
            f"the source {example!r:.60}; both need the same data, split, examples and "
            f"seed"
        )
    orders = [sorted(range(len(own)), key=own.__getitem__) for own in keys]
    # A's own order, which is that of the examples it does worst.
    order = np.argsort(orders[0])
    return list(a), [b[orders[1][place]] for place in order]


class _Measure(NamedTuple):
    """A metric of a system: what each example adds, and the value of their sum."""

    sums: np.ndarray  # [N, K]
    value: Callable[[np.ndarray], float]


def _measures(
    a: Sequence[Prediction], b: Sequence[Prediction]
) -> dict[str, Callable[[Sequence[Prediction]], _Measure]]:
    def exact(row: Prediction) -> tuple[float, float]:
        return row["right"], 1

    def edit_distance(row: Prediction) -> tuple[float, float]:
        return row["edits"], row["lengths"][row["references"].index(row["reference"])]

    def nll(row: Prediction) -> tuple[float, float]:
        return -(row["reference_logprob"] or 0.0), row["lengths"][0] + 1

    counted = {"exact": exact, "edit_distance": edit_distance}
    if all(row["reference_logprob"] is not None for row in (*a, *b)):
        counted["nll"] = nll
    texts = USUAL if all(isinstance(row["output"], str) for row in (*a, *b)) else ()
    return {
        **{name: partial(_ratio, each) for name, each in counted.items()},
        **{name: partial(_text, name) for name in texts},
    }


def _ratio(
    counts: Callable[[Prediction], tuple[float, float]], rows: Sequence[Prediction]
) -> _Measure:
    sums = np.array([counts(row) for row in rows], np.float64)
    return _Measure(sums, lambda total: float(total[0] / max(total[1], 1)))


def _text(name: str, rows: Sequence[Prediction]) -> _Measure:
    outputs = [str(row["output"]) for row in rows]
    references = [row.get("cased", row["references"]) for row in rows]
    return _Measure(*segments(outputs, references, name))


def _compared(a: _Measure, b: _Measure) -> Compared:
    """Both values, and the paired bootstrap of their difference (Koehn 2004)."""

    def differences(places: np.ndarray, axis: int) -> np.ndarray:
        def values(one: _Measure) -> np.ndarray:
            totals = one.sums[places].sum(axis=-2)  # [..., K]
            return np.apply_along_axis(one.value, -1, totals)

        return values(b) - values(a)

    examples = np.arange(len(a.sums))
    found = stats.bootstrap(
        (examples,),
        differences,
        n_resamples=DRAWS,
        batch=max(1, NUMBERS // a.sums.size),
        vectorized=True,
        axis=-1,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(SEED),
    )
    drawn, (low, high) = found.bootstrap_distribution, found.confidence_interval
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p = min(2 * (int(tail) + 1) / (len(drawn) + 1), 1.0)
    first, second = (one.value(one.sums.sum(axis=0)) for one in (a, b))
    return Compared(first, second, float(low), float(high), p)


def _by_length(rows: Sequence[Prediction]) -> dict[str, dict[str, float]]:
    counts = Counter(row["lengths"][0] for row in rows)
    right = Counter(row["lengths"][0] for row in rows if row["right"])
    return {
        str(length): {"count": counts[length], "exact": right[length] / counts[length]}
        for length in sorted(counts)
    }


def _differing(a: Sequence[Prediction], b: Sequence[Prediction]) -> list[Differing]:
    found = [
        Differing(
            *(one["source"], one["references"], one["output"], other["output"]),
            *(one["right"], other["right"], one["edits"], other["edits"]),
        )
        for one, other in zip(a, b, strict=True)
        if one["output"] != other["output"] or one["right"] != other["right"]
    ]

    def loss(each: Differing) -> tuple[int, int]:
        return each.b_right - each.a_right, each.a_edits - each.b_edits

    return sorted(found, key=loss)


def better(name: str, compared: Compared) -> str:
    """Which of the two is better by more than chance: "a", "b", or neither, "".

    >>> better("nll", Compared(2.0, 1.0, -1.5, -0.5, 0.002))
    'b'
    """
    if compared.low <= 0 <= compared.high:
        return ""
    return "b" if (compared.difference < 0) == metric(name).lower else "a"

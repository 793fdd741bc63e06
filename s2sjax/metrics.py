"""Metrics: what they are called, what they count, and how they are computed.

Most are per-example sums and counts, divided once. Free-running numbers (`exact`,
`token_accuracy`, `edit_distance`) compare what a model wrote by itself with the
reference nearest to it. Teacher-forced ones (`nll`, `forced_token_accuracy`) have other
names. Denominators count reference tokens, so that a short output cannot raise a score.
`METRICS` has what there is to know of each.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from s2sjax import forecasts, foreign, spec
from s2sjax.errors import UsageError, unknown
from s2sjax.forecasts import Forecasts, Terms
from s2sjax.outcomes import Outcomes, Rows, correct_positions, is_exact, written
from s2sjax.types import EOS, UNK

Counts = Callable[[Outcomes], tuple[np.ndarray, np.ndarray]]
"""`counts(outcomes) -> (sums, counts)`: of each example what it adds to a metric and to
what that is divided by, both [N]. A metric is the sum of the first over all examples,
divided by that of the second."""


@dataclass(frozen=True)
class Metric:
    """A number that says how good outputs are.

    Attributes:
      label: as people call it.
      meaning: what it counts, in a few words.
      unit: of its values; shares have none.
      share: whether it is a share of 1, which people read in percent.
      lower: whether less is better.
      most: its largest value, where its least is 0; None: it may be any number.
      counts: of outcomes; None: it is not a ratio of sums.
      whole: of outcomes, where it is not; None of both: it is computed elsewhere.
      terms: of forecasts, where numbers have it.
      is_root: whether it is the square root of the ratio that its terms are.
      of_text: whether integers do not have it.
      is_headline: whether the end of a run shows it.
      is_aside: whether `s2sjax eval` shows it only where all is asked for.
      is_measured: whether an evaluation has it, so that it can be `train.metric`.
    """

    label: str
    meaning: str = ""
    unit: str = ""
    share: bool = False
    lower: bool = False
    most: float | None = None
    counts: Counts | None = None
    whole: Callable[[Outcomes], float] | None = None
    terms: Terms | None = None
    is_root: bool = False
    of_text: bool = False
    is_headline: bool = False
    is_aside: bool = False
    is_measured: bool = True

    @property
    def better(self) -> Literal["max", "min"]:
        """Which end of its values is better."""
        return "min" if self.lower else "max"

    @property
    def of_symbols(self) -> bool:
        """Whether it is not of numbers alone."""
        return self.terms is None or self.counts is not None

    def mean(self, outcomes: Outcomes) -> float:
        """Its value; 0 of no examples."""
        if self.whole is not None:
            return self.whole(outcomes) if len(outcomes.edits) else 0.0
        assert self.counts is not None
        sums, counts = (
            column.sum(dtype=np.float64) for column in self.counts(outcomes)
        )
        return float(sums / (counts if counts > 0 else 1))


def _ones(outcomes: Outcomes) -> np.ndarray:
    return np.ones(len(outcomes.edits))


def symbols_correct(outcomes: Outcomes) -> np.ndarray:
    """How many target positions of each example hold the right symbol, [N]."""
    right = correct_positions(outcomes.output, outcomes.target)
    return outcomes.target.totals(right)


def _before_error(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """The share of each target that is right before the first symbol that is not."""
    target = outcomes.target
    wrong = ~correct_positions(outcomes.output, target)
    first = target.lengths.copy()
    owners = np.repeat(np.arange(len(first)), target.lengths)
    np.minimum.at(first, owners[wrong], target.positions[wrong].astype(first.dtype))
    # Of an empty target nothing is missing, unless something is written.
    empty = (target.lengths == 0) & (outcomes.output_lengths == 0)
    return np.where(empty, 1, first / np.maximum(target.lengths, 1)), _ones(outcomes)


def _exposure(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    forced, free, first = _forced_and_free(outcomes)
    return first.totals(forced) - first.totals(free), first.lengths


def _forced_and_free(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray, Rows]:
    """Which symbols of the first references are right, forced and free-running, bool.

    Returns:
      Both, like the tokens of the first references; and these.
    """
    first = outcomes.references.first
    every = Rows(outcomes.forced, outcomes.forced_lengths)
    is_symbol = every.positions < np.repeat(first.lengths, every.lengths)
    forced = outcomes.forced[is_symbol] & (first.tokens != UNK)
    return forced, correct_positions(outcomes.output, first), first


def _macro(outcomes: Outcomes) -> float:
    accuracies = [row["accuracy"] for row in by_symbol(outcomes).values()]
    return float(np.mean(accuracies)) if accuracies else 0.0


def _macro_f1(outcomes: Outcomes) -> float:
    """The mean over symbols of references of 2 right / (wanted + written)."""
    wanted = outcomes.target.tokens
    if not len(wanted):
        return 0.0
    came = written(outcomes.output, outcomes.target)
    size = int(max(wanted.max(), came.max())) + 1
    right = correct_positions(outcomes.output, outcomes.target)
    counts = [np.bincount(each, minlength=size) for each in (wanted, came)]
    both = np.bincount(wanted[right], minlength=size)
    there = counts[0] > 0
    return float(np.mean(2 * both[there] / (counts[0] + counts[1])[there]))


BINS = 10  # of confidences


def reliability(outcomes: Outcomes) -> list[dict[str, float]]:
    """How often outputs are right, by how sure the model was: bins of confidence.

    The confidence of an output is its probability under the model. A bin has the
    outputs above `least` and up to `most`, their count, mean confidence and exact
    match; those without outputs are left out (Guo et al. 2017, section 2).
    """
    confidence = np.exp(np.minimum(outcomes.log_probs.astype(np.float64), 0))
    right = is_exact(outcomes)
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return [
        {
            "least": place / BINS,
            "most": (place + 1) / BINS,
            "count": int(own.sum()),
            "confidence": float(confidence[own].mean()),
            "exact": float(right[own].mean()),
        }
        for place in range(BINS)
        if (own := bins == place).any()
    ]


def _calibration_error(outcomes: Outcomes) -> float:
    total = sum(
        each["count"] * abs(each["confidence"] - each["exact"])
        for each in reliability(outcomes)
    )
    return total / len(outcomes.edits)


def _distinct(outcomes: Outcomes) -> float:
    return len(set(map(tuple, outcomes.output.tolist()))) / len(outcomes.edits)


def most_frequent(rows: Rows) -> tuple[list[int], float]:
    """The row that comes most often, and its share of the rows; there are some."""
    (row, count), *_ = Counter(map(tuple, rows.tolist())).most_common(1)
    return list(row), count / len(rows.lengths)


def _above_constant(outcomes: Outcomes) -> float:
    """Exact match less that of the answer which is right most often."""
    answers = Counter(
        row
        for some in outcomes.references.by_example()
        for row in set(map(tuple, some))
        if UNK not in row
    )
    best = max(answers.values(), default=0)
    return float(is_exact(outcomes).mean()) - best / len(outcomes.edits)


# Of numbers: an error, in their units or others.
_ERROR: dict[str, Any] = {"lower": True, "most": math.inf}

_EDITS: dict[str, Any] = {
    "lower": True,
    "most": math.inf,
    "counts": lambda outcomes: (outcomes.edits, outcomes.target_lengths),
}

METRICS: dict[str, Metric] = {
    "exact": Metric(
        "exact match",
        "outputs all right, free-running",
        share=True,
        most=1.0,
        counts=lambda outcomes: (is_exact(outcomes), _ones(outcomes)),
        is_headline=True,
    ),
    "sequence_error": Metric(
        "sequence error",
        "outputs not all right, free-running",
        share=True,
        lower=True,
        most=1.0,
        counts=lambda outcomes: (~is_exact(outcomes), _ones(outcomes)),
        is_aside=True,
    ),
    "token_accuracy": Metric(
        "token accuracy",
        "tokens right in place, free-running",
        share=True,
        most=1.0,
        counts=lambda outcomes: (symbols_correct(outcomes), outcomes.target_lengths),
        is_headline=True,
    ),
    "macro_accuracy": Metric(
        "macro accuracy",
        "mean over symbols of their accuracy",
        share=True,
        most=1.0,
        whole=_macro,
        is_aside=True,
    ),
    "macro_f1": Metric(
        "macro F1",
        "mean over symbols of their F1, by position",
        share=True,
        most=1.0,
        whole=_macro_f1,
        is_aside=True,
    ),
    "calibration_error": Metric(
        "calibration error",
        "outputs' probability beside exact match, expected difference",
        lower=True,
        most=1.0,
        whole=_calibration_error,
        is_aside=True,
    ),
    "before_error": Metric(
        "before first error",
        "of a target right before an error",
        share=True,
        most=1.0,
        counts=_before_error,
    ),
    "edit_distance": Metric(
        "edit distance",
        "edits per token, free-running",
        "edits per token",
        is_headline=True,
        **_EDITS,
    ),
    "per": Metric(
        "PER",
        "edits per symbol, free-running",
        "edits per symbol",
        is_aside=True,
        **_EDITS,
    ),
    "nll": Metric(
        "nll",
        "nats per token and EOS, or number, forced",
        "nats per token",
        lower=True,
        most=math.inf,
        counts=lambda outcomes: (outcomes.nll, outcomes.forced_lengths),
        terms=forecasts.nll,
        is_headline=True,
    ),
    "forced_token_accuracy": Metric(
        "forced token accuracy",
        "tokens and EOS right, teacher-forced",
        share=True,
        most=1.0,
        counts=lambda outcomes: (outcomes.forced_correct, outcomes.forced_lengths),
    ),
    "exposure_bias": Metric(
        "exposure bias",
        "forced less free-running accuracy",
        lower=True,
        counts=_exposure,
    ),
    "wer": Metric(
        "WER",
        "edits per word, free-running",
        "edits per word",
        lower=True,
        most=math.inf,
    ),
    "truncated": Metric(
        "truncated",
        "outputs cut at the length limit",
        share=True,
        lower=True,
        most=1.0,
        counts=lambda outcomes: (outcomes.truncated, _ones(outcomes)),
    ),
    "distinct": Metric(
        "distinct outputs",
        "different outputs, of all outputs",
        share=True,
        most=1.0,
        whole=_distinct,
        is_aside=True,
    ),
    "most_frequent": Metric(
        "most frequent",
        "outputs that are the commonest one",
        share=True,
        lower=True,
        most=1.0,
        whole=lambda outcomes: most_frequent(outcomes.output)[1],
        is_aside=True,
    ),
    "above_constant": Metric(
        "above a constant",
        "exact match less that of the best constant answer",
        whole=_above_constant,
        is_aside=True,
    ),
    "bleu": Metric(
        "BLEU",
        "sacrebleu, 13a tokens, 0 to 100",
        most=100.0,
        of_text=True,
        is_headline=True,
    ),
    "chrf": Metric(
        "chrF",
        "sacrebleu, chrF2, 0 to 100",
        most=100.0,
        of_text=True,
        is_headline=True,
    ),
    "ter": Metric(
        "TER",
        "sacrebleu, edits and shifts per 100 words",
        lower=True,
        most=math.inf,
        of_text=True,
    ),
    "mae": Metric(
        "MAE",
        "absolute error of the median",
        terms=forecasts.absolute_error,
        is_headline=True,
        **_ERROR,
    ),
    "rmse": Metric(
        "RMSE",
        "root of the squared error of the mean",
        terms=forecasts.squared_error,
        is_root=True,
        is_headline=True,
        **_ERROR,
    ),
    "smape": Metric(
        "sMAPE",
        "200 |y - median| / (|y| + |median|)",
        "percent",
        lower=True,
        most=200.0,
        terms=forecasts.symmetric_error,
    ),
    "mase": Metric(
        "MASE",
        "MAE over that of the seasonal naive in training",
        terms=forecasts.scaled_error,
        is_headline=True,
        **_ERROR,
    ),
    "crps": Metric(
        "CRPS",
        "distance of the distribution from what came",
        terms=forecasts.crps,
        is_headline=True,
        **_ERROR,
    ),
    "wql": Metric(
        "weighted quantile loss",
        "of nine quantiles, over |y|",
        terms=forecasts.quantile_loss,
        **_ERROR,
    ),
    "coverage_50": Metric(
        "in 50 % intervals",
        "numbers between the quarters",
        share=True,
        most=1.0,
        terms=forecasts.coverage(0.25, 0.75),
        is_measured=False,
    ),
    "coverage_90": Metric(
        "in 90 % intervals",
        "numbers between 5 and 95 %",
        share=True,
        most=1.0,
        terms=forecasts.coverage(0.05, 0.95),
        is_headline=True,
        is_measured=False,
    ),
    "width_50": Metric(
        "width of 50 %",
        "from 25 to 75 %",
        terms=forecasts.width(0.25, 0.75),
        is_measured=False,
        **_ERROR,
    ),
    "width_90": Metric(
        "width of 90 %",
        "from 5 to 95 %",
        terms=forecasts.width(0.05, 0.95),
        is_measured=False,
        **_ERROR,
    ),
    "unseen": Metric(
        "unseen",
        "sources that are new to the model",
        share=True,
        most=1.0,
        is_headline=True,
        is_measured=False,
    ),
    "search_errors": Metric(
        "search errors",
        "outputs that score less than a reference",
        share=True,
        lower=True,
        most=1.0,
        is_measured=False,
        is_aside=True,
    ),
    "loss": Metric(
        "loss",
        "nats per token, of the objective",
        lower=True,
        most=math.inf,
        is_measured=False,
    ),
    "grad_norm": Metric("grad norm", lower=True, is_measured=False),
    "seconds": Metric("seconds", lower=True, most=math.inf, is_measured=False),
}


def metric(name: str) -> Metric:
    """The metric of that name; of one that is not known here, more is better.

    >>> metric("nll").better, metric("my_score").label
    ('min', 'my score')
    """
    return METRICS.get(name) or Metric(name.replace("_", " "))


def headlines(results: Mapping[str, Any], chosen: str) -> dict[str, Any]:
    """The numbers that the end of a run shows; `s2sjax eval` has the rest.

    Args:
      results: of an evaluation.
      chosen: the metric that the best checkpoint is chosen by.
    """
    return {
        name: value
        for name, value in results.items()
        if name == chosen or metric(name).is_headline
    }


def own(text: str) -> Metric | None:
    """The metric of a spec, `FILE.py:name`, that is a user's own; None of ours.

    The function gives a `Counts`, of which more is better; the first line of its
    docstring is what it means.

    Raises:
      UsageError: there is no such function, or it raises.
    """
    chosen = spec.parse(text)
    if not chosen.file:
        return None
    function = spec.find("train.metric", chosen, {})
    counts = spec.apply("train.metric", chosen, function)
    label = chosen.name.replace("_", " ")
    return Metric(label, foreign.first_line(function.__doc__), counts=counts)


def _try(own: Metric, numbers: bool) -> None:
    assert own.counts is not None
    two: Any = _two_forecasts() if numbers else _two_outcomes()
    columns = own.counts(two)
    came = [np.shape(column) for column in columns]
    if came != [(2,), (2,)]:
        raise UsageError(
            f"{own.label} returned {came} of 2 examples; wanted (sums, counts), a "
            f"number of each example"
        )


def _two_outcomes() -> Outcomes:
    tokens, lengths = np.array([[4, 5], [6, 2]], np.int32), np.array([2, 1], np.int32)
    numbers = np.zeros(2)
    rows, forced = (tokens, lengths), np.zeros((2, 3), bool)
    four = numbers, numbers, numbers, numbers
    return Outcomes.of(*rows, numbers > 0, *rows, *four, forced)


def _two_forecasts() -> Forecasts:
    numbers, series = np.ones((2, 3, 1)), np.zeros(2, int)
    many = np.ones((2, 3, 1, len(forecasts.LEVELS)))
    three = numbers, numbers, numbers
    return Forecasts(*three, numbers[:, 0], series, many, numbers, numbers)


def check(text: str, numbers: bool = False) -> None:
    """Looks whether `train.metric` can be this.

    Args:
      text: the metric.
      numbers: whether targets are numbers, and not symbols.

    Raises:
      UsageError: there is no such metric (with the nearest one), or not of these; it is
        given arguments, which none of ours takes; or one of the user's own does not
        give a number of each example.
    """
    chosen = spec.parse(text)
    theirs = own(text)
    if theirs is not None:
        spec.tried("train.metric", text, lambda: _try(theirs, numbers))
        return
    kinds: dict[str, list[str]] = {"symbols": [], "numbers": []}
    for name, each in METRICS.items():
        if each.is_measured and each.of_symbols:
            kinds["symbols"].append(name)
        if each.is_measured and each.terms:
            kinds["numbers"].append(name)
    mine, others = ("numbers", "symbols") if numbers else ("symbols", "numbers")
    if chosen.name not in kinds[mine]:
        if chosen.name in kinds[others]:
            raise UsageError(
                f"train.metric={chosen.name} is of {others}, and targets are {mine} "
                f"(one of: {', '.join(kinds[mine])})"
            )
        raise unknown("train.metric", chosen.name, kinds[mine])
    for argument, _ in chosen.arguments:
        raise UsageError(f"train.metric '{text}' takes no argument '{argument}'")


def summary(outcomes: Outcomes) -> dict[str, Any]:
    """The metrics of outcomes, by name; see `METRICS` for what each counts."""
    values = {
        name: each.mean(outcomes)
        for name, each in METRICS.items()
        if each.counts or each.whole
    }
    return {"examples": len(outcomes.edits), **values}


def of_numbers(results: Forecasts) -> dict[str, Any]:
    """The metrics of forecasts, by name; those that they have, see `METRICS`."""
    return {"examples": len(results.target), **_divided(results, _everything)}


def by_step(results: Forecasts) -> dict[str, dict[str, float]]:
    """The metrics of each step of the horizon, from 1 on; and how many numbers came."""
    return _table(results, lambda each: each.sum(axis=(0, 2)))


def by_number(results: Forecasts, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """The metrics of each of the G numbers of a step, by name."""
    return _table(results, lambda each: each.sum(axis=(0, 1)), names)


def by_series(results: Forecasts, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """The metrics of each series, by name; of those alone that have examples."""

    def summed(each: np.ndarray) -> np.ndarray:
        return np.bincount(results.series, each.sum(axis=(1, 2)), minlength=len(names))

    return _table(results, summed, names)


Sums = Callable[[np.ndarray], np.ndarray]
"""`sums(numbers) -> sums`: [N, T, G] -> those of each row of a table."""


def _everything(each: np.ndarray) -> np.ndarray:
    return np.asarray(each.sum())


def _divided(results: Forecasts, sums: Sums) -> dict[str, Any]:
    """Each metric of forecasts: a number, or a column; NaN where nothing is counted."""
    columns = {}
    for name, each in METRICS.items():
        found = each.terms(results) if each.terms else None
        if found is None or not found[1].sum():
            continue
        total, count = (sums(part) for part in found)
        ratio = np.where(count > 0, total, np.nan) / np.where(count > 0, count, 1)
        columns[name] = np.sqrt(ratio) if each.is_root else ratio
    return {
        name: float(column) if column.ndim == 0 else column
        for name, column in columns.items()
    }


def _table(
    results: Forecasts, sums: Sums, names: Sequence[str] | None = None
) -> dict[str, dict[str, float]]:
    """Rows by name, or by number from 1 on, of what has numbers that came."""
    counts, columns = sums(results.observed), _divided(results, sums)
    rows = names if names is not None else [str(row + 1) for row in range(len(counts))]
    return {
        row: {
            "count": int(counts[place]),
            **{
                name: float(column[place])
                for name, column in columns.items()
                if not np.isnan(column[place])
            },
        }
        for place, row in enumerate(rows)
        if counts[place]
    }


def beaten(found: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> str:
    """What to say where a forecast without a model is better; empty where none is.

    Args:
      found: the metrics of the model.
      baselines: by name those of forecasts that no model is needed for.

    >>> beaten({"mae": 2.0}, {"last": {"mae": 1.5}, "mean": {"mae": 1.8}})
    'the model is worse than last and mean: MAE 2, and 1.5 and 1.8 without a model'
    >>> beaten({"mae": 1.0}, {"last": {"mae": 1.5}})
    ''
    """
    better = {
        name: each["mae"]
        for name, each in baselines.items()
        if not found["mae"] <= each["mae"]
    }
    if not better:
        return ""
    names, errors = (
        " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
        for parts in ([*better], [f"{error:.4g}" for error in better.values()])
    )
    return (
        f"the model is worse than {names}: MAE {found['mae']:.4g}, and {errors} "
        "without a model"
    )


def by_length(
    outcomes: Outcomes, lengths: np.ndarray | None = None
) -> dict[str, dict[str, float]]:
    """Exact match and count of the examples of each length.

    Args:
      outcomes: of N examples.
      lengths: [N] of the examples; None: symbols of their first reference.
    """
    if lengths is None:
        lengths = outcomes.references.first.lengths
    groups = [[int(length)] for length in lengths]
    found = by_group(outcomes, groups)
    return {str(length): found[length] for length in sorted(found)}


def by_group(
    outcomes: Outcomes, groups: Sequence[Sequence[Hashable]]
) -> dict[Any, dict[str, float]]:
    """Exact match and count of the examples of each group, the largest group first.

    Args:
      outcomes: of N examples.
      groups: of each example those that it is in.
    """
    exact = is_exact(outcomes).tolist()
    counts = Counter(group for own in groups for group in set(own))
    right = Counter(
        group
        for own, is_right in zip(groups, exact, strict=True)
        for group in set(own)
        if is_right
    )
    return {
        group: {"count": count, "exact": right[group] / count}
        for group, count in counts.most_common()
    }


def by_position(outcomes: Outcomes) -> dict[str, dict[str, float]]:
    """Count and free-running accuracy of each position of the references, from 1 on.

    A position past the end of an output is wrong; EOS is no position. Of several
    references it is the nearest.
    """
    right = correct_positions(outcomes.output, outcomes.target)
    return _by_position(outcomes.target, accuracy=right)


def exposure_by_position(outcomes: Outcomes) -> dict[str, dict[str, float]]:
    """Accuracy of each position, forced and free-running, from 1 on.

    Of several references it is the first, which was forced. The difference is what a
    model loses by reading its own outputs (exposure bias: Ranzato et al. 2016).
    """
    forced, free, first = _forced_and_free(outcomes)
    return _by_position(first, forced=forced, free=free)


def _by_position(rows: Rows, **right: np.ndarray) -> dict[str, dict[str, float]]:
    counts = np.bincount(rows.positions)
    columns = {
        name: np.bincount(rows.positions[each], minlength=len(counts)) / counts
        for name, each in right.items()
    }
    return {
        str(place + 1): {
            "count": int(count),
            **{name: float(column[place]) for name, column in columns.items()},
        }
        for place, count in enumerate(counts)
    }


def by_symbol(outcomes: Outcomes) -> dict[int, dict[str, float]]:
    """Count and free-running accuracy of each reference symbol, by token id."""
    wanted = outcomes.target.tokens
    size = int(wanted.max(initial=0)) + 1
    counts = np.bincount(wanted, minlength=size)
    right = correct_positions(outcomes.output, outcomes.target)
    found = np.bincount(wanted[right], minlength=size)
    return {
        int(token): {
            "count": int(counts[token]),
            "accuracy": float(found[token] / counts[token]),
        }
        for token in np.nonzero(counts)[0]
        if token != EOS
    }


def confusion(outcomes: Outcomes) -> dict[int, dict[int, int]]:
    """How often each reference symbol came out as which, position by position.

    Token id -> written token id -> count. A position past the output's end counts as
    EOS.
    """
    table: dict[int, dict[int, int]] = {}
    came = written(outcomes.output, outcomes.target)
    pairs, counts = np.unique(
        np.stack([outcomes.target.tokens, came]), axis=1, return_counts=True
    )
    for (token, other), count in zip(pairs.T, counts, strict=True):
        table.setdefault(int(token), {})[int(other)] = int(count)
    return table

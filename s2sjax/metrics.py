"""Metrics as per-example sums and counts, divided once.

Free-running numbers (`exact`, `token_accuracy`, `edit_distance`) compare what a model
wrote by itself with the reference. Teacher-forced ones (`nll`,
`forced_token_accuracy`) have other names. Denominators count reference tokens, so that
a short output cannot raise a score. `METRICS` has what there is to know of each.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from s2sjax import foreign, spec
from s2sjax.errors import UsageError, unknown
from s2sjax.types import EOS, UNK


@dataclass(frozen=True, eq=False)
class Rows:
    """N sequences, one after another: a long one does not make the others longer.

    >>> rows = Rows.of(np.array([[4, 5, 2], [6, 2, 0]]), np.array([2, 1]))
    >>> rows.tokens.tolist(), rows.tolist()
    ([4, 5, 6], [[4, 5], [6]])
    """

    tokens: np.ndarray  # [sum of lengths] int32
    lengths: np.ndarray  # [N] int32

    @staticmethod
    def of(padded: np.ndarray, lengths: np.ndarray) -> "Rows":
        """From an array [N, W] whose rows go on with something else."""
        return Rows(padded[np.arange(padded.shape[1]) < lengths[:, None]], lengths)

    @property
    def starts(self) -> np.ndarray:
        """Where each sequence begins, [N]."""
        return np.cumsum(self.lengths, dtype=np.int64) - self.lengths

    def tolist(self) -> list[list[int]]:
        """The sequences as lists."""
        parts = np.split(self.tokens, self.starts[1:]) if len(self.lengths) else []
        return [part.tolist() for part in parts]


class Outcomes(NamedTuple):
    """What became of N examples; arrays of numpy. `of` makes one of padded arrays."""

    output: Rows  # symbols without EOS, free-running
    truncated: np.ndarray  # [N] bool
    target: Rows  # symbols without EOS
    edits: np.ndarray  # [N] int32, edit distance between the symbols
    scores: np.ndarray  # [N] float32, of the hypotheses
    log_probs: np.ndarray  # [N] float32, of the hypotheses, in nats, EOS included
    nll: np.ndarray  # [N] float32, nats, teacher-forced, EOS included
    forced_correct: np.ndarray  # [N] int32, tokens right when forced, EOS included

    @classmethod
    def of(
        cls,
        output: np.ndarray,
        output_lengths: np.ndarray,
        truncated: np.ndarray,
        target: np.ndarray,
        target_lengths: np.ndarray,
        *numbers: np.ndarray,
    ) -> "Outcomes":
        """Outcomes of outputs [N, U] and targets [N, T] of such lengths without EOS.

        `numbers` are the others, in their order.
        """
        return cls(
            Rows.of(output, output_lengths),
            truncated,
            Rows.of(target, target_lengths),
            *numbers,
        )

    @property
    def output_lengths(self) -> np.ndarray:
        """Symbols without EOS, [N]."""
        return self.output.lengths

    @property
    def target_lengths(self) -> np.ndarray:
        """Symbols without EOS, [N]."""
        return self.target.lengths


def concatenate(parts: list[Outcomes]) -> Outcomes:
    """Joins outcomes."""

    def join(columns: tuple[Any, ...]) -> Any:
        if isinstance(columns[0], Rows):
            return Rows(
                np.concatenate([rows.tokens for rows in columns]),
                np.concatenate([rows.lengths for rows in columns]),
            )
        return np.concatenate(columns)

    return Outcomes(*map(join, zip(*parts, strict=True)))


def is_exact(outcomes: Outcomes) -> np.ndarray:
    """Which outputs ended by themselves and are the reference, [N] bool."""
    return (outcomes.edits == 0) & ~outcomes.truncated


def written(outcomes: Outcomes) -> np.ndarray:
    """What stands in each output at each position of its target, EOS past its end.

    Shapes: -> [sum of target lengths], like `outcomes.target.tokens`.
    """
    output, target = outcomes.output, outcomes.target
    positions = _positions(target)
    within = positions < np.repeat(output.lengths, target.lengths)
    places = np.repeat(output.starts, target.lengths) + positions
    came = np.full_like(target.tokens, EOS)
    came[within] = output.tokens[places[within]]
    return came


def _positions(rows: Rows) -> np.ndarray:
    """Of each token in its sequence, from 0 on, like `rows.tokens`."""
    return np.arange(len(rows.tokens)) - np.repeat(rows.starts, rows.lengths)


def correct_positions(outcomes: Outcomes) -> np.ndarray:
    """Which target positions hold the right symbol, bool, like `target.tokens`.

    An unknown symbol in a reference is never right: nobody knows what it was.
    """
    wanted = outcomes.target.tokens
    return (written(outcomes) == wanted) & (wanted != UNK)


def symbols_correct(outcomes: Outcomes) -> np.ndarray:
    """How many target positions of each example hold the right symbol, [N]."""
    total = np.concatenate([[0], np.cumsum(correct_positions(outcomes))])
    starts = outcomes.target.starts
    return total[starts + outcomes.target_lengths] - total[starts]


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
      counts: of outcomes; None: it is computed elsewhere.
      of_text: whether integers do not have it.
      is_headline: whether the end of a run shows it.
      is_measured: whether an evaluation has it, so that it can be `train.metric`.
    """

    label: str
    meaning: str = ""
    unit: str = ""
    share: bool = False
    lower: bool = False
    most: float | None = None
    counts: Counts | None = None
    of_text: bool = False
    is_headline: bool = False
    is_measured: bool = True

    @property
    def better(self) -> Literal["max", "min"]:
        """Which end of its values is better."""
        return "min" if self.lower else "max"

    def mean(self, outcomes: Outcomes) -> float:
        """Its value; 0 of no examples."""
        assert self.counts is not None
        sums, counts = (
            column.sum(dtype=np.float64) for column in self.counts(outcomes)
        )
        return float(sums / max(counts, 1))


def _ones(outcomes: Outcomes) -> np.ndarray:
    return np.ones(len(outcomes.edits))


def _tokens(outcomes: Outcomes) -> np.ndarray:
    return outcomes.target_lengths + 1  # with EOS


METRICS: dict[str, Metric] = {
    "exact": Metric(
        "exact match",
        "outputs all right, free-running",
        share=True,
        most=1.0,
        counts=lambda outcomes: (is_exact(outcomes), _ones(outcomes)),
        is_headline=True,
    ),
    "token_accuracy": Metric(
        "token accuracy",
        "tokens right in place, free-running",
        share=True,
        most=1.0,
        counts=lambda outcomes: (symbols_correct(outcomes), outcomes.target_lengths),
        is_headline=True,
    ),
    "edit_distance": Metric(
        "edit distance",
        "edits per token, free-running",
        "edits per token",
        lower=True,
        most=math.inf,
        counts=lambda outcomes: (outcomes.edits, outcomes.target_lengths),
        is_headline=True,
    ),
    "nll": Metric(
        "nll",
        "nats per token and EOS, teacher-forced",
        "nats per token",
        lower=True,
        most=math.inf,
        counts=lambda outcomes: (outcomes.nll, _tokens(outcomes)),
        is_headline=True,
    ),
    "forced_token_accuracy": Metric(
        "forced token accuracy",
        "tokens and EOS right, teacher-forced",
        share=True,
        most=1.0,
        counts=lambda outcomes: (outcomes.forced_correct, _tokens(outcomes)),
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
    "unseen": Metric(
        "unseen",
        "sources that are new to the model",
        share=True,
        most=1.0,
        is_headline=True,
        is_measured=False,
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


def _try(own: Metric) -> None:
    rows = Rows(np.array([4, 5, 6], np.int32), np.array([2, 1], np.int32))
    numbers = np.zeros(2)
    some = Outcomes(rows, numbers > 0, rows, *[numbers] * 5)
    assert own.counts is not None
    columns = own.counts(some)
    came = [np.shape(column) for column in columns]
    if came != [(2,), (2,)]:
        raise UsageError(
            f"{own.label} returned {came} of 2 examples; wanted (sums, counts), a "
            f"number of each example"
        )


def check(text: str) -> None:
    """Looks whether `train.metric` can be this.

    Raises:
      UsageError: there is no such metric (with the nearest one), it is given
        arguments, which none of ours takes, or one of the user's own does not give a
        number of each example.
    """
    chosen = spec.parse(text)
    theirs = own(text)
    if theirs is not None:
        spec.tried("train.metric", text, lambda: _try(theirs))
        return
    known = [name for name, each in METRICS.items() if each.is_measured]
    if chosen.name not in known:
        raise unknown("train.metric", chosen.name, known)
    for argument, _ in chosen.arguments:
        raise UsageError(f"train.metric '{text}' takes no argument '{argument}'")


def summary(outcomes: Outcomes) -> dict[str, Any]:
    """The metrics of outcomes, by name; see the module for what each counts.

    `exact` is the share of outputs that end by themselves and equal the reference.
    `token_accuracy` compares position by position and `edit_distance` counts edits,
    both over reference symbols without EOS. `nll` (nats) and `forced_token_accuracy`
    are teacher-forced, over reference tokens with EOS.
    """
    values = {
        name: each.mean(outcomes) for name, each in METRICS.items() if each.counts
    }
    return {"examples": len(outcomes.edits), **values}


def by_length(outcomes: Outcomes) -> dict[str, dict[str, float]]:
    """Exact match and count for each target length (symbols without EOS)."""
    exact = is_exact(outcomes)
    return {
        str(length): {
            "count": int((outcomes.target_lengths == length).sum()),
            "exact": float(exact[outcomes.target_lengths == length].mean()),
        }
        for length in np.unique(outcomes.target_lengths)
    }


def by_position(outcomes: Outcomes) -> dict[str, dict[str, float]]:
    """Count and free-running accuracy of each position of the references, from 1 on.

    A position past the end of an output is wrong; EOS is no position.
    """
    positions = _positions(outcomes.target)
    counts = np.bincount(positions)
    right = np.bincount(positions[correct_positions(outcomes)], minlength=len(counts))
    return {
        str(position): {"count": int(count), "accuracy": int(correct) / int(count)}
        for position, (count, correct) in enumerate(
            zip(counts, right, strict=True), start=1
        )
    }


def by_symbol(outcomes: Outcomes) -> dict[int, dict[str, float]]:
    """Count and free-running accuracy of each reference symbol, by token id."""
    wanted = outcomes.target.tokens
    size = int(wanted.max(initial=0)) + 1
    counts = np.bincount(wanted, minlength=size)
    right = np.bincount(wanted[correct_positions(outcomes)], minlength=size)
    return {
        int(token): {
            "count": int(counts[token]),
            "accuracy": float(right[token] / counts[token]),
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
    pairs, counts = np.unique(
        np.stack([outcomes.target.tokens, written(outcomes)]),
        axis=1,
        return_counts=True,
    )
    for (token, came), count in zip(pairs.T, counts, strict=True):
        table.setdefault(int(token), {})[int(came)] = int(count)
    return table

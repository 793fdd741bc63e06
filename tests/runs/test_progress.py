"""What the loop remembers of its evaluations."""

import json
import math

import pytest

from s2sjax.runs.progress import Progress


def after(metric, values):
    progress = Progress()
    for step, value in enumerate(values, start=1):
        progress = progress.after_evaluation(step * 10, metric, {metric: value})
    return progress


@pytest.mark.parametrize(
    ("evaluations", "step", "stars", "waited"),
    [
        # Equal metrics: the least nll is best, and what rose gets no star.
        ([(1.0, 0.005), (1.0, 0.0052), (1.0, 0.0055)], 10, [1, 0, 0], 2),
        # Patience counts the metric alone.
        ([(1.0, 0.3), (1.0, 0.2), (1.0, 0.1)], 30, [1, 1, 1], 2),
        ([(0.5, 0.1), (0.6, 0.9), (0.6, 0.8), (0.5, 0.0)], 30, [1, 1, 1, 0], 2),
        # Equal in both: the newest, without a star.
        ([(1.0, 0.3), (1.0, 0.3)], 20, [1, 0], 1),
        # An nll that is not finite comes last.
        ([(1.0, math.nan), (1.0, 0.3), (1.0, math.inf)], 20, [1, 1, 0], 2),
        ([(1.0, math.nan), (1.0, math.inf)], 20, [1, 0], 1),
        ([(math.nan, 0.3)], -1, [0], 1),
    ],
)
def test_of_equal_metrics_the_least_nll_is_best(evaluations, step, stars, waited):
    progress, found = Progress(), []
    for place, (exact, nll) in enumerate(evaluations, start=1):
        values, before = {"exact": exact, "nll": nll}, progress
        progress = before.after_evaluation(10 * place, "exact", values)
        found.append(int(progress.improves_on(before)))
        progress = Progress.from_json(json.loads(json.dumps(progress.to_json())))
    assert (progress.best_step, found, progress.waited) == (step, stars, waited)


def test_a_best_of_an_earlier_version_has_no_nll():
    kept = {"best": 1.0, "best_step": 10, "evaluated": 10}
    now = Progress.from_json(kept).after_evaluation(20, "exact", {"exact": 1, "nll": 9})
    assert now.best_step == 20


@pytest.mark.parametrize(
    ("metric", "values", "best", "step", "waited"),
    [
        ("exact", [0.1, 0.5, 0.3], 0.5, 20, 1),
        # An equal value takes the place of the best, and is no improvement.
        ("exact", [0.5, 0.5, 0.5], 0.5, 30, 2),
        ("nll", [1.0, 2.0, 1.0], 1.0, 30, 2),
        ("exact", [0.5, 0.5, 0.6, 0.6], 0.6, 40, 1),
        ("exact", [0.0], 0.0, 10, 0),
        ("token_accuracy", [0.2, 0.1, 0.3], 0.3, 30, 0),
        ("nll", [2.0, 1.0, 3.0], 1.0, 20, 1),
        ("edit_distance", [0.5, 0.7, 0.9], 0.5, 10, 2),
        ("wer", [0.5, 0.7, 0.4, 1.5], 0.4, 30, 1),
        ("bleu", [3.0, 40.0, 5.0], 40.0, 20, 1),
        ("chrf", [3.0, 2.0], 3.0, 10, 1),
        ("nll", [math.nan, 1.0, math.nan], 1.0, 20, 1),
        ("exact", [0.5, math.inf], 0.5, 10, 1),
        ("nll", [1.0, -math.inf], 1.0, 10, 1),
        ("exact", [math.nan, math.inf], None, -1, 2),
    ],
)
def test_the_best_is_kept_and_waiting_counted(metric, values, best, step, waited):
    progress = after(metric, values)
    assert (progress.best, progress.best_step, progress.waited) == (best, step, waited)
    assert progress.evaluated == 10 * len(values)


def test_an_evaluation_changes_no_sum_and_json_keeps_everything():
    progress = Progress(loss=1.5, tokens=7.0, seconds=0.25)
    later = progress.after_evaluation(3, "exact", {"exact": 0.5, "nll": 1.0})
    assert (later.loss, later.tokens, later.seconds) == (1.5, 7.0, 0.25)
    assert Progress(**json.loads(json.dumps(later.to_json()))) == later

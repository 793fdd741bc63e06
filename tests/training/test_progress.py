"""What the loop remembers of its evaluations."""

import json
import math

import pytest

from s2sjax.training.progress import Progress


def after(metric, values):
    progress = Progress()
    for step, value in enumerate(values, start=1):
        progress = progress.after_evaluation(step * 10, metric, value)
    return progress


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
    later = progress.after_evaluation(3, "exact", 0.5)
    assert (later.loss, later.tokens, later.seconds) == (1.5, 7.0, 0.25)
    assert Progress(**json.loads(json.dumps(later.to_json()))) == later

"""What a call of many steps reported, and what the host makes of it."""

import numpy as np
import pytest

from s2sjax.runs.progress import Progress
from s2sjax.training.dispatch import Dispatch
from s2sjax.training.state import StepMetrics

NAN, INF = np.nan, np.inf


def dispatch(loss=(1, 1, 1), grad_norm=(1, 1, 1), param_norm=2.0):
    ones = np.ones(3, np.float32)
    steps = StepMetrics(np.float32(loss), ones, np.float32(grad_norm), ones / 2)
    return Dispatch(steps, param_norm, 0.5)


@pytest.mark.parametrize(
    ("reported", "said"),
    [
        (dispatch(), ""),
        (
            dispatch(loss=(1, NAN, NAN), grad_norm=(7, NAN, NAN)),
            "step 12: loss nan, gradient norm nan (7 a step earlier)",
        ),
        (dispatch(grad_norm=(INF, 1, 1)), "step 11: loss 1.0, gradient norm inf"),
        (
            dispatch(param_norm=INF),
            "step 13: loss 1.0, gradient norm 1.0 (1 a step earlier), norm of the "
            "parameters inf",
        ),
    ],
)
def test_the_first_step_that_is_not_finite_is_named(reported, said):
    error = reported.divergence(10)
    assert error == (said and f"training diverged at {said}")


def test_sums_are_logged_and_begin_anew():
    first, second = dispatch(loss=(1, 2, 3)), dispatch(loss=(6, 6, 6))
    progress = second.added_to(first.added_to(Progress()))
    assert second.line(progress, epoch=0.5) == {
        "loss": 24 / 6,
        "grad_norm": 1.0,
        "param_norm": 2.0,
        "learning_rate": 0.5,
        "seconds": 1.0,
        "epoch": 0.5,
    }
    after = progress.logged()
    assert (after.loss, after.tokens, after.seconds) == (0, 0, 1.0)
    assert "epoch" not in second.line(progress, None)

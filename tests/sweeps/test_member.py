"""What a trial among others makes of its own steps."""

import numpy as np
import pytest

from s2sjax.sweeps.member import Member
from s2sjax.training import journal
from s2sjax.training.state import StepMetrics


def steps(**columns):
    """What three steps said; by name, the columns that are not all ones."""
    ones = {name: np.ones(3, np.float32) for name in StepMetrics._fields}
    return StepMetrics(**ones | columns)


@pytest.fixture
def member(tmp_path, trials):
    return Member.of(trials(1)[0], tmp_path)


@pytest.mark.parametrize(
    ("columns", "norm", "said"),
    [
        ({"loss": np.float32([1, np.nan, np.nan])}, 2.0, "step 2: loss nan"),
        ({"grad_norm": np.float32([np.inf, 1, 1])}, 2.0, "step 1: gradient norm inf"),
        ({}, np.inf, "step 3: norm of the parameters inf"),
        (
            {"loss": np.float32([1, 1, np.inf])},
            np.nan,
            "step 3: loss inf, norm of the parameters nan",
        ),
    ],
)
def test_only_what_is_not_finite_is_named(member, columns, norm, said):
    error = member.advanced(steps(**columns), norm, 0.5, 4)
    assert error == f"training diverged at {said}" and member.ended == "failed"
    assert np.isfinite(member.progress.loss)


def test_sums_are_logged_and_begin_anew(member):
    loss = np.float32([1, 2, 3])
    assert member.advanced(steps(loss=loss), 2.0, 0.5, 4) == "" == member.ended
    assert (member.step, member.progress.loss, member.progress.tokens) == (3, 6, 3)
    assert journal.read(member.directory / "metrics.jsonl") == []
    last = StepMetrics(*(column[:1] for column in steps()))
    last = last._replace(loss=np.float32([4]), tokens=np.float32([2]))
    member.advanced(last, 2.0, 0.5, 4)
    (line,) = journal.read(member.directory / "metrics.jsonl")
    assert (line["step"], line["loss"], line["param_norm"]) == (4, 10 / 5, 2.0)
    assert member.progress.loss == 0 and member.progress.seconds == 1.0

"""What a trial among others makes of its own steps."""

import numpy as np
import pytest

from s2sjax.runs import journal
from s2sjax.sweeps.batched.replica import Member
from s2sjax.training.dispatch import Dispatch
from s2sjax.training.state import StepMetrics


def steps(*loss):
    ones = np.ones(len(loss), np.float32)
    return Dispatch(StepMetrics(np.float32(loss), ones, ones, ones), 2.0, 0.5)


@pytest.fixture
def member(tmp_path, trials):
    return Member.of(trials(1)[0], tmp_path)


def test_what_diverges_has_failed_and_adds_nothing(member):
    error = member.advanced(steps(1, np.nan, np.nan), 4)
    assert error.startswith("training diverged at step 2: loss nan")
    assert member.ended == "failed" and member.progress.loss == 0


def test_a_line_is_written_when_one_is_due(member):
    assert member.advanced(steps(1, 2, 3), 4) == "" == member.ended
    assert (member.step, member.progress.loss, member.progress.tokens) == (3, 6, 3)
    assert journal.read(member.directory / "metrics.jsonl") == []
    assert member.advanced(steps(4), 4) == ""
    (line,) = journal.read(member.directory / "metrics.jsonl")
    assert (line["step"], line["loss"], line["param_norm"]) == (4, 10 / 4, 2.0)
    assert member.progress.loss == 0 and member.progress.seconds == 1.0

"""Quality in numbers, against plain Python."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sjax import outcomes
from s2sjax.benchmark.outputs import Outputs, References
from s2sjax.benchmark.quality import calibration_error, quality
from s2sjax.types import EOS

PAIRS = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 1), st.integers(0, 15).map(lambda n: n / 15)),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@given(PAIRS)
def test_calibration_is_that_of_a_plain_loop(pairs):
    edges = np.linspace(0, 1, 16)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = [
            (confidence, right)
            for confidence, right in pairs
            if low < confidence <= high or (confidence == 0 == low)
        ]
        if inside:
            confidence = sum(pair[0] for pair in inside) / len(inside)
            accuracy = sum(pair[1] for pair in inside) / len(inside)
            total += len(inside) / len(pairs) * abs(accuracy - confidence)
    confidences, right = map(np.array, zip(*pairs, strict=True))
    assert calibration_error(confidences, right) == pytest.approx(total, abs=1e-9)


def test_a_calibrated_model_has_no_error():
    confidences = np.full(10, 0.7)
    assert calibration_error(confidences, np.arange(10) < 7) == pytest.approx(0)
    assert calibration_error(confidences, np.arange(10) < 2) == pytest.approx(0.5)


def rows(*texts):
    width = max(map(len, texts))
    return np.array([[*text, *[0] * (width - len(text))] for text in texts], np.int32)


def written():
    """Right; one symbol wrong; empty; right but cut at its limit."""
    tokens = rows([4, 5, EOS], [4, 6, EOS], [EOS], [4, 5])
    right = rows([4, 5, EOS], [4, 5, EOS], [4, 5, EOS], [4, 5, EOS])
    truncated = np.array([False, False, False, True])
    found = Outputs(
        tokens[:, None],
        np.array([3, 3, 1, 2])[:, None],
        np.ones((4, 1), bool),
        truncated[:, None],
        np.log(np.array([0.5, 0.25, 0.25, 1.0], np.float32))[:, None],
        None,
    )
    references = References(right, right, np.full(4, 3), np.zeros(4, np.float32))
    return found, references


def test_quality_counts_what_it_says():
    measured = quality(*written())
    assert measured.exact == 1 / 4
    assert measured.token_accuracy == pytest.approx((2 + 1 + 0 + 2) / 8)
    assert measured.edit_distance == pytest.approx((0 + 1 + 2 + 0) / 8)
    assert measured.logprob == pytest.approx((math.log(0.5) + 2 * math.log(0.25)) / 4)
    assert measured.length_ratio == pytest.approx((1 + 1 + 1 / 3 + 2 / 3) / 4)
    assert measured.truncated == 1 / 4
    # Bins: 0.25 twice (none right), 0.5 (right), 1.0 (cut, so not right).
    assert measured.calibration_error == pytest.approx((0.5 + 0.5 + 1.0) / 4)


def test_an_output_is_right_where_a_further_reference_is():
    decoded, references = written()
    counts = np.array([0, 1, 0, 1], np.int32)
    more = np.array([4, 6, 5, 5, 5], np.int32), np.array([2, 3], np.int32)
    further = outcomes.References(*more, counts)
    measured = quality(decoded, references._replace(further=further))
    assert measured.exact == 2 / 4
    assert measured.edit_distance == pytest.approx((0 + 0 + 2 + 0) / 8)

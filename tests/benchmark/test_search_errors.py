"""Search errors against plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax.benchmark.outputs import Outputs
from s2sjax.benchmark.search_errors import best_known, search_errors
from s2sjax.decoding.base import Rules
from s2sjax.decoding.goals import Goal, goal
from s2sjax.decoding.scores import Normaliser
from s2sjax.decoding.strategies import decoding
from s2sjax.errors import UsageError

NORMALISERS = [Normaliser(), Normaliser("average", 1.0), Normaliser("gnmt", -0.5)]


def outputs(draw, examples, count, proved=False):
    lengths = draw.integers(1, 9, (examples, count)).astype(np.int32)
    valid = draw.random((examples, count)) < 0.8
    valid[:, 0] = True
    truncated = valid & (draw.random((examples, count)) < 0.2)
    return Outputs(
        np.zeros((examples, count, 9), np.int32),
        lengths,
        valid,
        truncated,
        -draw.integers(1, 30, (examples, count)).astype(np.float32),
        draw.random((examples, count)) < 0.5 if proved else None,
    )


def plain_score(log_prob, length, normaliser):
    base = {"none": 1.0, "average": length, "gnmt": (5 + length) / 6}[normaliser.kind]
    return log_prob / base**normaliser.alpha


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from(NORMALISERS))
def test_search_errors_are_those_of_a_plain_loop(seed, normaliser):
    draw = np.random.default_rng(seed)
    own = Goal(normaliser, Rules())
    others = [
        goal("beam:alpha=0.7"),
        goal("greedy"),
        Goal(normaliser, Rules(2.0)),
        None,
    ]
    pool = [(own, outputs(draw, 12, 2))]
    pool += [(each, outputs(draw, 12, 3)) for each in others]
    found = search_errors(own, pool[0][1], best_known(own, pool))
    for place in range(12):
        known = -math.inf
        for its, written in pool:
            if its is None or its.rules != own.rules:
                continue
            for n in range(written.valid.shape[1]):
                if written.valid[place, n] and not written.truncated[place, n]:
                    score = plain_score(
                        float(written.log_probs[place, n]),
                        int(written.lengths[place, n]),
                        normaliser,
                    )
                    known = max(known, score)
        mine = pool[0][1]
        score = plain_score(
            float(mine.log_probs[place, 0]), int(mine.lengths[place, 0]), normaliser
        )
        wrong = known > -math.inf and (
            bool(mine.truncated[place, 0]) or score < known - 1e-4
        )
        assert found[place] == wrong


def test_only_a_search_for_the_same_goal_proves_anything():
    draw = np.random.default_rng(0)
    own = Goal(Normaliser("average", 1.0), Rules())
    exact = outputs(draw, 8, 1, proved=True)
    beam = outputs(draw, 8, 1)
    assert best_known(own, [(own, beam), (goal("greedy"), exact)]).proved is None
    best = best_known(own, [(own, beam), (own, exact)])
    np.testing.assert_array_equal(best.proved, exact.proved[:, 0])


def test_rounding_is_no_search_error():
    one = outputs(np.random.default_rng(0), 1, 1)._replace(
        truncated=np.zeros((1, 1), bool)
    )
    own = goal("greedy")
    for gain, wrong in ((5e-5, False), (5e-4, True)):
        better = one._replace(log_probs=(one.log_probs.astype(float) + gain))
        best = best_known(own, [(own, one), (own, better)])
        assert search_errors(own, one, best).tolist() == [wrong]


@pytest.mark.parametrize(
    ("strategy", "kind", "alpha"),
    [
        ("greedy", "none", 0.0),
        ("sample:temperature=0.5", "none", 0.0),
        ("beam:size=2", "none", 0.0),
        ("beam:alpha=-0.5", "average", -0.5),
        ("beam:normaliser=gnmt", "gnmt", 0.6),
        ("rerank", "average", 1.0),
        ("rerank:by=logprob", "none", 0.0),
    ],
)
def test_a_strategy_has_its_own_normaliser(strategy, kind, alpha):
    assert goal(strategy).normaliser == Normaliser(kind, alpha)


@pytest.mark.parametrize(
    "strategy", ["beam:alpha=0.5,no_repeat=2,min_ratio=0.5", "greedy"]
)
def test_the_reference_gets_the_goal_of_a_strategy(strategy):
    own = goal(strategy)
    reference = own.of("beam:size=50,alpha=2.0,min_extra=3")
    assert goal(reference) == own
    assert decoding(reference).strategy.keywords["size"] == 50


def test_a_penalty_for_coverage_is_no_log_probability():
    assert goal("beam:coverage=0.5") is None
    with pytest.raises(UsageError, match="greedy"):
        goal("gredy")

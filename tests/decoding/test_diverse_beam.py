"""Diverse beam search against the same rule in plain Python, and against `beam`."""

from functools import cache, partial

import numpy as np
import pytest

from s2sjax.decoding.beam import beam
from s2sjax.decoding.diverse_beam import diverse_beam
from s2sjax.types import EOS
from tests.decoding.table_model import (
    Models,
    assert_a_batch_is_its_rows,
    assert_is_nbest,
    assert_same,
    listed,
)

V, WIDTH = 7, 6
MODELS = Models(200, V, WIDTH, seed=1)
ORACLES = MODELS.oracles()
LIMITS = np.random.default_rng(2).integers(1, WIDTH + 1, MODELS.count)


def diverse_search(oracle, limit, size, groups, diversity, n, alpha):
    """Every group in turn, every continuation in a list, until the limit."""
    share = size // groups
    groups_live = [[((), 0.0)] for _ in range(groups)]
    complete, cut = {}, None
    for _ in range(limit):
        written = np.zeros(V)
        for group, live in enumerate(groups_live):
            ranked = sorted(
                (
                    (total + log_prob - diversity * written[token], prefix, token)
                    for prefix, total in live
                    for token, log_prob in enumerate(oracle.next(prefix))
                    if log_prob > -np.inf
                ),
                key=lambda candidate: -candidate[0],
            )
            chosen = [
                (*prefix, token) for _, prefix, token in ranked[:share] if token == EOS
            ]
            complete.update((tokens, oracle.score(tokens)) for tokens in chosen)
            going_on = [(*prefix, t) for _, prefix, t in ranked if t != EOS][:share]
            groups_live[group] = [(each, oracle.score(each)) for each in going_on]
            for tokens in chosen + going_on:
                written[tokens[-1]] += 1
        alive = [each for live in groups_live for each in live]
        cut = max(alive, key=lambda each: each[1]) if alive else cut
    if not complete:
        return [cut[0]]
    ranked = sorted(complete, key=lambda each: -complete[each] / len(each) ** alpha)
    return ranked[:n]


@cache
def strategy(size, groups, diversity, n, alpha, **arguments):
    its = {"groups": groups, "diversity": diversity, "n": n, "alpha": alpha}
    return partial(diverse_beam, size=size, **its, **arguments)


SETTINGS = [
    (6, 3, 1.0, 6, 0.0),
    (6, 3, 0.0, 6, 0.0),  # all groups do the same
    (4, 2, 2.0, 4, 1.0),
    (12, 2, 0.3, 3, -0.5),  # a group is wider than the first level
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_is_the_rule_in_plain_python(setting):
    found = MODELS.decode(strategy(*setting), LIMITS)
    assert_is_nbest(found, MODELS, LIMITS)
    for row, oracle in enumerate(ORACLES):
        assert listed(found, row) == diverse_search(oracle, LIMITS[row], *setting), row
    alpha = setting[-1]
    normalised = found.aux["logprob"] / np.maximum(found.lengths, 1) ** alpha
    np.testing.assert_allclose(
        found.scores[found.valid], normalised[found.valid], rtol=1e-5
    )


def test_one_group_is_beam_search():
    one = MODELS.decode(strategy(6, 1, 0.7, 6, 1.0), LIMITS)
    assert_same(one, MODELS.decode(partial(beam, size=6, n=6, alpha=1.0), LIMITS))


def test_diversity_makes_groups_differ():
    apart, alike = (MODELS.decode(strategy(*each), LIMITS) for each in SETTINGS[:2])
    # Without the term all groups do the same, and find what one of them finds.
    for row, oracle in enumerate(ORACLES):
        one = diverse_search(oracle, LIMITS[row], 2, 1, 0.0, 6, 0.0)
        assert listed(alike, row) == one
    begins = [
        np.mean([len({each[0] for each in listed(found, row)}) for row in MODELS.rows])
        for found in (alike, apart)
    ]
    assert begins[1] > begins[0] + 0.5


def test_nothing_else_changes_the_result():
    setting = SETTINGS[0]
    found = MODELS.decode(strategy(*setting), LIMITS)
    assert 0 < found.truncated.sum() < MODELS.count
    assert_same(found, MODELS.decode(strategy(*setting, early=False), LIMITS))
    assert_a_batch_is_its_rows(MODELS, strategy(*setting), LIMITS)

"""Diverse beam search against the same rule in plain Python, and against `beam`."""

from functools import cache, partial

import numpy as np
import pytest

from s2sjax.decoding.base import every_step
from s2sjax.decoding.beam import beam
from s2sjax.decoding.diverse_beam import diverse_beam
from s2sjax.decoding.scores import Normaliser
from s2sjax.types import EOS
from tests.decoding import table_model
from tests.decoding.table_model import Oracle, listed

MODELS, V, WIDTH = 200, 7, 6
TABLES = table_model.random_tables(MODELS, V, seed=1)
ORACLES = [Oracle(table) for table in TABLES]
ROWS = np.arange(MODELS)
LIMITS = np.random.default_rng(2).integers(1, WIDTH + 1, MODELS).astype(np.int32)


def diverse_search(oracle, limit, size, groups, diversity, count, alpha):
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
    return ranked[:count]


@cache
def decoder(size, groups, diversity, count, alpha, **arguments):
    strategy = partial(
        diverse_beam,
        size=size,
        groups=groups,
        diversity=diversity,
        count=count,
        normaliser=Normaliser("average", alpha) if alpha else Normaliser(),
        **arguments,
    )
    return table_model.decoder(strategy, WIDTH)


SETTINGS = [
    (6, 3, 1.0, 6, 0.0),
    (6, 3, 0.0, 6, 0.0),  # all groups do the same
    (4, 2, 2.0, 4, 1.0),
    (12, 2, 0.3, 3, -0.5),  # a group is wider than the first level
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_is_the_rule_in_plain_python(setting):
    found = decoder(*setting)(TABLES, ROWS, LIMITS)
    table_model.assert_sound(found, TABLES, LIMITS)
    for row in range(MODELS):
        expected = diverse_search(ORACLES[row], LIMITS[row], *setting)
        assert listed(found, row) == expected, row
    alpha = setting[-1]
    normalised = found.aux["logprob"] / np.maximum(found.lengths, 1) ** alpha
    np.testing.assert_allclose(
        found.scores[found.valid], normalised[found.valid], rtol=1e-5
    )


def test_one_group_is_beam_search():
    one = decoder(6, 1, 0.7, 6, 1.0)(TABLES, ROWS, LIMITS)
    plain = partial(beam, size=6, count=6, normaliser=Normaliser("average", 1.0))
    other = table_model.decoder(plain, WIDTH)(TABLES, ROWS, LIMITS)
    for left, right in zip(one[:-1], other[:-1], strict=True):
        np.testing.assert_array_equal(left, right)


def test_diversity_makes_groups_differ():
    apart, alike = (decoder(*setting)(TABLES, ROWS, LIMITS) for setting in SETTINGS[:2])
    # Without the term all groups do the same, and find what one of them finds.
    for row in range(MODELS):
        one = diverse_search(ORACLES[row], LIMITS[row], 2, 1, 0.0, 6, 0.0)
        assert listed(alike, row) == one
    begins = [
        np.mean([len({tokens[0] for tokens in listed(each, row)}) for row in ROWS])
        for each in (alike, apart)
    ]
    assert begins[1] > begins[0] + 0.5


def test_nothing_else_changes_the_result():
    setting = SETTINGS[0]
    found = decoder(*setting)(TABLES, ROWS, LIMITS)
    assert 0 < found.truncated.sum() < MODELS
    patient = decoder(*setting, early=False, drive=every_step)(TABLES, ROWS, LIMITS)
    table_model.assert_same(found, patient)
    order = np.random.default_rng(0).permutation(MODELS)
    shuffled = decoder(*setting)(TABLES, ROWS[order], LIMITS[order])
    table_model.assert_same(shuffled, found, order)
    for row in range(3):
        only = np.full(MODELS, row)
        alone = decoder(*setting)(TABLES, only, LIMITS[only])
        table_model.assert_same(alone, found, only)


def test_prefixes_and_bans_are_obeyed():
    random = np.random.default_rng(4)
    prefixes = random.integers(3, V, (MODELS, 2)).astype(np.int32)
    prefixes[::3, 1] = 0
    prefixes[::5] = 0
    banned = np.zeros((MODELS, V), bool)
    banned[ROWS, random.integers(3, V, MODELS)] = True
    found = decoder(*SETTINGS[0])(
        TABLES, ROWS, LIMITS, prefixes=prefixes, banned=banned
    )
    table_model.assert_sound(found, TABLES, LIMITS)
    for row in range(MODELS):
        wanted = tuple(token for token in prefixes[row].tolist() if token)
        for tokens in listed(found, row):
            assert tokens[: len(wanted)] == wanted[: len(tokens)]
            assert not banned[row, list(tokens[len(wanted) :])].any()

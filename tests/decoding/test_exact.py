"""Exact search against the enumeration of every sequence, on random models."""

import itertools
from functools import cache, partial

import numpy as np
import pytest

from s2sjax.decoding.beam import beam
from s2sjax.decoding.exact import Frontier, Nodes, exact, frontier
from s2sjax.types import EOS
from tests.decoding.table_model import (
    Models,
    assert_a_batch_is_its_rows,
    assert_is_nbest,
    nbest,
    normalise,
)

V, WIDTH, COUNT, N = 7, 5, 240, 3  # at most 341 prefixes
SYMBOLS = range(3, V)
random = np.random.default_rng(17)

# Some models are sure and some are not, some tokens are impossible, and of the last
# models some cannot end at all.
MODELS = Models(COUNT, V, WIDTH, seed=17, scale=1.0)
MODELS.logits *= random.choice([0.3, 1.0, 3.0], (COUNT, 1, 1)).astype(np.float32)
MODELS.logits[random.random(MODELS.logits.shape) < 0.1] = -np.inf
MODELS.logits[-12:, :, EOS] = -np.inf
LIMITS = random.integers(1, WIDTH + 1, COUNT)
LIMITS[-20:-12] = 0
ROWS = MODELS.rows
AMPLE = {"n": N, "budget": 350, "capacity": 350, "size": 2}


@cache
def strategy(**arguments):
    return partial(exact, **arguments)


@cache
def sequences():
    """[(log p, tokens)] of every row."""
    return [
        oracle.complete(limit)
        for oracle, limit in zip(MODELS.oracles(), LIMITS, strict=True)
    ]


def truth(by, fits=lambda row, tokens: True):
    """For each row, (score, tokens) of every sequence that fits, best first."""
    return [
        sorted(
            (
                (by(p, len(each)), each)
                for p, each in sequences()[row]
                if fits(row, each)
            ),
            reverse=True,
        )
        for row in ROWS
    ]


def complete(found, row):
    """The complete hypotheses of a row as (score, tokens)."""
    return [] if found.truncated[row, 0] else nbest(found, row)


def assert_scores(got, every):
    """Each is what it says, whatever stands at equal scores."""
    scores = {tokens: score for score, tokens in every}
    np.testing.assert_allclose(
        [score for score, _ in got],
        [scores[tokens] for _, tokens in got],
        rtol=1e-5,
        atol=1e-6,
    )


def assert_is_n_best(found, row, every):
    got = complete(found, row)
    best = [score for score, _ in every[:N]]
    np.testing.assert_allclose([s for s, _ in got], best, rtol=1e-5, atol=1e-6)
    assert_scores(got, every)


@pytest.mark.parametrize(
    ("kind", "alpha"), [("average", -0.5), ("average", 1.0), ("gnmt", 2.0), (None, 0)]
)
def test_all_n_best_are_those_of_enumeration(kind, alpha):
    arguments = {"normaliser": kind, "alpha": alpha} if kind else {}
    found = MODELS.decode(strategy(**AMPLE, **arguments), LIMITS)
    every = truth(normalise(kind, alpha))
    for row in ROWS:
        assert_is_n_best(found, row, every[row])
    assert_is_nbest(found, MODELS, LIMITS)
    assert found.aux["proved"].all()
    ended = found.valid & ~found.truncated
    bounds = np.where(ended, found.scores, -np.inf)
    np.testing.assert_array_equal(found.aux["bound"], bounds)
    assert {len(each) for each in every} >= {0, 1, N + 1}  # short lists are among them
    # What cannot end, and what may not begin, gives one that is cut.
    assert found.truncated[-20:, 0].all() and not found.valid[-20:, 1:].any()
    assert not found.lengths[-20:-12].any()


@pytest.mark.parametrize(
    ("kind", "alpha", "budget", "capacity", "size"),
    [
        ("average", -0.5, 4, 4, 2),
        ("average", 0.6, 8, 200, 4),
        ("average", 2.0, 200, 3, 3),
        ("gnmt", 1.0, 12, 5, 1),
        ("average", 0, 1, 1, 1),
    ],
)
def test_the_certificate_holds_where_the_search_was_cut_short(
    kind, alpha, budget, capacity, size
):
    room = {"budget": budget, "capacity": capacity, "size": size}
    run = strategy(n=N, normaliser=kind, alpha=alpha, **room)
    found = MODELS.decode(run, LIMITS)
    every = truth(normalise(kind, alpha))
    for row in ROWS:
        best = [score for score, _ in every[row]] + [-np.inf] * N
        got = [score for score, _ in complete(found, row)]
        got += [-np.inf] * (N - len(got))
        bound, proved = found.aux["bound"][row], found.aux["proved"][row]
        assert (bound >= np.array(best[:N]) - 1e-5).all()
        assert (bound >= got).all()
        np.testing.assert_array_equal(proved, bound <= got)
        np.testing.assert_allclose(
            np.array(got)[proved], np.array(best[:N])[proved], rtol=1e-5, atol=1e-6
        )
        assert_scores(complete(found, row), every[row])
    proved = found.aux["proved"][LIMITS > 1]
    assert proved.any() and not proved.all()


def test_a_search_cut_short_is_never_worse_than_the_beam():
    seed = MODELS.decode(partial(beam, size=2, n=2), LIMITS)
    found = MODELS.decode(strategy(n=2, budget=2, capacity=2, size=2), LIMITS)
    known = seed.valid & ~seed.truncated
    assert (found.valid & ~found.truncated)[known].all()
    assert (found.scores >= seed.scores - 1e-6)[known].all()
    assert (found.scores > seed.scores + 1e-3)[known].any()


def test_constraints_hold_and_nothing_better_obeys_them():
    minimums = random.integers(0, 4, COUNT)
    prefixes = np.zeros((COUNT, 2), np.int32)
    prefixes[::2, 0] = random.choice(SYMBOLS, COUNT // 2)
    prefixes[::4, 1] = random.choice(SYMBOLS, COUNT // 4)
    banned = np.zeros((COUNT, V), bool)
    banned[ROWS, random.integers(0, V + 3, COUNT) % V] = random.random(COUNT) < 0.3
    banned[:, EOS] = False
    required = np.zeros((COUNT, 1, 2), np.int32)
    required[::3, 0, 0] = random.choice(SYMBOLS, COUNT // 3)
    required[::6, 0, 1] = random.choice(SYMBOLS, COUNT // 6)
    constraints = {"minimums": minimums, "prefixes": prefixes, "banned": banned}

    def fits(row, tokens):
        prefix = tuple(token for token in prefixes[row] if token)
        phrase = tuple(token for token in required[row, 0] if token)
        pairs = list(itertools.pairwise(tokens))
        starts = range(len(tokens) - len(phrase) + 1)
        return (
            len(tokens) >= max(minimums[row], len(prefix) + 1)
            and tokens[: len(prefix)] == prefix
            and not any(banned[row, token] for token in tokens[len(prefix) :])
            and any(tokens[at : at + len(phrase)] == phrase for at in starts)
            and len(set(pairs)) == len(pairs)
        )

    run = strategy(n=N, size=2, alpha=-0.5, budget=350)
    found = MODELS.decode(run, LIMITS, no_repeat=2, required=required, **constraints)
    every = truth(normalise("average", -0.5), fits)
    for row in ROWS:
        assert_is_n_best(found, row, every[row])
    assert found.aux["proved"].all()
    assert 20 < sum(not each for each in every) < COUNT - 50


def test_a_batch_is_its_rows():
    run = strategy(n=N, budget=20, capacity=12, size=4)
    assert_a_batch_is_its_rows(MODELS, run, LIMITS)


def test_a_frontier_keeps_the_best_and_knows_what_it_dropped():
    batch, room = 30, 4
    held = [[0.0] for _ in range(batch)]
    dropped = np.full(batch, -np.inf)

    def nodes(bounds):
        zeros = np.zeros(bounds.shape, np.int32)
        return Nodes(bounds, bounds, zeros, zeros, zeros)

    kept = frontier(room, nodes(np.zeros((batch, 1), np.float32)))
    for _ in range(12):
        best, kept = kept.pop(2)
        new = -random.exponential(1, (batch, 3)).astype(np.float32)
        threshold = -random.exponential(5, batch).astype(np.float32)
        kept = kept.push(nodes(new)).prune(threshold)
        for row in range(batch):
            first = held[row][:2] + [-np.inf] * (2 - len(held[row][:2]))
            np.testing.assert_array_equal(best.bounds[row], first)
            rest = sorted([*held[row][2:], *new[row]], reverse=True)
            dropped[row] = max([dropped[row], *rest[room:]])
            if dropped[row] <= threshold[row]:
                dropped[row] = -np.inf
            held[row] = [b for b in rest[:room] if b > threshold[row]]
        np.testing.assert_array_equal(kept.dropped, dropped)
        best_of_all = [max([*held[row], dropped[row]]) for row in range(batch)]
        np.testing.assert_array_equal(kept.bound(), best_of_all)
    assert isinstance(kept, Frontier) and (dropped > -np.inf).any()

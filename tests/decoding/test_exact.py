"""Exact search against the enumeration of every sequence, on random table models."""

import functools
import itertools
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding.base import Request, every_step
from s2sjax.decoding.beam import beam
from s2sjax.decoding.exact import Frontier, Nodes, exact, frontier
from s2sjax.decoding.scores import Normaliser
from s2sjax.types import BOS, EOS, StepOutput

V, WIDTH, MODELS, N = 7, 5, 240, 3  # at most 341 prefixes
SYMBOLS = range(3, V)
random = np.random.default_rng(17)

# Some models are sure and some are not, some tokens are impossible, and of the last
# models some cannot end at all.
SCALES = random.choice([0.3, 1.0, 3.0], (MODELS, 1, 1, 1))
LOGITS = (random.normal(0, 1, (MODELS, WIDTH, V, V)) * SCALES).astype(np.float32)
LOGITS[random.random(LOGITS.shape) < 0.1] = -np.inf
LOGITS[..., :EOS] = -np.inf
LOGITS[-12:, :, :, EOS] = -np.inf
LIMITS = random.integers(1, WIDTH + 1, MODELS).astype(np.int32)
LIMITS[-20:-12] = 0
ROWS = np.arange(MODELS)

with np.errstate(invalid="ignore"):
    _shifted = LOGITS.astype(np.float64) - LOGITS.max(axis=-1, keepdims=True)
    _shifted = np.where(np.isnan(_shifted), -np.inf, _shifted)
    _total = np.exp(_shifted).sum(axis=-1, keepdims=True)
    LOG_PROBS = np.where(_total > 0, _shifted - np.log(np.maximum(_total, 1)), -np.inf)

NORMALISERS = [
    *(Normaliser("average", alpha) for alpha in (-0.5, 1.0)),
    Normaliser("gnmt", 2.0),
    Normaliser(),
]
names = [f"{each.kind}{each.alpha}" for each in NORMALISERS]


def step(carry, x):
    row, time = carry
    here = jnp.minimum(time, WIDTH - 1)
    logits = jnp.asarray(LOGITS)[row, here, x]
    return (row, time + 1), StepOutput(logits, {"time": time, "input": x})


def request(rows, limits, **asked):
    keys = jax.vmap(jax.random.key)(rows)
    return Request(WIDTH, limits, keys, **asked)


@functools.partial(jax.jit, static_argnums=(3, 4))
def compiled(rows, limits, asked, no_repeat, arguments):
    start = (rows, jnp.zeros_like(rows))
    wanted = request(rows, limits, no_repeat=no_repeat, **asked)
    return exact(step, start, wanted, **dict(arguments))


def search(rows=ROWS, limits=LIMITS, asked=(), no_repeat=0, **arguments):
    rows = jnp.asarray(rows, jnp.int32)
    given = tuple(arguments.items())
    found = compiled(rows, limits, dict(asked), no_repeat, given)
    return jax.tree.map(np.asarray, found)


@pytest.fixture(scope="module")
def ample():
    """A search with room and time enough, without a normaliser."""
    return search(count=N, budget=350, capacity=350, size=2)


def divisor(normaliser, length):
    base = (5 + length) / 6 if normaliser.kind == "gnmt" else length
    return base**normaliser.alpha


@functools.cache
def sequences(row):
    """(log-probability, tokens) of every possible sequence within the row's limit."""
    found = []
    for body in (b for n in range(LIMITS[row]) for b in product(SYMBOLS, repeat=n)):
        tokens = (*body, EOS)
        pairs = enumerate(zip((BOS, *body), tokens, strict=True))
        log_prob = sum(LOG_PROBS[row, time, *pair] for time, pair in pairs)
        if log_prob > -np.inf:
            found.append((log_prob, tokens))
    return found


def truth(normaliser, fits=lambda row, tokens: True):
    """For each row, (score, tokens) of every sequence that fits, best first."""
    return [
        sorted(
            (
                (log_prob / divisor(normaliser, len(tokens)), tokens)
                for log_prob, tokens in sequences(row)
                if fits(row, tokens)
            ),
            reverse=True,
        )
        for row in ROWS
    ]


def listed(found, row):
    """The complete hypotheses of a row as (score, tokens)."""
    kept = found.valid[row] & ~found.truncated[row]
    tokens = (
        found.tokens[row, n, : found.lengths[row, n]] for n in np.nonzero(kept)[0]
    )
    return list(zip(found.scores[row, kept], map(tuple, tokens), strict=True))


def assert_is_n_best(found, row, every, count):
    got, best = listed(found, row), every[:count]
    assert len(got) == len(best)
    np.testing.assert_allclose(
        [score for score, _ in got], [score for score, _ in best], rtol=1e-5, atol=1e-6
    )
    scores = dict((tokens, score) for score, tokens in every)
    assert len({tokens for _, tokens in got}) == len(got)
    for score, tokens in got:  # each is what it says, whatever stands at equal scores
        np.testing.assert_allclose(score, scores[tokens], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("normaliser", NORMALISERS, ids=names)
def test_all_n_best_are_those_of_enumeration(normaliser, ample):
    plain = normaliser == Normaliser()
    arguments = {"count": N, "budget": 350, "capacity": 350, "size": 2}
    found = ample if plain else search(normaliser=normaliser, **arguments)
    every = truth(normaliser)
    for row in ROWS:
        assert_is_n_best(found, row, every[row], N)
    assert found.aux["proved"].all()
    complete = found.valid & ~found.truncated
    np.testing.assert_array_equal(
        found.aux["bound"], np.where(complete, found.scores, -np.inf)
    )
    assert {len(each) for each in every} >= {0, 1, N + 1}  # short lists are among them


@pytest.mark.parametrize(
    "normaliser, budget, capacity, size",
    [
        (Normaliser("average", -0.5), 4, 4, 2),
        (Normaliser("average", 0.6), 8, 200, 4),
        (Normaliser("average", 2.0), 200, 3, 3),
        (Normaliser("gnmt", 1.0), 12, 5, 1),
        (Normaliser(), 1, 1, 1),
    ],
)
def test_the_certificate_holds_where_the_search_was_cut_short(
    normaliser, budget, capacity, size
):
    count = 3
    arguments = {"count": count, "normaliser": normaliser, "size": size}
    found = search(budget=budget, capacity=capacity, **arguments)
    every = truth(normaliser)
    for row in ROWS:
        best = [score for score, _ in every[row]] + [-np.inf] * count
        got = [score for score, _ in listed(found, row)]
        got += [-np.inf] * (count - len(got))
        bound, proved = found.aux["bound"][row], found.aux["proved"][row]
        assert (bound >= np.array(best[:count]) - 1e-5).all()
        assert (bound >= got).all()
        np.testing.assert_array_equal(proved, bound <= got)
        np.testing.assert_allclose(
            np.array(got)[proved], np.array(best[:count])[proved], rtol=1e-5, atol=1e-6
        )
        scores = dict((tokens, score) for score, tokens in every[row])
        for score, tokens in listed(found, row):
            np.testing.assert_allclose(score, scores[tokens], rtol=1e-5, atol=1e-6)
    proved = found.aux["proved"][LIMITS > 1]
    assert proved.any() and not proved.all()


def test_a_search_cut_short_is_never_worse_than_the_beam():
    limits, rows = jnp.asarray(LIMITS), jnp.asarray(ROWS, jnp.int32)
    start = (rows, jnp.zeros_like(rows))
    seed = jax.jit(lambda: beam(step, start, request(rows, limits), 2, 2))()
    found = search(count=2, budget=2, capacity=2, size=2)
    known = np.asarray(seed.valid & ~seed.truncated)
    assert (found.valid & ~found.truncated)[known].all()
    assert (found.scores >= np.asarray(seed.scores) - 1e-6)[known].all()
    assert (found.scores > np.asarray(seed.scores) + 1e-3)[known].any()


def test_constraints_hold_and_nothing_better_obeys_them():
    minimums = random.integers(0, 4, MODELS).astype(np.int32)
    prefixes = np.zeros((MODELS, 2), np.int32)
    prefixes[::2, 0] = random.choice(SYMBOLS, MODELS // 2)
    prefixes[::4, 1] = random.choice(SYMBOLS, MODELS // 4)
    banned = np.zeros((MODELS, V), bool)
    banned[ROWS, random.integers(0, V + 3, MODELS) % V] = random.random(MODELS) < 0.3
    banned[:, EOS] = False
    required = np.zeros((MODELS, 1, 2), np.int32)
    required[::3, 0, 0] = random.choice(SYMBOLS, MODELS // 3)
    required[::6, 0, 1] = random.choice(SYMBOLS, MODELS // 6)
    asked = {
        "minimums": minimums,
        "prefixes": prefixes,
        "banned": banned,
        "required": required,
    }

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

    normaliser = Normaliser("average", -0.5)
    arguments = {"count": 3, "size": 2, "normaliser": normaliser, "budget": 350}
    found = search(asked=asked, no_repeat=2, **arguments)
    every = truth(normaliser, fits)
    for row in ROWS:
        assert_is_n_best(found, row, every[row], 3)
    assert found.aux["proved"].all()
    assert 20 < sum(not each for each in every) < MODELS - 50


def test_a_row_without_a_complete_hypothesis_gives_one_cut_one(ample):
    found = ample
    cannot_end = slice(MODELS - 12, MODELS)
    assert found.truncated[cannot_end, 0].all()
    assert not found.valid[cannot_end, 1:].any()
    assert not found.truncated[: MODELS // 2, 0].all()
    assert (found.aux["bound"][cannot_end] == -np.inf).all()
    nothing = LIMITS == 0
    assert (found.lengths[nothing] == 0).all() and found.valid[nothing, 0].all()


def test_a_batch_is_its_rows_alone_however_it_is_driven():
    arguments = {"count": 3, "budget": 20, "capacity": 12, "size": 4}
    together = search(**arguments)
    rows = random.permutation(MODELS)
    for again, order in (
        (search(rows, LIMITS[rows], **arguments), rows),
        (search(rows[:1], LIMITS[rows[:1]], **arguments), rows[:1]),
        (search(drive=every_step, **arguments), ROWS),
    ):
        for name in ("tokens", "lengths", "valid", "truncated"):
            np.testing.assert_array_equal(
                getattr(again, name), getattr(together, name)[order]
            )
        np.testing.assert_allclose(again.scores, together.scores[order], rtol=1e-6)
        np.testing.assert_array_equal(
            again.aux["proved"], together.aux["proved"][order]
        )


def test_what_the_step_says_comes_with_each_hypothesis(ample):
    found = ample
    for row, n in np.argwhere(found.valid & ~found.truncated)[::7]:
        length = found.lengths[row, n]
        fed = [BOS, *found.tokens[row, n, : length - 1]]
        assert found.aux["input"][row, n, :length].tolist() == fed
        assert found.aux["time"][row, n, :length].tolist() == list(range(length))


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


def test_a_frontier_too_small_for_a_step_is_refused():
    with pytest.raises(ValueError, match="capacity=4"):
        search(capacity=4, size=8)

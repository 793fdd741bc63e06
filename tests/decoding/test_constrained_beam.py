"""Beam search with required phrases against enumeration, `beam` and its own rule."""

from functools import cache, partial

import numpy as np
import pytest

from s2sjax.decoding.beam import beam
from s2sjax.decoding.constrained_beam import constrained_beam
from s2sjax.types import EOS
from tests.decoding.table_model import (
    Models,
    assert_a_batch_is_its_rows,
    assert_is_nbest,
    assert_same,
    listed,
)

V, WIDTH = 6, 5
MODELS = Models(200, V, WIDTH, seed=5)
ORACLES = MODELS.oracles()
ROWS = MODELS.rows
RANDOM = np.random.default_rng(6)
LIMITS = RANDOM.integers(1, WIDTH + 1, MODELS.count)

# Two phrases of up to two symbols. Some rows have one or none, some have phrases that
# begin alike or that repeat a symbol.
PHRASES = RANDOM.integers(3, V, (MODELS.count, 2, 2)).astype(np.int32)
PHRASES[RANDOM.random((MODELS.count, 2)) < 0.4, 1] = 0
PHRASES[RANDOM.random((MODELS.count, 2)) < 0.2] = 0


def phrases_of(row):
    return [tuple(t for t in phrase.tolist() if t) for phrase in PHRASES[row]]


def stands_in(phrase, tokens):
    size = len(phrase)
    return any(tokens[i : i + size] == phrase for i in range(len(tokens) - size + 1))


def satisfies(tokens, row):
    return all(stands_in(phrase, tokens) for phrase in phrases_of(row))


@cache
def strategy(size, n, alpha=0.0, function=constrained_beam, **arguments):
    return partial(function, size=size, n=n, alpha=alpha, **arguments)


def bank_of(tokens, row):
    """Tokens of whole phrases, and the longest beginning of another at the end."""
    whole, begun = 0, 0
    for phrase in phrases_of(row):
        if stands_in(phrase, tokens):
            whole += len(phrase)
            continue
        for size in range(1, len(phrase)):
            if tokens[-size:] == phrase[:size]:
                begun = max(begun, size)
    return whole + begun


def dealt(candidates, row, size):
    """One from each bank in turn, the fullest first, until there are `size`."""
    banks = {}
    for _, tokens in sorted(candidates, reverse=True):
        bank = bank_of(tuple(t for t in tokens if t != EOS), row)
        if tokens[-1] == EOS and any(phrases_of(row)):
            bank += 1
        banks.setdefault(bank, []).append(tokens)
    order = []
    while any(banks.values()):
        for bank in sorted(banks, reverse=True):
            if banks[bank]:
                order.append(banks[bank].pop(0))
    return order[:size]


def constrained_search(row, limit, size, n, alpha):
    oracle = ORACLES[row]
    live, complete, cut = [()], {}, None
    for _ in range(limit):
        totals = {}
        for prefix in live:
            for token, log_prob in enumerate(oracle.next(prefix)):
                if log_prob > -np.inf and (token != EOS or satisfies(prefix, row)):
                    totals[*prefix, token] = oracle.score(prefix) + log_prob
        pool = set(sorted(totals, key=totals.get, reverse=True)[: 2 * size])
        for prefix in live:
            own = [tokens for tokens in totals if tokens[:-1] == prefix]
            pool.add(max(own, key=totals.get))
            lacks = [p for p in phrases_of(row) if not stands_in(p, prefix)]
            for tokens in own:
                if tokens[-1] == EOS:
                    pool.add(tokens)
                for phrase in lacks:
                    # The longest beginning that stands at the end goes on, or anew.
                    ends = [
                        begun
                        for begun in range(len(phrase))
                        if prefix[len(prefix) - begun :] == phrase[:begun]
                    ]
                    if tokens[-1] in (phrase[max(ends)], phrase[0]):
                        pool.add(tokens)
        candidates = [(totals[tokens], tokens) for tokens in pool]
        for tokens in dealt(candidates, row, size):
            if tokens[-1] == EOS:
                complete[tokens] = totals[tokens]
        going_on = [each for each in candidates if each[1][-1] != EOS]
        live = dealt(going_on, row, size)
        cut = max(live, key=totals.get) if live else cut
    if not complete:
        return [cut]
    ranked = sorted(complete, key=lambda each: -complete[each] / len(each) ** alpha)
    return ranked[:n]


@pytest.mark.parametrize("setting", [(3, 3, 0.0), (7, 4, 1.0)])
def test_it_is_the_rule_in_plain_python(setting):
    found = MODELS.decode(strategy(*setting), LIMITS, required=PHRASES)
    assert_is_nbest(found, MODELS, LIMITS)
    for row in ROWS:
        assert listed(found, row) == constrained_search(row, LIMITS[row], *setting), row


def test_an_exhaustive_beam_is_enumeration():
    size, n, alpha = 3**4 * V, 6, -0.5
    found = MODELS.decode(strategy(size, n, alpha), required=PHRASES)
    assert_is_nbest(found, MODELS)
    for row, oracle in enumerate(ORACLES):
        ranked = sorted(
            (each for each in oracle.complete(WIDTH) if satisfies(each[1], row)),
            key=lambda each: -each[0] / len(each[1]) ** alpha,
        )
        assert listed(found, row) == [tokens for _, tokens in ranked[:n]], row


def test_without_phrases_it_is_beam_search():
    plain = MODELS.decode(strategy(7, 4, 1.0, beam), LIMITS)
    none_at_all = MODELS.decode(strategy(7, 4, 1.0), LIMITS)
    nothing = MODELS.decode(
        strategy(7, 4, 1.0), LIMITS, required=np.zeros_like(PHRASES)
    )
    for found in (none_at_all, nothing):
        assert_same(found, plain)
    # Rows without phrases among rows that have some.
    found = MODELS.decode(strategy(7, 4, 1.0), LIMITS, required=PHRASES)
    free = ROWS[(PHRASES == 0).all(axis=(1, 2))]
    assert len(free)
    some = type(found)(*(leaf[free] for leaf in found[:-1]), {})
    assert_same(some, plain, free)


def test_it_finds_what_a_plain_beam_does_not():
    shares = {}
    for function in (beam, constrained_beam):
        found = MODELS.decode(strategy(3, 3, 0.0, function), required=PHRASES)
        for row in ROWS[~found.truncated[:, 0]]:
            assert all(satisfies(tokens, row) for tokens in listed(found, row))
        shares[function] = np.mean(~found.truncated[:, 0])
    # There is an output that satisfies for every row; the phrases need at most five.
    assert shares[constrained_beam] == 1 and shares[beam] < 0.6


def test_nothing_else_changes_the_result():
    found = MODELS.decode(strategy(3, 3), LIMITS, required=PHRASES)
    assert 0 < found.truncated.sum() < MODELS.count
    patient = MODELS.decode(strategy(3, 3, early=False), LIMITS, required=PHRASES)
    assert_same(found, patient)
    assert_a_batch_is_its_rows(MODELS, strategy(3, 3), LIMITS, required=PHRASES)

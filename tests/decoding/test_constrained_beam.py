"""Beam search with required phrases against enumeration, `beam` and its own rule."""

from functools import cache, partial

import numpy as np
import pytest

from s2sjax.decoding.base import every_step
from s2sjax.decoding.beam import beam
from s2sjax.decoding.constrained_beam import constrained_beam
from s2sjax.decoding.scores import Normaliser
from s2sjax.types import EOS
from tests import oracles
from tests.decoding import table_model
from tests.decoding.table_model import Oracle, listed

MODELS, V, WIDTH = 200, 6, 5
TABLES = table_model.random_tables(MODELS, V, seed=5)
ORACLES = [Oracle(table) for table in TABLES]
ROWS = np.arange(MODELS)
RANDOM = np.random.default_rng(6)
LIMITS = RANDOM.integers(1, WIDTH + 1, MODELS).astype(np.int32)
FULL = np.full(MODELS, WIDTH, np.int32)

# Two phrases of up to two symbols. Some rows have one or none, some have phrases that
# begin alike or that repeat a symbol.
PHRASES = RANDOM.integers(3, V, (MODELS, 2, 2)).astype(np.int32)
PHRASES[RANDOM.random((MODELS, 2)) < 0.4, 1] = 0
PHRASES[RANDOM.random((MODELS, 2)) < 0.2] = 0


def phrases_of(row):
    return [tuple(t for t in phrase.tolist() if t) for phrase in PHRASES[row]]


def stands_in(phrase, tokens):
    size = len(phrase)
    return any(tokens[i : i + size] == phrase for i in range(len(tokens) - size + 1))


def satisfies(tokens, row):
    return all(stands_in(phrase, tokens) for phrase in phrases_of(row))


@cache
def decoder(size, count, alpha=0.0, strategy=constrained_beam, **arguments):
    normaliser = Normaliser("average", alpha) if alpha else Normaliser()
    with_sizes = partial(
        strategy, size=size, count=count, normaliser=normaliser, **arguments
    )
    return table_model.decoder(with_sizes, WIDTH)


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


def constrained_search(row, limit, size, count, alpha):
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
                        n
                        for n in range(len(phrase))
                        if prefix[len(prefix) - n :] == phrase[:n]
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
    return ranked[:count]


@pytest.mark.parametrize("setting", [(3, 3, 0.0), (7, 4, 1.0)])
def test_it_is_the_rule_in_plain_python(setting):
    found = decoder(*setting)(TABLES, ROWS, LIMITS, required=PHRASES)
    table_model.assert_sound(found, TABLES, LIMITS)
    for row in range(MODELS):
        expected = constrained_search(row, LIMITS[row], *setting)
        assert listed(found, row) == expected, row


def test_an_exhaustive_beam_is_enumeration():
    size, count, alpha = 3**4 * V, 6, -0.5
    found = decoder(size, count, alpha)(TABLES, ROWS, FULL, required=PHRASES)
    table_model.assert_sound(found, TABLES, FULL)
    sequences = list(oracles.complete_sequences(V, WIDTH))
    for row, oracle in enumerate(ORACLES):
        ranked = sorted(
            (tokens for tokens in sequences if satisfies(tokens, row)),
            key=lambda tokens: -oracle.score(tokens) / len(tokens) ** alpha,
        )
        assert listed(found, row) == ranked[:count], row


def test_without_phrases_it_is_beam_search():
    plain = decoder(7, 4, 1.0, beam)(TABLES, ROWS, LIMITS)
    nothing = np.zeros_like(PHRASES)
    found = decoder(7, 4, 1.0)(TABLES, ROWS, LIMITS, required=nothing)
    table_model.assert_same(found, plain)
    # Rows without phrases among rows that have some.
    found = decoder(7, 4, 1.0)(TABLES, ROWS, LIMITS, required=PHRASES)
    free = ROWS[(PHRASES == 0).all(axis=(1, 2))]
    assert len(free)
    some = type(found)(*(leaf[free] for leaf in found[:-1]), {})
    table_model.assert_same(some, plain, free)


def test_it_finds_what_a_plain_beam_does_not():
    shares = {}
    for strategy in (beam, constrained_beam):
        found = decoder(3, 3, 0.0, strategy)(TABLES, ROWS, FULL, required=PHRASES)
        for row in ROWS[~found.truncated[:, 0]]:
            assert all(satisfies(tokens, row) for tokens in listed(found, row))
        shares[strategy] = np.mean(~found.truncated[:, 0])
    # There is an output that satisfies for every row; the phrases need at most five.
    assert shares[constrained_beam] == 1 and shares[beam] < 0.6


def test_nothing_else_changes_the_result():
    decode = decoder(3, 3)
    found = decode(TABLES, ROWS, LIMITS, required=PHRASES)
    assert 0 < found.truncated.sum() < MODELS
    patient = decoder(3, 3, early=False, drive=every_step)
    table_model.assert_same(found, patient(TABLES, ROWS, LIMITS, required=PHRASES))
    order = np.random.default_rng(0).permutation(MODELS)
    shuffled = decode(TABLES, ROWS[order], LIMITS[order], required=PHRASES[order])
    table_model.assert_same(shuffled, found, order)
    for row in range(3):
        only = np.full(MODELS, row)
        alone = decode(TABLES, only, LIMITS[only], required=PHRASES[only])
        table_model.assert_same(alone, found, only)


def test_prefixes_and_bans_are_obeyed():
    prefixes = np.random.default_rng(8).integers(3, V, (MODELS, 2)).astype(np.int32)
    prefixes[::3, 1] = 0
    prefixes[::5] = 0
    banned = np.zeros((MODELS, V), bool)
    for row in ROWS:
        free = [t for t in range(3, V) if t not in PHRASES[row]]
        banned[row, free[:1]] = True
    found = decoder(3, 3)(
        TABLES, ROWS, FULL, required=PHRASES, prefixes=prefixes, banned=banned
    )
    table_model.assert_sound(found, TABLES, FULL)
    for row in ROWS:
        wanted = tuple(token for token in prefixes[row].tolist() if token)
        for tokens in listed(found, row):
            assert tokens[: len(wanted)] == wanted
            assert not banned[row, list(tokens[len(wanted) :])].any()
            assert tokens[-1] != EOS or satisfies(tokens, row)

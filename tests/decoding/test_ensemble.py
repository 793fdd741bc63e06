"""Ensembles as one step function."""

from functools import partial

import jax
import numpy as np
import pytest

from s2sjax.decoding.beam import beam
from s2sjax.decoding.ensemble import COMBINATIONS, ensemble
from s2sjax.decoding.sampling import greedy, sample
from tests import oracles
from tests.decoding.table_model import (
    Models,
    Oracle,
    assert_list,
    first_carry,
    nbest,
    request,
)

COUNT = 100
MEMBERS = [Models(COUNT, 6, 4, seed=seed) for seed in (1, 2, 3)]


def decode(members, how, strategy):
    step = ensemble([member.step for member in members], COMBINATIONS[how])
    rows = np.arange(COUNT)
    carry = tuple(first_carry(rows) for _ in members)
    asked = request(rows, np.full(COUNT, 4), 4)
    return jax.tree.map(np.asarray, jax.jit(lambda: strategy(step, carry, asked))())


@pytest.mark.parametrize("how", COMBINATIONS)
def test_a_beam_of_an_ensemble_is_enumeration_of_the_mean(how):
    found = decode(MEMBERS, how, partial(beam, size=27 * 6, n=40))
    each = np.stack([member.log_probs() for member in MEMBERS])
    if how == "probability":
        with np.errstate(divide="ignore"):
            mean = np.log(np.mean(np.exp(each), axis=0))
    else:
        mean = oracles.log_softmax(np.mean(each, axis=0))
    for row in range(COUNT):
        assert_list(nbest(found, row), Oracle(mean[row]).ranked(4))
    # What the members say besides is the mean of it.
    one = MEMBERS[0].decode(partial(beam, size=1))
    np.testing.assert_allclose(
        found.aux["attention"][:, 0, 0], one.aux["attention"][:, 0, 0], rtol=1e-5
    )


def test_one_member_is_itself():
    found, expected = (
        decode(MEMBERS[:1], "probability", greedy),
        MEMBERS[0].decode(greedy),
    )
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)


def test_a_member_may_rule_a_token_out():
    banned = Models(COUNT, 6, 4, seed=4)
    banned.logits[..., 4] = -np.inf
    for how, stays in (("probability", True), ("logprob", False)):
        found = decode([MEMBERS[0], banned], how, partial(sample, n=8))
        assert (found.tokens == 4).any() == stays
        assert np.isfinite(found.scores).all()

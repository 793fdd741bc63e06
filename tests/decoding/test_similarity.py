"""Utilities of whole outputs against sacreBLEU and recursive definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sacrebleu
from sacrebleu.metrics import CHRF

from s2sjax.decoding.similarity import UTILITIES, pairwise
from tests import oracles

B, N, WIDTH = 4, 24, 12
random = np.random.default_rng(5)
LENGTHS = random.integers(0, WIDTH + 1, (B, N)).astype(np.int32)
LENGTHS[:, :3] = (0, 1, WIDTH)
# Few symbols, so that n-grams of high order match and come twice; what stands behind
# the end must not count.
TOKENS = random.integers(3, 6, (B, N, WIDTH)).astype(np.int32)
TOKENS[:, 5] = TOKENS[:, 4]
LENGTHS[:, 5] = LENGTHS[:, 4]


def text(row, n):
    return TOKENS[row, n, : LENGTHS[row, n]].tolist()


def edit_distance(one, other):
    return -oracles.edit_distance(tuple(one), tuple(other))


def exact(one, other):
    return float(one == other)


def bleu(one, other):
    words = [" ".join(map(str, each)) for each in (one, other)]
    return sacrebleu.sentence_bleu(words[0], [words[1]], tokenize="none").score / 100


def chrf(one, other):
    letters = [
        "".join(chr(ord("a") + token) for token in each) for each in (one, other)
    ]
    return CHRF(whitespace=True).sentence_score(letters[0], [letters[1]]).score / 100


REFEREES = {"exact": exact, "edit_distance": edit_distance, "bleu": bleu, "chrf": chrf}


@pytest.mark.parametrize("name", UTILITIES)
def test_every_pair_has_the_utility_that_a_referee_gives_it(name):
    compare = jax.jit(
        lambda tokens, lengths: pairwise(UTILITIES[name], tokens, lengths)
    )
    found = np.asarray(compare(TOKENS, LENGTHS))
    expected = np.array(
        [
            [
                [REFEREES[name](text(row, i), text(row, j)) for j in range(N)]
                for i in range(N)
            ]
            for row in range(B)
        ]
    )
    empty = LENGTHS == 0  # two empty outputs are equal, which sacreBLEU does not say
    both_empty = empty[:, :, None] & empty[:, None]
    best = 0 if name == "edit_distance" else 1
    expected = np.where(both_empty, best, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    itself = found[:, range(N), range(N)]
    np.testing.assert_allclose(itself, best, atol=1e-6)
    assert len(np.unique(found)) > (1 if name == "exact" else 10)


@pytest.mark.parametrize("name", UTILITIES)
def test_hypothesis_and_reference_may_have_different_widths(name):
    one, other = jnp.array([3, 4, 5]), jnp.array([3, 4, 5, 3, 4, 5, 5])
    found = jax.jit(UTILITIES[name])(one, jnp.int32(3), other, jnp.int32(5))
    expected = REFEREES[name]([3, 4, 5], [3, 4, 5, 3, 4])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

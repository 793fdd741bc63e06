"""Sampling against the distributions that it draws from, written out by hand."""

import itertools
import math
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from s2sjax.decoding.filters import Filters
from s2sjax.decoding.sampling import greedy, sample
from s2sjax.types import EOS
from tests import oracles
from tests.decoding.table_model import Models, assert_a_batch_is_its_rows, nbest

P = [0.4, 0.3, 0.2, 0.08, 0.02]


def filtered(probabilities, **arguments):
    log_probs = jnp.log(jnp.asarray(probabilities, jnp.float32))
    return np.exp(np.asarray(Filters(**arguments)(log_probs), np.float64))


@pytest.mark.parametrize(
    ("arguments", "weights"),
    [
        ({"top_k": 1}, [1, 0, 0, 0, 0]),
        ({"top_k": 3}, [4, 3, 2, 0, 0]),
        ({"top_k": 5}, P),
        ({"top_k": 99}, P),
        ({"top_p": 0.39}, [1, 0, 0, 0, 0]),
        ({"top_p": 0.4}, [1, 0, 0, 0, 0]),  # reached, not exceeded
        ({"top_p": 0.41}, [4, 3, 0, 0, 0]),
        ({"top_p": 0.7}, [4, 3, 0, 0, 0]),
        ({"top_p": 0.9}, [4, 3, 2, 0, 0]),
        ({"top_p": 1.0}, P),
        ({"top_p": 1e-9}, [1, 0, 0, 0, 0]),
        ({"min_p": 0.5}, [4, 3, 2, 0, 0]),  # 0.2 is just half of 0.4
        ({"min_p": 0.51}, [4, 3, 0, 0, 0]),
        ({"min_p": 1.0}, [1, 0, 0, 0, 0]),
        ({"epsilon": 0.08}, [40, 30, 20, 8, 0]),
        ({"epsilon": 0.081}, [4, 3, 2, 0, 0]),
        ({"epsilon": 0.9}, [1, 0, 0, 0, 0]),  # the best always stays
        ({"temperature": 0.5}, [p**2 for p in P]),
        ({"temperature": 2.0}, [math.sqrt(p) for p in P]),
        ({"temperature": 0.0}, [1, 0, 0, 0, 0]),
        # In this order: 0.4 / 0.9 and 0.3 / 0.9 of what top_k leaves reach 0.75.
        ({"top_k": 3, "top_p": 0.75}, [4, 3, 0, 0, 0]),
        ({"temperature": 0.5, "top_p": 0.54}, [16, 9, 0, 0, 0]),
        # Surprises 0.92, 1.20, 1.61, 2.53, 3.91 and entropy 1.33: nearest is 0.3.
        ({"typical": 0.2}, [0, 1, 0, 0, 0]),
        ({"typical": 0.45}, [0, 3, 2, 0, 0]),
        ({"typical": 0.55}, [4, 3, 2, 0, 0]),
    ],
)
def test_a_filter_by_hand(arguments, weights):
    expected = np.array(weights) / sum(weights)
    np.testing.assert_allclose(filtered(P, **arguments), expected, rtol=1e-5, atol=1e-7)


def test_of_equal_tokens_the_smaller_id_stays():
    np.testing.assert_allclose(filtered([0.25] * 4, top_k=2), [0.5, 0.5, 0, 0])
    np.testing.assert_allclose(filtered([0.25] * 4, top_p=0.5), [0.5, 0.5, 0, 0])


@given(
    st.lists(st.floats(-20, 20), min_size=2, max_size=12),
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(0.05, 5),
            "top_k": st.integers(1, 15),
            "top_p": st.floats(0.01, 1),
            "min_p": st.floats(0, 1),
            "typical": st.floats(0.01, 1),
            "epsilon": st.floats(0, 0.99),
        },
    ),
)
@settings(max_examples=30, deadline=None)
def test_what_is_left_is_a_distribution_in_the_same_proportions(logits, arguments):
    probabilities = oracles.softmax(np.array(logits) / arguments.get("temperature", 1))
    kept = filtered(oracles.softmax(np.array(logits)), **arguments)
    assert kept.sum() == pytest.approx(1, abs=1e-4)
    here = kept > 1e-6
    assert here.any()
    np.testing.assert_allclose(
        kept[here], probabilities[here] / probabilities[here].sum(), rtol=0.02
    )


def test_masked_tokens_stay_out():
    kept = filtered([0.5, 0.0, 0.5], typical=0.9, temperature=2.0, top_p=0.9)
    np.testing.assert_allclose(kept, [0.5, 0, 0.5], rtol=1e-5)


def test_samples_come_as_often_as_they_are_probable():
    models, draws = Models(2, 6, 3, seed=1), 5000
    found = models.decode(partial(sample, n=draws))
    for row, oracle in enumerate(models.oracles()):
        came = {}
        for score, tokens in nbest(found, row):
            came[tokens] = came.get(tokens, 0) + 1
            assert score == pytest.approx(oracle.score(tokens), abs=1e-5)
        # Complete sequences, and what is cut after three tokens.
        cut = list(itertools.product(range(3, 6), repeat=3))
        everything = [tokens for _, tokens in oracle.complete(3)] + cut
        expected = [draws * np.exp(oracle.score(each)) for each in everything]
        assert sum(expected) == pytest.approx(draws)
        assert set(came) <= set(everything)
        frequent = [index for index, mean in enumerate(expected) if mean >= 5]
        observed = [came.get(everything[index], 0) for index in frequent]
        wanted = [expected[index] for index in frequent]
        observed.append(draws - sum(observed))
        wanted.append(draws - sum(wanted))
        assert stats.chisquare(observed, wanted).pvalue > 1e-4
        assert found.truncated[row].sum() == sum(
            count for tokens, count in came.items() if tokens[-1] != EOS
        )


def test_scores_are_of_the_filtered_distribution_and_logprobs_of_the_model():
    models = Models(40, 7, 5, seed=2)
    found = models.decode(partial(sample, n=4, temperature=0.7, top_k=3))
    for row, oracle in enumerate(models.oracles()):
        for place, (score, tokens) in enumerate(nbest(found, row)):
            log_q = 0.0
            for time, token in enumerate(tokens):
                q = oracles.softmax(np.array(oracle.next(tokens[:time])) / 0.7)
                q[np.argsort(q)[:-3]] = 0
                log_q += np.log(q[token] / q.sum())
            assert score == pytest.approx(log_q, rel=1e-4, abs=1e-5)
            assert found.aux["logprob"][row, place] == pytest.approx(
                oracle.score(tokens), rel=1e-4, abs=1e-5
            )


def test_a_draw_depends_on_its_key_and_number_alone():
    models = Models(30, 7, 5, seed=3)
    five = models.decode(five_samples := partial(sample, n=5))
    three = models.decode(partial(sample, n=3))
    np.testing.assert_array_equal(three.tokens, five.tokens[:, :3])
    assert (models.decode(five_samples, key=1).tokens != five.tokens).any()
    assert_a_batch_is_its_rows(models, five_samples, np.full(30, 5))
    # Rows of one model with keys of their own write different things.
    models.logits[:] = 0.1 * models.logits[0]
    drawn = models.decode(sample)
    assert len({tuple(row) for row in drawn.tokens[:, 0].tolist()}) > 10


def test_a_seed_gives_other_samples_and_the_same_ones_again():
    models = Models(20, 6, 5, seed=0)
    one, other, again = (
        models.decode(partial(sample, seed=seed)).tokens for seed in (1, 2, 1)
    )
    assert (one != other).any() and (one == again).all()


def test_without_temperature_it_is_greedy():
    models = Models(60, 7, 6, seed=4)
    cold = models.decode(partial(sample, n=2, temperature=0.0))
    expected = models.decode(greedy)
    for place in range(2):
        np.testing.assert_array_equal(cold.tokens[:, place], expected.tokens[:, 0])
        np.testing.assert_allclose(
            cold.aux["logprob"][:, place], expected.scores[:, 0], rtol=1e-6
        )
    assert (cold.scores == 0).all()  # certain, under what was drawn from

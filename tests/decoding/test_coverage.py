"""The coverage penalty against the definition, and against no penalty."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.decoding import scores
from s2sjax.decoding.beam import beam
from s2sjax.decoding.scores import Normaliser
from s2sjax.types import StepOutput
from tests.decoding.tables import Tables, assert_is_nbest, assert_same, nbest

MODELS, WIDTH = 100, 4


class Looking(Tables):
    """Attention follows from the last token and the step, so that it can be redone."""

    def step(self, carry, x):
        (row, time), output = super().step(carry, x)
        return (row, time), StepOutput(output.logits, {"attention": self.look(x, time)})

    @staticmethod
    def look(token, time):
        energies = jnp.sin(token[:, None] * 2.0 + time[:, None] + jnp.arange(3.0)[None])
        return jnp.exp(3 * energies) / jnp.sum(
            jnp.exp(3 * energies), axis=1, keepdims=True
        )


def penalty(tokens, source_length, beta):
    looked = np.zeros(3)
    for time, last in enumerate((1, *tokens[:-1])):
        looked += np.asarray(
            Looking.look(jnp.array([last]), jnp.array([time + 1]))[0], np.float64
        )
    return beta * sum(np.log(min(each, 1)) for each in looked[:source_length])


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 1.0])
def test_scores_hold_the_penalty_of_what_was_not_looked_at(alpha):
    models = Looking(MODELS, 5, WIDTH, seed=0)
    source_lengths = jnp.arange(MODELS) % 4
    count = 15
    run = partial(
        beam,
        size=8 * 5,
        count=count,
        normaliser=Normaliser("average", alpha),
        coverage_penalty=0.7,
    )
    found = models.decode(run, source_lengths=source_lengths)
    for row in range(MODELS):
        expected = [
            (
                models.log_prob(row, tokens) / len(tokens) ** alpha
                + penalty(tokens, row % 4, 0.7),
                tokens,
            )
            for _, tokens in models.complete(row)
        ]
        assert_same(nbest(found, row), sorted(expected, reverse=True), 1e-4)
    assert_is_nbest(found)


def test_no_penalty_is_none():
    models = Looking(50, 5, WIDTH, seed=1)
    lengths = jnp.full(50, 3)
    free = models.decode(partial(beam, size=4, count=4))
    zero = models.decode(
        partial(beam, size=4, count=4, coverage_penalty=0.0), source_lengths=lengths
    )
    np.testing.assert_array_equal(free.tokens, zero.tokens)
    np.testing.assert_array_equal(free.scores, zero.scores)


def test_padding_has_no_penalty_and_nothing_is_infinite():
    seen = jnp.array([[[1.0, 0.5, 0.0, 0.0]]])
    for length, expected in ((0, 0), (1, 0), (2, np.log(0.5)), (3, np.log(0.5e-6))):
        found = scores.penalty(seen, jnp.array([length]), 1.0)
        np.testing.assert_allclose(found, [[expected]], rtol=1e-5)


def test_a_model_without_attention_is_refused():
    models = Tables(2, 5, WIDTH, seed=2)

    def blind(carry, x):
        carry, output = models.step(carry, x)
        return carry, output._replace(aux={})

    with pytest.raises(ValueError, match="attention"):
        beam(blind, models.start(), models.request(), coverage_penalty=0.5)

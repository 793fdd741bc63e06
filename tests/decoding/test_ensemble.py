"""Ensembles as one step function, and step functions of other people's models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from s2sjax.decoding.base import Request
from s2sjax.decoding.beam import beam
from s2sjax.decoding.ensemble import COMBINATIONS, ensemble
from s2sjax.decoding.sampling import greedy, sample
from s2sjax.types import EOS, StepOutput
from tests import oracles
from tests.decoding.tables import Tables, assert_is_nbest, assert_same, nbest

MODELS = 100


@pytest.fixture(scope="module")
def members():
    return [Tables(MODELS, 6, 4, seed=seed) for seed in (1, 2, 3)]


@pytest.mark.parametrize("how", COMBINATIONS)
def test_a_beam_of_an_ensemble_is_enumeration_of_the_mean(members, how):
    step = ensemble([member.step for member in members], COMBINATIONS[how])
    carry = tuple(member.start() for member in members)
    request = members[0].request()
    found = jax.jit(lambda: beam(step, carry, request, 27 * 6, 40))()
    found = jax.tree.map(np.asarray, found)
    together = Tables(MODELS, 6, 4, seed=0)
    each = np.stack([member.log_probs for member in members])
    if how == "probability":
        with np.errstate(divide="ignore"):
            mean = np.log(np.mean(np.exp(each), axis=0))
    else:
        mean = oracles.log_softmax(np.mean(each, axis=0))
    together.log_probs = mean
    for row in range(MODELS):
        assert_same(nbest(found, row), together.complete(row))
    looked = np.mean(
        [
            np.asarray(
                member.step(member.start(), jnp.ones(MODELS, int))[1].aux["attention"]
            )
            for member in members
        ],
        axis=0,
    )
    np.testing.assert_allclose(found.aux["attention"][:, 0, 0], looked, rtol=1e-5)


def test_one_member_is_itself(members):
    (member, *_) = members
    step = ensemble([member.step])
    found = greedy(step, (member.start(),), member.request())
    expected = greedy(member.step, member.start(), member.request())
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_a_member_may_rule_a_token_out(members):
    banned = Tables(MODELS, 6, 4, seed=4)
    banned.logits[..., 4] = -np.inf
    pair = [members[0], banned]
    for how, stays in (("probability", True), ("logprob", False)):
        step = ensemble([member.step for member in pair], COMBINATIONS[how])
        carry = tuple(member.start() for member in pair)
        request = pair[0].request()
        run = jax.jit(lambda s=step, c=carry, r=request: sample(s, c, r, count=8))
        found = run()
        assert (np.asarray(found.tokens) == 4).any() == stays
        assert np.isfinite(found.scores).all()


class Foreign(nnx.Module):
    """A recurrent language model of another library, with a state of its own kind."""

    def __init__(self, rngs):
        self.embed = nnx.Embed(7, 5, rngs=rngs)
        self.cell = nnx.GRUCell(5, 6, rngs=rngs)
        self.out = nnx.Linear(6, 7, rngs=rngs)

    def __call__(self, state, token):
        state, h = self.cell(state, self.embed(token))
        return state, 4 * self.out(h)


def test_a_model_of_another_library_is_decoded():
    graph, params = nnx.split(Foreign(nnx.Rngs(0)))
    start = jax.random.normal(jax.random.key(1), (20, 6)) * 2

    @jax.jit
    def decode(params, start):
        def step(carry, token):
            carry, logits = nnx.merge(graph, params)(carry, token)
            allowed = (jnp.arange(7) >= EOS)[None]
            return carry, StepOutput(jnp.where(allowed, logits, -jnp.inf), {})

        request = Request(5, jnp.full(20, 5), None)
        return beam(step, start, request, size=4, count=4)

    found = jax.tree.map(np.asarray, decode(params, start))
    assert_is_nbest(found)
    call = jax.jit(lambda state, token: nnx.merge(graph, params)(state, token))
    for row in range(3):  # the loop calls the model for every prefix
        memory = {}

        def next_log_probs(tokens, row=row, memory=memory):
            before = memory.get(tokens[:-1], start[row]) if tokens else start[row]
            state, logits = call(before, jnp.int32(tokens[-1] if tokens else 1))
            memory[tokens] = state
            logits = np.array(logits, np.float64)
            logits[:EOS] = -np.inf
            return oracles.log_softmax(logits)

        expected, _ = oracles.beam(next_log_probs, 4, 5, 4)
        assert_same(nbest(found, row), expected, 1e-4)

"""The door of every strategy: any step function, and what is refused of one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from s2sjax.decoding.base import Request, log_probs
from s2sjax.decoding.beam import beam
from s2sjax.decoding.sampling import greedy, sample
from s2sjax.decoding.stochastic_beam import stochastic_beam
from s2sjax.decoding.strategies import STRATEGIES
from s2sjax.errors import UsageError
from s2sjax.types import BOS, EOS, StepOutput
from tests import oracles
from tests.decoding.table_model import assert_list, nbest

B, V = 3, 7
TABLE = np.random.default_rng(0).normal(0, 2, (V, V)).astype(np.float32)
TABLE[:, :EOS] = -np.inf
BIGRAMS = oracles.log_softmax(TABLE.astype(np.float64))


def bigram(carry, token):
    """The smallest decoder: p(y_t | y_{t-1}) out of a table, and no state at all."""
    return carry, StepOutput(jnp.asarray(TABLE)[token], {})


def numpy(tree):
    return jax.tree.map(np.asarray, tree)


def next_of(tokens):
    return BIGRAMS[tokens[-1] if tokens else BOS]


def test_a_table_of_bigrams_is_decoded():
    carry, key = jnp.zeros(B), jax.random.key(0)
    found = numpy(jax.jit(lambda: greedy(bigram, carry, limit=6))())
    tokens, score, cut = oracles.greedy(
        lambda _, last: (None, TABLE[last]), None, limit=6
    )
    assert nbest(found, 0) == [(pytest.approx(score, abs=1e-5), tuple(tokens))]
    assert found.tokens.shape == (B, 1, 6) and found.truncated.all() == cut

    # A limit for each row, which is where a decoder without a carry has its rows from.
    limits = np.array([2, 4, 6])
    found = numpy(jax.jit(lambda: beam(bigram, (), limits, size=4, n=3))())
    for row, limit in enumerate(limits):
        expected, _ = oracles.beam(next_of, 4, limit, 3)
        assert_list(nbest(found, row), expected)

    def drawn(key):
        return sample(bigram, carry, 6, key, n=2), stochastic_beam(
            bigram, carry, 6, key=key, size=2
        )

    one, again = jax.jit(drawn)(key), drawn(key)
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.tokens, b.tokens)
    request = Request(
        6, jnp.full(B, 6), jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(B))
    )
    asked = sample(bigram, carry, request, n=2)
    np.testing.assert_array_equal(asked.tokens, one[0].tokens)


class LinenModel(linen.Module):
    """A language model out of flax's own cell."""

    @linen.compact
    def __call__(self, carry, token):
        carry, h = linen.OptimizedLSTMCell(5)(carry, linen.Embed(V, 4)(token))
        return carry, 4 * linen.Dense(V)(h)


class NnxModel(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(V, 5, rngs=rngs)
        self.cell = nnx.GRUCell(5, 6, rngs=rngs)
        self.out = nnx.Linear(6, V, rngs=rngs)

    def __call__(self, state, token):
        state, h = self.cell(state, self.embed(token))
        return state, 4 * self.out(h)


def linen_model():
    model, key = LinenModel(), jax.random.key(1)
    carry = tuple(jax.random.normal(key, (2, 20, 5)))
    params = model.init(key, carry, jnp.ones(20, int))
    return model.apply, params, carry


def nnx_model():
    graph, params = nnx.split(NnxModel(nnx.Rngs(0)))
    carry = jax.random.normal(jax.random.key(1), (20, 6)) * 2
    return lambda params, *inputs: nnx.merge(graph, params)(*inputs), params, carry


@pytest.mark.parametrize("make", [linen_model, nnx_model])
def test_a_model_of_another_library_is_decoded(make):
    apply, params, start = make()

    @jax.jit
    def decode(params, start):
        def step(carry, token):
            carry, logits = apply(params, carry, token)
            allowed = (jnp.arange(V) >= EOS)[None]
            return carry, StepOutput(jnp.where(allowed, logits, -jnp.inf), {})

        return beam(step, start, limit=5, size=4, n=4)

    found, call = numpy(decode(params, start)), jax.jit(apply)
    for row in range(3):  # the loop calls the model for every prefix
        memory = {}

        def next_log_probs(tokens, row=row, memory=memory):
            first = jax.tree.map(lambda leaf: leaf[row : row + 1], start)
            before = memory[tokens[:-1]] if tokens else first
            last = jnp.array([tokens[-1] if tokens else BOS])
            memory[tokens], logits = call(params, before, last)
            logits = np.array(logits[0], np.float64)
            logits[:EOS] = -np.inf
            return oracles.log_softmax(logits)

        expected, _ = oracles.beam(next_log_probs, 4, 5, 4)
        assert_list(nbest(found, row), expected, 1e-4)


def returns(**wrong):
    """A step of which something is wrong; the carry is {"h": [B, 2]}."""

    def step(carry, token):
        logits = wrong.get("logits", jnp.zeros((B, V)))
        output = StepOutput(logits, wrong.get("aux", {}))
        return wrong.get("carry", carry), wrong.get("output", output)

    return step


H = jnp.zeros((B, 2))
WRONG_STEPS = {
    "logits alone": (lambda carry, x: jnp.zeros((B, V)), r"float32\[3, 7\] came"),
    "bare logits": (
        returns(output=jnp.zeros((B, V))),
        r"StepOutput\(logits, aux\) wanted, \({h: float32\[3, 2\]}, float32\[3, 7\]\)",
    ),
    "an output alone": (
        lambda carry, x: StepOutput(jnp.zeros((B, V)), {}),
        r"a carry and a StepOutput",
    ),
    "logits of one row": (
        returns(logits=jnp.zeros(V)),
        r"logits: float\[3, V\], V > 2, wanted, float32\[7\] came",
    ),
    "logits of other rows": (returns(logits=jnp.zeros((2, V))), r"float32\[2, 7\]"),
    "logits over time": (returns(logits=jnp.zeros((B, 1, V))), r"float32\[3, 1, 7\]"),
    "a small vocabulary": (returns(logits=jnp.zeros((B, 2))), "V > 2"),
    "integer logits": (returns(logits=jnp.zeros((B, V), int)), r"int32\[3, 7\] came"),
    "aux that is no dict": (returns(aux=H), r"aux: a dict .* float32\[3, 2\] came"),
    "aux of the batch": (
        returns(aux={"attention": jnp.zeros(4)}),
        r"aux\['attention'\]: the leading axis 3 wanted, float32\[4\] came",
    ),
    "another structure": (
        returns(carry={"h": (H, H)}),
        r"Carry {h: float32\[3, 2\]} came back as {h: \(float32\[3, 2\], float32",
    ),
    "another shape": (returns(carry={"h": H[:, :1]}), r"came back as .*\[3, 1\]"),
    "another dtype": (returns(carry={"h": H > 0}), r"came back as {h: bool\[3, 2\]}"),
}


@pytest.mark.parametrize("name", WRONG_STEPS)
def test_a_step_that_breaks_its_contract_is_refused_by_name_and_shape(name):
    step, said = WRONG_STEPS[name]
    with pytest.raises(UsageError, match=said) as caught:
        greedy(step, {"h": H}, limit=4)
    assert "step(carry, x) -> (Carry, StepOutput)" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_checks_its_step(name):
    limits = jnp.full(B, 4)
    request = Request(4, limits, jax.random.split(jax.random.key(0), B))
    with pytest.raises(UsageError, match="StepOutput"):
        STRATEGIES[name](returns(output=H), {"h": H}, request)
    with pytest.raises(UsageError, match=r"carry\['t'\] is int32\[\]; .* axis B"):
        STRATEGIES[name](bigram, {"h": H, "t": jnp.int32(0)}, request)
    with pytest.raises(UsageError, match="limit=0 is not a number from 1"):
        STRATEGIES[name](bigram, H, 0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: greedy(bigram, H, jnp.array([3, 0, 2])), "limit=0 is not a number"),
        (lambda: greedy(bigram, H, 2.5), r"limit is float32\[\], not an int"),
        (lambda: greedy(bigram, H, 10**7), "limit=10000000 is not"),
        (lambda: greedy(bigram, H, Request(0, jnp.full(B, 0))), "width=0 is not"),
        (lambda: greedy(bigram, H, jnp.full(2, 4)), "leading axis B, here 2"),
        (lambda: greedy(bigram, (), 4), r"\(\) has no leading axis B"),
        (lambda: greedy(bigram, 0.0, 4), "has no leading axis B"),
        (lambda: jax.jit(lambda at: greedy(bigram, H, at))(3), "limit is traced"),
        (lambda: beam(bigram, H, 4, size=0), "size=0 is not a number from 1"),
        (lambda: beam(bigram, H, 4, size=2, n=3), "n=3 is more than the beam holds"),
        (lambda: sample(bigram, H, 4), "key: what is drawn needs one"),
        (lambda: STRATEGIES["mbr"](bigram, H, 4), "key: what is drawn needs one"),
    ],
)
def test_what_a_strategy_is_asked_is_checked(call, said):
    with pytest.raises(UsageError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_log_probs_are_log_softmax_and_no_nan_is_new_or_lost():
    random = np.random.default_rng(1)
    logits = random.normal(0, 30, (40, 9)).astype(np.float32)
    logits[random.random(logits.shape) < 0.3] = -np.inf
    logits[0], logits[1, 4], logits[2] = -np.inf, np.nan, np.nan
    found = np.asarray(jax.jit(log_probs)(logits))
    assert (found[0] == -np.inf).all() and np.isnan(found[1:3]).all()
    np.testing.assert_allclose(
        found[3:], jax.nn.log_softmax(jnp.asarray(logits[3:])), rtol=1e-6
    )

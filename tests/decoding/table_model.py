"""Small random models whose next token depends on everything that was written.

A model is a table of logits [M, V] and a state, a number below M that each token moves
on. Many models are one batch, so that one compiled function decodes them all.
"""

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.decoding.base import Request
from s2sjax.types import BOS, EOS, PAD, StepOutput
from tests import oracles

STATES = 211


def random_tables(count, vocabulary, seed, scale=1.5):
    """Logits [count, M, V]; PAD and BOS are never written."""
    random = np.random.default_rng(seed)
    tables = random.normal(0, scale, (count, STATES, vocabulary)).astype(np.float32)
    tables[..., :EOS] = -np.inf
    return tables


def follow(state, token):
    return (3 * state * state + 7 * state + 11 * token) % STATES


def step_of(tables):
    """The decoder of all tables; its carry is each row's table and state."""

    def step(carry, token):
        row, state = carry
        state = follow(state, token)
        output = StepOutput(tables[row, state], {"state": state})
        return (row, state), output

    return step


def first_carry(rows):
    return rows, jnp.zeros(len(rows), jnp.int32)


def request(rows, limits, width, keys=0, **asked):
    """A request whose keys go by the number of the table."""
    root = jax.random.key(keys)
    each = jax.vmap(jax.random.fold_in, (None, 0))(root, rows)
    return Request(width, limits, each, **asked)


def decoder(strategy, width, **static):
    """`strategy` compiled: `decode(tables, rows, limits, **asked)` in numpy."""

    @jax.jit
    def compiled(tables, rows, limits, asked, keys):
        wanted = request(rows, limits, width, keys, **static, **asked)
        return strategy(step_of(tables), first_carry(rows), wanted)

    def decode(tables, rows, limits, keys=0, **asked):
        found = compiled(tables, rows, limits, asked, keys)
        return jax.tree.map(np.asarray, found)

    return decode


class Oracle:
    """One table in float64: what may follow a prefix, and what a sequence scores."""

    def __init__(self, table):
        self.log_probs = oracles.log_softmax(np.asarray(table, np.float64)).tolist()

    def next(self, prefix):
        """log p of every token after a prefix, V numbers."""
        state = follow(0, BOS)
        for token in prefix:
            state = follow(state, token)
        return self.log_probs[state]

    def score(self, tokens):
        """log p of a sequence."""
        total, state = 0.0, follow(0, BOS)
        for token in tokens:
            total += self.log_probs[state][token]
            state = follow(state, token)
        return total


def listed(hypotheses, row):
    """The valid hypotheses of a row: tuples of tokens."""
    return [
        tuple(tokens[:length].tolist())
        for tokens, length, valid in zip(
            hypotheses.tokens[row],
            hypotheses.lengths[row],
            hypotheses.valid[row],
            strict=True,
        )
        if valid
    ]


def assert_sound(hypotheses, tables, limits):
    """What holds for the hypotheses of every strategy."""
    tokens, scores, lengths, valid, truncated, aux = hypotheses
    within = np.arange(tokens.shape[-1]) < lengths[..., None]
    assert ((tokens != PAD) == within).all()  # no filler, nothing after the end
    assert (lengths <= limits[:, None]).all()
    assert valid[:, 0].all() and (lengths[~valid] == 0).all()
    assert (scores[~valid] == -np.inf).all() and not truncated[~valid].any()
    # Best first, and those that do not exist last.
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    assert (np.diff(valid.astype(int), axis=1) <= 0).all()
    assert ((tokens == EOS).sum(axis=-1) == (valid & ~truncated)).all()
    for row in range(len(tokens)):
        found = listed(hypotheses, row)
        assert len(set(found)) == len(found)

    log_probs = oracles.log_softmax(tables.astype(np.float64))
    rows = np.arange(len(tables))[:, None]
    total, state = 0.0, np.full(lengths.shape, follow(0, BOS))
    for time in range(tokens.shape[-1]):
        here, token = within[..., time], tokens[..., time]
        np.testing.assert_array_equal(aux["state"][..., time], np.where(here, state, 0))
        total = total + np.where(here, log_probs[rows, state, token], 0)
        state = follow(state, token)
    np.testing.assert_allclose(aux["logprob"][valid], total[valid], atol=1e-5)


# What a hypothesis may differ by between two batches, of other rows or another width:
# a compiler may round a row of another batch in another way (jax 0.12 does).
ROUNDING = {"rtol": 1e-5, "atol": 1e-6}


def assert_same(one, other, rows=slice(None)):
    """Equal hypotheses; `rows` says which of `other` stand in `one`."""
    for name in ("tokens", "lengths", "valid", "truncated"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[rows])
    for name in one.aux:
        np.testing.assert_allclose(one.aux[name], other.aux[name][rows], **ROUNDING)
    np.testing.assert_allclose(one.scores, other.scores[rows], **ROUNDING)

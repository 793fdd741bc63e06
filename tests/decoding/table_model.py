"""Small random models whose next token depends on everything that was written.

A model is a table of logits [M, V] and a state, a number below M that each token moves
on; it looks at a source of three symbols by its last three tokens. Many models are one
batch, so that one compiled function decodes them all.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.decoding.base import Request
from s2sjax.types import BOS, EOS, PAD, StepOutput
from tests import oracles

STATES = 211
SOURCE = 3  # symbols

# What a hypothesis may differ by between two batches, of other rows or another width:
# a compiler may round a row of another batch in another way (jax 0.12 does).
ROUNDING = {"rtol": 1e-5, "atol": 1e-6}


def follow(state, token):
    return (3 * state * state + 7 * state + 11 * token) % STATES


def look(trail, np=jnp):
    """Attention [.., S] of a decoder whose last tokens are a trail [.., S]."""
    energies = np.exp(3 * np.sin(2.0 * trail))
    return energies / np.sum(energies, axis=-1, keepdims=True)


def step_of(logits):
    """The decoder of all models; its carry is each row's number, state and trail."""

    def step(carry, token):
        row, (state, trail) = carry["row"], carry["inner"]
        state = follow(state, token)
        trail = jnp.concatenate([trail[:, 1:], token[:, None]], axis=1)
        aux = {"state": state, "attention": look(trail)}
        carry = {"row": row, "inner": [state, trail]}
        return carry, StepOutput(jnp.asarray(logits)[row, state], aux)

    return step


def first_carry(rows):
    rows = jnp.asarray(rows, jnp.int32)
    return {"row": rows, "inner": [0 * rows, jnp.zeros((len(rows), SOURCE), jnp.int32)]}


def request(rows, limits, width, key=0, **constraints):
    """A request whose keys go by the number of the model."""
    each = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(key), rows)
    return Request(width, limits, each, **constraints)


@cache
def _compiled(strategy, width, no_repeat):
    def decode(logits, rows, limits, key, constraints):
        asked = request(rows, limits, width, key, no_repeat=no_repeat, **constraints)
        return strategy(step_of(logits), first_carry(rows), asked)

    return jax.jit(decode)


class Models:
    """`count` models; PAD and BOS are never written."""

    def __init__(self, count, vocabulary, width, seed, scale=1.5, eos=0.0):
        random = np.random.default_rng(seed)
        logits = random.normal(0, scale, (count, STATES, vocabulary))
        logits[..., EOS] += eos
        logits[..., :EOS] = -np.inf
        self.logits = logits.astype(np.float32)
        self.count, self.vocabulary, self.width = count, vocabulary, width
        self.rows = np.arange(count)

    def step(self, carry, token):
        return step_of(self.logits)(carry, token)

    def decode(
        self, strategy, limits=None, rows=None, key=0, no_repeat=0, **constraints
    ):
        """The hypotheses of the models, or of some rows, as numpy.

        A strategy is compiled once for all models of a shape.
        """
        rows = self.rows if rows is None else np.asarray(rows)
        limits = np.full(len(rows), self.width) if limits is None else limits
        compiled = _compiled(strategy, self.width, no_repeat)
        found = compiled(self.logits, rows, np.asarray(limits), key, constraints)
        return jax.tree.map(np.asarray, found)

    def log_probs(self):
        """In float64, [count, M, V]; nothing is possible where all logits are -inf."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = oracles.log_softmax(self.logits.astype(np.float64))
        return np.where(np.isnan(found), -np.inf, found)

    def oracles(self):
        return [Oracle(table) for table in self.log_probs()]


class Oracle:
    """One model in float64: what may follow a prefix, and what a sequence scores."""

    def __init__(self, log_probs):
        self.log_probs = log_probs.tolist()

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

    def complete(self, limit):
        """(log p, tokens) of every possible complete sequence within a limit."""
        found, prefixes = [], [((), 0.0, follow(0, BOS))] if limit else []
        for tokens, total, state in prefixes:  # which grows
            for token, log_prob in enumerate(self.log_probs[state]):
                if log_prob == -np.inf:
                    continue
                longer = (total + log_prob, (*tokens, token))
                if token == EOS:
                    found.append(longer)
                elif len(tokens) + 1 < limit:
                    prefixes.append((longer[1], longer[0], follow(state, token)))
        return found

    def ranked(self, limit, normalise=lambda log_prob, length: log_prob):
        """(score, tokens) of every complete sequence, best first."""
        scored = ((normalise(p, len(each)), each) for p, each in self.complete(limit))
        return sorted(scored, reverse=True)


def normalise(kind, alpha):
    """A normaliser in plain Python."""

    def by(log_prob, length):
        return log_prob / ((5 + length) / 6 if kind == "gnmt" else length) ** alpha

    return by


def nbest(hypotheses, row):
    """The valid hypotheses of a row: [(score, tokens)]."""
    return [
        (float(score), tuple(tokens[:length].tolist()))
        for score, tokens, length, valid in zip(
            hypotheses.scores[row],
            hypotheses.tokens[row],
            hypotheses.lengths[row],
            hypotheses.valid[row],
            strict=True,
        )
        if valid
    ]


def listed(hypotheses, row):
    """The tokens of the valid hypotheses of a row."""
    return [tokens for _, tokens in nbest(hypotheses, row)]


def assert_list(found, expected, tolerance=1e-5):
    """Equal sequences in equal order, with equal scores: [(score, tokens)]."""
    assert [tokens for _, tokens in found] == [tokens for _, tokens in expected]
    np.testing.assert_allclose(
        [score for score, _ in found],
        [score for score, _ in expected],
        rtol=tolerance,
        atol=tolerance,
    )


def assert_is_nbest(hypotheses, models, limits=None, *, apart=True):
    """Best first, unique, without filler, and each is what it says that it is.

    `apart`: complete and cut ones never stand together.
    """
    limits = np.full(models.count, models.width) if limits is None else limits
    tokens, scores, lengths, valid, truncated, aux = hypotheses
    within = np.arange(tokens.shape[-1]) < lengths[..., None]
    assert ((tokens != PAD) == within).all()  # no filler, nothing after the end
    assert (lengths <= limits[:, None]).all()
    assert valid[:, 0].all() and (lengths[~valid] == 0).all()
    assert (scores[~valid] == -np.inf).all() and not truncated[~valid].any()
    assert np.isfinite(scores[valid]).all()
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    assert (np.diff(valid.astype(int), axis=1) <= 0).all()
    ends = (tokens == EOS).sum(axis=-1)
    assert (ends == (valid & ~truncated)).all()
    if apart:
        assert (~truncated.any(axis=1) | (valid.sum(axis=1) == 1)).all()
    for row in models.rows:
        found = listed(hypotheses, row)
        assert len(set(found)) == len(found)

    log_probs, rows = models.log_probs(), models.rows[:, None]
    total, state = 0.0, np.full(lengths.shape, follow(0, BOS))
    trail = np.zeros((*lengths.shape, SOURCE)) + np.array([0, 0, BOS])
    for time in range(tokens.shape[-1]):
        here, token = within[..., time], tokens[..., time]
        np.testing.assert_array_equal(aux["state"][..., time], np.where(here, state, 0))
        looked = np.where(here[..., None], look(trail, np), 0)
        np.testing.assert_allclose(aux["attention"][..., time, :], looked, atol=1e-5)
        with np.errstate(invalid="ignore"):
            total = total + np.where(here, log_probs[rows, state, token], 0)
        state = follow(state, token)
        trail = np.concatenate([trail[..., 1:], token[..., None]], axis=-1)
    np.testing.assert_allclose(aux["logprob"][valid], total[valid], atol=1e-5)


def assert_same(one, other, rows=slice(None)):
    """Equal hypotheses; `rows` says which of `other` stand in `one`."""
    for name in ("tokens", "lengths", "valid", "truncated"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[rows])
    for name in one.aux:
        np.testing.assert_allclose(one.aux[name], other.aux[name][rows], **ROUNDING)
    np.testing.assert_allclose(one.scores, other.scores[rows], **ROUNDING)


def assert_a_batch_is_its_rows(models, strategy, limits, **constraints):
    """Neither the order of the rows nor their neighbours change a hypothesis."""
    together = models.decode(strategy, limits, **constraints)
    order = np.random.default_rng(0).permutation(models.count)
    only = (np.full(models.count, row) for row in (0, 7))
    for rows in (order, *only):
        some = {name: leaf[rows] for name, leaf in constraints.items()}
        again = models.decode(strategy, limits[rows], rows, **some)
        assert_same(again, together, rows)
    single = {name: leaf[:1] for name, leaf in constraints.items()}
    alone = models.decode(strategy, limits[:1], models.rows[:1], **single)
    assert_same(alone, together, models.rows[:1])


def scripted(script):
    """A decoder that reads its logits from a script [B, T, V], and its first carry."""

    def step(carry, token):
        time, script = carry
        logits = jnp.take_along_axis(script, time[:, None, None], axis=1)[:, 0]
        return (time + 1, script), StepOutput(logits, {"time": time})

    return step, (jnp.zeros(len(script), jnp.int32), jnp.asarray(script))

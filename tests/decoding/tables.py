"""Random models without a network: tables of logits, one for each row of a batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.decoding.base import Request
from s2sjax.types import BOS, EOS, StepOutput
from tests import oracles


class Tables:
    """`count` models: logits [T, V, V] by step and last token, -inf for PAD and BOS."""

    def __init__(self, count, vocabulary, width, seed, scale=2.0, eos=0.0):
        random = np.random.default_rng(seed)
        logits = random.normal(0, scale, (count, width, vocabulary, vocabulary))
        logits[..., EOS] += eos
        logits[..., :EOS] = -np.inf
        self.logits = logits.astype(np.float32)
        self.log_probs = oracles.log_softmax(self.logits.astype(np.float64))
        self.count, self.vocabulary, self.width = count, vocabulary, width

    def step(self, carry, x):
        row, time = carry
        time_or_last = jnp.minimum(time, self.width - 1)
        logits = jnp.asarray(self.logits)[row, time_or_last, x]
        attention = jax.nn.softmax(logits[:, EOS:] * 3)
        return (row, time + 1), StepOutput(logits, {"attention": attention})

    def start(self, rows=None):
        rows = jnp.arange(self.count) if rows is None else jnp.asarray(rows)
        return rows, jnp.zeros(len(rows), jnp.int32)

    def request(self, limits=None, rows=None, seed=0, **asked):
        rows = np.arange(self.count) if rows is None else rows
        limits = np.full(len(rows), self.width) if limits is None else limits
        key = jax.random.key(seed)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(rows))
        return Request(self.width, jnp.asarray(limits, jnp.int32), keys, **asked)

    def decode(self, strategy, **asked):
        """The hypotheses of all models, as numpy."""
        run = jax.jit(
            lambda keys: strategy(
                self.step, self.start(), self.request(**asked)._replace(keys=keys)
            )
        )
        return jax.tree.map(np.asarray, run(self.request(**asked).keys))

    def next_log_probs(self, row):
        """`tokens so far -> log-probabilities [V]` of one model."""
        table = self.log_probs[row]
        return lambda tokens: table[len(tokens), tokens[-1] if tokens else BOS]

    def log_prob(self, row, tokens):
        """log p of a sequence of one model."""
        step = self.next_log_probs(row)
        return sum(step(tokens[:time])[token] for time, token in enumerate(tokens))

    def complete(self, row, normalise=lambda log_prob, length: log_prob):
        """Every complete sequence with its score, best first."""
        found = [
            (normalise(log_prob, len(tokens)), tokens)
            for log_prob, tokens in self._enumerated(row)
        ]
        return sorted(found, reverse=True)

    @functools.cache  # noqa: B019 (a handful of models, all in use to the end)
    def _enumerated(self, row):
        sequences = oracles.complete_sequences(self.vocabulary, self.width)
        return [(self.log_prob(row, tokens), tokens) for tokens in sequences]


def nbest(hypotheses, row):
    """The valid hypotheses of a row: [(score, tokens)]."""
    return [
        (
            float(hypotheses.scores[row, place]),
            tuple(hypotheses.tokens[row, place, : hypotheses.lengths[row, place]]),
        )
        for place in range(hypotheses.valid.shape[1])
        if hypotheses.valid[row, place]
    ]


def assert_same(found, expected, tolerance=1e-5):
    """Equal sequences in equal order, with equal scores."""
    assert [tokens for _, tokens in found] == [tokens for _, tokens in expected]
    np.testing.assert_allclose(
        [score for score, _ in found],
        [score for score, _ in expected],
        rtol=tolerance,
        atol=tolerance,
    )


def assert_is_nbest(hypotheses):
    """Sorted, unique, without filler, complete and cut ones never together."""
    for row in range(len(hypotheses.scores)):
        valid = hypotheses.valid[row]
        assert valid[: valid.sum()].all()  # no holes
        scores = hypotheses.scores[row, valid]
        assert (np.diff(scores) <= 0).all()
        assert np.isfinite(scores).all()
        tokens = [tokens for _, tokens in nbest(hypotheses, row)]
        assert len(set(tokens)) == len(tokens)
        assert (hypotheses.scores[row, ~valid] == -np.inf).all()
        assert (hypotheses.tokens[row, ~valid] == 0).all()
        assert (hypotheses.lengths[row, ~valid] == 0).all()
        cut = hypotheses.truncated[row]
        assert not cut[~valid].any()
        assert cut.sum() == 0 or (valid.sum() == 1 and cut[0])
        for place, sequence in enumerate(tokens):
            ended = sequence[-1:] == (EOS,)
            assert ended != cut[place]
            assert EOS not in sequence[:-1] and 0 not in sequence

"""The strategy of `docs/decoding.md` does what its text says."""

import pathlib
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.config import ModelConfig
from s2sjax.decoding.sampling import greedy
from s2sjax.models.seq2seq import Seq2Seq, initialise
from tests.decoding.tables import Tables

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "decoding.md"


def test_the_example_of_a_strategy_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    model = Seq2Seq(ModelConfig(units=4, embedding=3), 9, 9)
    names = {"model": model}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    cooling = names["cooling"]
    assert len(blocks[0].split("def cooling")[1].strip().splitlines()) <= 25

    models = Tables(60, 7, 6, seed=0)
    cold = models.decode(partial(cooling, heat=0.0))
    expected = models.decode(greedy)
    np.testing.assert_array_equal(cold.tokens, expected.tokens)
    np.testing.assert_array_equal(cold.truncated, expected.truncated)
    np.testing.assert_allclose(cold.scores, expected.scores, rtol=1e-5, atol=1e-6)
    warm = models.decode(cooling)
    assert (warm.tokens != expected.tokens).any()
    for row in range(60):
        tokens = warm.tokens[row, 0, : warm.lengths[row, 0]]
        log_prob = models.log_prob(row, tuple(tokens))
        np.testing.assert_allclose(warm.scores[row, 0], log_prob, rtol=1e-4, atol=1e-5)

    params = initialise(model, jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), 2)
    lengths = jnp.array([3, 0])
    found = names["decode"](params, jnp.full((2, 3), 5), lengths, keys)
    assert found.tokens.shape == (2, 1, 20)
    assert (found.lengths[:, 0] <= lengths + 5).all()

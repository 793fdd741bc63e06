"""The strategy of `docs/decoding.md` does what its text says."""

import pathlib
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.config import ModelConfig
from s2sjax.decoding.sampling import greedy
from s2sjax.models.seq2seq import Seq2Seq
from tests.decoding.table_model import Models, nbest

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "decoding.md"


def test_the_example_of_a_strategy_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    model = Seq2Seq(ModelConfig(units=4, embedding=3), 9, 9)
    names = {"model": model}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    cooling = names["cooling"]
    for found in (names["best"], names["found"], names["drawn"]):
        assert found.valid.all() and found.tokens.shape[::2] == (2, 20)
    (own,) = (block for block in blocks if "def cooling" in block)
    assert len(own.split("def cooling")[1].strip().splitlines()) <= 25

    models = Models(60, 7, 6, seed=0)
    cold = models.decode(partial(cooling, heat=0.0))
    expected = models.decode(greedy)
    np.testing.assert_array_equal(cold.tokens, expected.tokens)
    np.testing.assert_array_equal(cold.truncated, expected.truncated)
    np.testing.assert_allclose(cold.scores, expected.scores, rtol=1e-5, atol=1e-6)
    warm = models.decode(cooling)
    assert (warm.tokens != expected.tokens).any()
    for row, oracle in enumerate(models.oracles()):
        ((score, tokens),) = nbest(warm, row)
        np.testing.assert_allclose(score, oracle.score(tokens), rtol=1e-4, atol=1e-5)

    params = model.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), 2)
    lengths = jnp.array([3, 0])
    found = names["decode"](params, jnp.full((2, 3), 5), lengths, keys)
    assert found.tokens.shape == (2, 1, 20)
    assert (found.lengths[:, 0] <= lengths + 5).all()

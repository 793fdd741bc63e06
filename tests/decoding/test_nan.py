"""A broken model is noticed by every strategy, whatever a compiler makes of a maximum.

XLA may take a maximum past a NaN (it does so from jax 0.12 on), and where a NaN is
sorted is not defined, so that no search may learn of one that way.
"""

import jax
import numpy as np
import pytest

from s2sjax.decoding.filters import Filters
from s2sjax.decoding.strategies import STRATEGIES, decoding
from s2sjax.types import BOS, EOS
from tests.decoding.table_model import STATES, Models, follow

pytestmark = pytest.mark.compat
V, COUNT, WIDTH = 6, 4, 5
FIRST = follow(0, BOS)
FILTERED = ("top_k=3", "top_p=0.9", "min_p=0.01", "typical=0.9", "epsilon=0.01")
SPECS = [
    *sorted(STRATEGIES),
    *(f"sample:n=2,{filtered}" for filtered in ("temperature=0.5", *FILTERED)),
    *(f"stochastic_beam:{filtered}" for filtered in FILTERED),
    "beam:early=false",
    "rerank:by=length",
    "mbr:candidates=beam,size=4",
]


def broken(states, tokens=slice(EOS, None)):
    """Models, of which the second says NaN of some tokens in some states."""
    models = Models(COUNT, V, WIDTH, seed=3)
    rows = models.logits[1]
    rows[np.ix_(np.atleast_1d(states), np.arange(V)[tokens].reshape(-1))] = np.nan
    return models


def constraints():
    banned = np.zeros((COUNT, V), bool)
    banned[:, 4] = True
    minimums = np.full(COUNT, 2)
    required = np.full((COUNT, 1, 1), 5, np.int32)
    return {"banned": banned, "minimums": minimums, "required": required}


def assert_seen(found):
    scores, valid = found.scores, found.valid
    assert valid[:, 0].all()
    assert np.isnan(scores[1][valid[1]]).all()
    for row in (0, 2, 3):
        assert np.isfinite(scores[row][valid[row]]).all()


@pytest.mark.parametrize("asked", [{}, constraints()], ids=["free", "constrained"])
@pytest.mark.parametrize("spec", SPECS)
def test_a_nan_is_seen_in_its_row_alone(spec, asked):
    strategy = decoding(spec).strategy
    for tokens in (slice(EOS, None), 3):  # all that can be written, and one token
        assert_seen(broken(FIRST, tokens).decode(strategy, **asked))


@pytest.mark.parametrize("spec", ["greedy", "beam", "stochastic_beam", "sample"])
def test_a_nan_that_comes_later_is_seen(spec):
    models = broken(np.delete(np.arange(STATES), FIRST))
    models.logits[:, FIRST, EOS] = -np.inf  # so that there is a second token
    assert_seen(models.decode(decoding(spec).strategy))


def test_a_nan_is_not_swallowed():
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        broken(FIRST).decode(decoding("beam:size=2").strategy)


def test_filters_keep_a_nan():
    log_probs = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    log_probs[1] = np.nan
    for field in ("temperature", "top_k", "top_p", "min_p", "typical", "epsilon"):
        value = 1 if field == "top_k" else 0.5
        assert np.isnan(np.asarray(Filters(**{field: value})(log_probs))).any(), field

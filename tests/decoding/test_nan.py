"""A broken model is noticed by every strategy, whatever a compiler makes of a maximum.

XLA may take a maximum past a NaN (it does so from jax 0.12 on), and where a NaN is
sorted is not defined, so that no search may learn of one that way.
"""

import numpy as np
import pytest

from s2sjax.decoding.base import every_step, until_done
from s2sjax.decoding.filters import Filters
from s2sjax.decoding.strategies import STRATEGIES, decoding
from s2sjax.types import BOS, EOS
from tests.decoding import table_model

pytestmark = pytest.mark.compat
V, MODELS, WIDTH = 6, 4, 5
TABLES = table_model.random_tables(MODELS, V, seed=3)
ROWS = np.arange(MODELS)
LIMITS = np.full(MODELS, WIDTH, np.int32)
FILTERED = ("top_k=3", "top_p=0.9", "min_p=0.01", "typical=0.9", "epsilon=0.01")
SPECS = [
    *sorted(STRATEGIES),
    *(f"sample:n=2,{filtered}" for filtered in ("temperature=0.5", *FILTERED)),
    *(f"stochastic_beam:{filtered}" for filtered in FILTERED),
    "beam:early=false",
    "rerank:by=length",
    "mbr:candidates=beam,size=4",
]


def broken(tables, where):
    """The second table with NaN at `where` of what follows its first symbol."""
    tables = tables.copy()
    tables[1, table_model.follow(0, BOS), where] = np.nan
    return tables


def constraints():
    banned = np.zeros((MODELS, V), bool)
    banned[:, 4] = True
    minimums = np.full(MODELS, 2, np.int32)
    required = np.full((MODELS, 1, 1), 5, np.int32)
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
    decode = table_model.decoder(decoding(spec).strategy, WIDTH)
    for where in (slice(EOS, None), 3):  # all that can be written, and one token
        assert_seen(decode(broken(TABLES, where), ROWS, LIMITS, **asked))


@pytest.mark.parametrize("drive", [until_done, every_step])
def test_a_nan_that_comes_later_is_seen(drive):
    tables = TABLES.copy()
    # All that the second table says after a symbol, but what it says at first.
    first = table_model.follow(0, BOS)
    later = np.arange(table_model.STATES) != first
    tables[1, later] = np.nan
    tables[:, first, EOS] = -np.inf
    for name in ("greedy", "beam", "stochastic_beam", "sample"):
        base = STRATEGIES[name]()

        def strategy(step, carry, request, base=base):
            return base(step, carry, request, drive=drive)

        if name in ("sample", "stochastic_beam"):
            strategy = base  # their keys are in the way of a driver's name
        found = table_model.decoder(strategy, WIDTH)(tables, ROWS, LIMITS)
        assert_seen(found)


def test_filters_keep_a_nan():
    log_probs = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    log_probs[1] = np.nan
    for field in ("temperature", "top_k", "top_p", "min_p", "typical", "epsilon"):
        value = 1 if field == "top_k" else 0.5
        assert np.isnan(np.asarray(Filters(**{field: value})(log_probs))).any(), field

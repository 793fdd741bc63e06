"""The objective and the feeding of `docs/extending.md` do what the page says."""

import pathlib
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.errors import UsageError
from s2sjax.models.seq2seq import build_model
from s2sjax.training.feeding import FEEDINGS
from s2sjax.training.objectives import OBJECTIVES, losses, objective
from s2sjax.training.recipe import recipe
from s2sjax.training.state import first_state, numbers
from s2sjax.training.step import train_step
from s2sjax.types import StepOutput
from tests import copying

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "extending.md"
SECTIONS = ("An objective", "A feeding")


@pytest.fixture
def extended(monkeypatch):
    """The page's own kinds are in their tables, until the test is over."""
    monkeypatch.setitem(OBJECTIVES, "focal", None)
    monkeypatch.setitem(FEEDINGS, "gumbel", None)
    names = {}
    for section in SECTIONS:
        text = PAGE.read_text("utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            assert len(block.split("def ")[1].splitlines()) <= 10
            exec(compile(block, str(PAGE), "exec"), names)


def test_a_kind_of_ones_own_is_trained(extended):
    config = copying.config(objective="focal:gamma=0.5", feeding="gumbel")
    model = build_model(config, *[copying.VOCABULARY] * 2)
    chosen, own = recipe(config.train, 60), numbers(config)
    state = first_state(model, chosen, own)
    rows = jnp.array([3, 6, 0, -1], jnp.int32)  # empty, padded and filler
    batch = copying.fetch(copying.store(extra=1), rows)
    step = jax.jit(partial(train_step, model, chosen))
    reported = []
    for _ in range(30):
        state, metrics = step(state, own, batch)
        reported.append(metrics.loss)
    assert np.isfinite(reported).all()
    assert reported[-1] < 0.5 * reported[0]


def test_arguments_are_those_of_the_function(extended):
    batch = copying.fetch(copying.store(), jnp.array([3, 2], jnp.int32))
    logits = jnp.sin(jnp.arange(2 * 4 * 7.0)).reshape(2, 4, 7).at[..., :2].set(-jnp.inf)
    same = (
        losses(objective(text), StepOutput(logits, {}), batch)
        for text in ("nll", "focal:gamma=0")
    )
    np.testing.assert_allclose(*same, rtol=1e-6)
    with pytest.raises(UsageError, match="did you mean 'gamma'"):
        objective("focal:gama=1")

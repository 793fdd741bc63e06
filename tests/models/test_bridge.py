"""Bridges alone: any encoder to any decoder, or a refusal that says what fits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.config import ModelConfig
from s2sjax.errors import UsageError
from s2sjax.models.base import Encoded
from s2sjax.models.bridge import BRIDGES, bridge_of
from s2sjax.models.cells import build
from s2sjax.models.decoder import Decoder
from s2sjax.models.inputs import Embedding
from s2sjax.models.readout import Categorical
from s2sjax.models.seq2seq import Seq2Seq

B, S, D = 2, 3, 4


def encoded(layers=1, sides=1, parts=1, units=D):
    """Drawn outputs, and states that are all different."""
    random = np.random.default_rng(0)

    def drawn(*shape):
        return jnp.asarray(random.normal(size=shape), jnp.float32)

    states = tuple(
        tuple(tuple(drawn(B, units) for _ in range(parts)) for _ in range(sides))
        for _ in range(layers)
    )
    mask = jnp.array([[True, True, False], [True, True, True]])
    return Encoded(drawn(B, S, units * sides), mask, states)


def states_of(bridge, cell, source, layers=1):
    module = bridge_of(bridge)(build(cell, D), layers)
    return jax.jit(module.init_with_output)(jax.random.key(0), source)[0]


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_bridge_gives_a_state_to_every_layer(bridge, cell):
    parts = 2 if cell == "lstm" else 1
    states = states_of(bridge, cell, encoded(2, 1, parts), layers=2)
    assert [[part.shape for part in state] for state in states] == [
        [(B, D)] * parts
    ] * 2


@pytest.mark.parametrize("bridge", ["mean", "zero", "learned"])
def test_some_bridges_fit_any_encoder(bridge):
    (h, c), *others = states_of(bridge, "lstm", encoded(1, 2, 1, units=3), layers=3)
    assert h.shape == c.shape == (B, D) and len(others) == 2


def test_the_mean_is_over_real_symbols():
    source = encoded()
    garbage = source._replace(memory=source.memory.at[0, 2].set(99.0))
    for one, other in zip(
        jax.tree.leaves(states_of("mean", "gru", source)),
        jax.tree.leaves(states_of("mean", "gru", garbage)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_copy_takes_the_direction_that_is_named():
    source = encoded(sides=2)
    for side, direction in enumerate(("forward", "backward")):
        ((h,),) = states_of(f"copy:direction={direction}", "gru", source)
        np.testing.assert_array_equal(h, source.states[0][side][0])


MISFITS = {
    "layers": ("copy", "gru", encoded(2), "2 layers came"),
    "parts": ("dense", "lstm", encoded(), "states of [1] parts"),
    "units": ("copy", "gru", encoded(units=3), "states of [3] units came"),
    "directions": ("copy", "gru", encoded(sides=2), "copy:direction=forward"),
    "one direction": ("copy:direction=backward", "gru", encoded(), "bidirectional"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_a_bridge_that_does_not_fit_says_so(what):
    bridge, cell, source, message = MISFITS[what]
    with pytest.raises(UsageError) as error:
        states_of(bridge, cell, source)
    assert message in str(error.value)


REFUSED = {
    ("men", False): "unknown model.bridge 'men'; did you mean 'mean'?",
    ("copy:side=forward", True): "unknown argument of model.bridge 'copy' 'side'",
    ("copy:direction=back", True): "unknown direction 'back'; did you mean 'backward'?",
    ("copy", True): "with model.bidirectional=true use model.bridge=dense",
    ("copy:direction=backward", False): "needs model.bidirectional=true",
}


@pytest.mark.parametrize(("bridge", "bidirectional"), REFUSED)
def test_a_model_with_a_bridge_that_cannot_be_is_not_made(bridge, bidirectional):
    config = ModelConfig(bridge=bridge, bidirectional=bidirectional)
    with pytest.raises(UsageError) as error:
        Seq2Seq(config, 5, 5)
    assert REFUSED[bridge, bidirectional] in str(error.value)


def test_a_decoder_of_its_own_refuses_an_unknown_bridge():
    with pytest.raises(UsageError, match=r"unknown model\.bridge"):
        Decoder(Embedding(5, 4), Categorical(5), build("gru", D), D, bridge="men")

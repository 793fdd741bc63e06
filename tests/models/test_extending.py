"""The cell of `docs/extending.md` runs, and is its equation."""

import pathlib
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.models.cells import initial_state
from tests.oracles import sigmoid

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "extending.md"


def test_the_cell_of_the_page_is_an_encoder_and_a_decoder():
    section = PAGE.read_text("utf-8").split("## A cell\n")[1].split("\n## ")[0]
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(blocks[0].split("class ")[1].strip().splitlines()) <= 10

    source, lengths = jnp.array([[3, 4, 5], [6, 0, 0]]), jnp.array([3, 1])
    encoder, decoder, cell = names["encoder"], names["decoder"], names["UGRNN"](8)
    encoded, params = encoder.init_with_output(jax.random.key(0), source, lengths)
    layer, table = (params["params"][name] for name in ("forward_0", "embed"))
    h = np.zeros(8)
    for symbol in (3, 4, 5):
        a = table["table"][symbol] @ layer["input_kernel"] + layer["bias"]
        n, u = np.split(np.asarray(a + h @ layer["recurrent_kernel"]), 2)
        h = sigmoid(u) * h + (1 - sigmoid(u)) * np.tanh(n)
    np.testing.assert_allclose(encoded.states[0][0][0][0], h, rtol=1e-5, atol=1e-6)

    def written(decoder):
        state, memory = decoder.start(encoded)
        return decoder(state, source, memory)

    output, _ = nn.init_with_output(written, decoder)(jax.random.key(1))
    assert output.logits.shape == (2, 3, 9)
    assert initial_state(cell, 2)[0].shape == (2, 8)

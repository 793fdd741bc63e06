"""Losses of tiny runs on one device and on all that this process has.

`test_devices.py` runs it with eight: `python -m tests.training.devices_run`.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.models.architectures import build_model
from s2sjax.training.devices import Placement
from s2sjax.training.recipe import recipe
from s2sjax.training.state import first_state, numbers
from s2sjax.training.step import Program, Work
from tests import copying


def losses(place, feeding, steps, dtype):
    """The loss per token at each step, [steps]; 13 rows, of unequal lengths."""
    config = copying.config({"attention": "none"}, feeding=feeding)
    model = build_model(config, copying.VOCABULARY, copying.VOCABULARY)

    def wide(tree):
        return jax.tree.map(
            lambda leaf: leaf.astype(dtype) if leaf.dtype == jnp.float32 else leaf,
            tree,
        )

    rows = copying.rows_of(steps, batch=13)
    chosen, own = recipe(config.train, steps), numbers(config)
    state, reported, norm = place.run_steps(
        Program(model, chosen, copying.fetch),
        place.whole(wide(first_state(model, chosen, own))),
        Work(
            place.whole(wide(own)),
            place.whole(copying.store()),
            place.rows(rows),
            place.whole(jnp.int32(steps)),
        ),
    )
    state, reported, norm = place.local((state, reported, norm))
    assert all(leaf.sharding.num_devices == 1 for leaf in jax.tree.leaves(state))
    assert np.isfinite(norm)
    return np.asarray(reported.loss) / np.asarray(reported.tokens)


def apart(feeding, steps, dtype):
    """The losses on one device, and how far those on all of them are from it."""
    one = losses(Placement.of(jax.devices()[:1]), feeding, steps, dtype)
    several = losses(Placement.of(), feeding, steps, dtype)
    return {"losses": one.tolist(), "apart": np.abs(one - several).tolist()}


if __name__ == "__main__":
    jax.config.update("jax_numpy_rank_promotion", "raise")
    result = {
        "devices": jax.device_count(),
        "float32": apart("argmax", 20, jnp.float32),
    }
    jax.config.update("jax_enable_x64", True)
    result["float64"] = apart("gold", 200, jnp.float64)
    print(json.dumps(result))

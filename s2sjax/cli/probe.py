"""Checks of the machine that may go wrong or hang, so that each has its own process.

`python -P probe.py NAME` prints one JSON object; `s2sjax doctor` is who runs it.
"""

import json
import sys
from typing import Any

import numpy as np


def devices() -> dict[str, Any]:
    """What jax computes on."""
    import jax

    return {
        "devices": [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()],
        "platform": jax.default_backend(),
    }


def reduction() -> dict[str, Any]:
    """Sums of squares of matrix-vector products, jitted, against numpy.

    jaxlib 0.10.2 gets the last rows wrong on the CPU (jax-ml/jax#39103).
    """
    import jax
    import jax.numpy as jnp

    square = jax.jit(jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2)))
    for rows in (1000, 32769, 65537):
        values = np.zeros((rows, 3), np.float32)
        values[:, 0] = np.arange(rows)
        expected = np.sum(values.astype(np.float64) ** 2, axis=1)
        got = np.asarray(square(values), np.float64)
        wrong = np.flatnonzero(np.abs(got - expected) > 1e-5 * np.abs(expected))
        if wrong.size:
            at = int(wrong[-1])
            detail = f"row {at} of {rows} is {got[at]:.0f}, not {expected[at]:.0f}"
            return {"right": False, "detail": detail}
    return {"right": True, "detail": "equal to numpy"}


def initialisers() -> dict[str, Any]:
    """Four batched orthogonal matrices in one program, which may never come back."""
    import jax

    orthogonal = jax.nn.initializers.orthogonal()

    def draw(key: Any) -> list[Any]:
        return [orthogonal(one, (64, 64)) for one in jax.random.split(key, 4)]

    drawn = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), 8))
    worst = max(
        float(np.abs(matrix @ matrix.T - np.eye(64)).max())
        for batch in drawn
        for matrix in np.asarray(batch)
    )
    return {"right": worst < 1e-4, "detail": f"orthogonal to {worst:.0e}"}


PROBES = {
    "devices": devices,
    "reduction": reduction,
    "initialisers": initialisers,
}

if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]]()))

"""A copy task of a few stored examples, and a small run on it."""

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax import config as configs
from s2sjax.types import EOS, PAD, SYMBOLS, Batch

EXAMPLES, WIDTH, VOCABULARY = 10, 3, SYMBOLS + 3
traces = []  # one item each time that `fetch` is traced


def fetch(store, rows):
    """Filler rows have the last example's content, as garbage, and weight 0."""
    traces.append(rows.shape)
    columns = {name: column[rows] for name, column in store.items()}
    return Batch(**columns, ids=rows, weights=(rows >= 0).astype(jnp.float32))


def store(extra=0):
    """Sources of 0 to 3 symbols, copied; `extra` columns of garbage in the target."""
    random = np.random.default_rng(0)
    lengths = np.arange(EXAMPLES) % (WIDTH + 1)
    source = random.integers(SYMBOLS, VOCABULARY, (EXAMPLES, WIDTH))
    target = np.full((EXAMPLES, WIDTH + 1 + extra), PAD)
    if extra:
        target[:] = random.integers(PAD, VOCABULARY, target.shape)
    for row, length in enumerate(lengths):
        target[row, :length] = source[row, :length]
        target[row, length] = EOS
    columns = {
        "source": source,
        "source_lengths": lengths,
        "target": target,
        "target_lengths": lengths + 1,
    }
    return {name: jnp.asarray(a, jnp.int32) for name, a in columns.items()}


def config(model=None, **train):
    """A small model, trained by plain gradient descent."""
    shape = {"units": 6, "embedding": 0}
    rates = {"dropout_embedding": 0.1, "dropout_state": 0.1, "dropout_output": 0.1}
    chosen = {
        "steps": 60,
        "batch_size": 4,
        "optimizer": "sgd:momentum=0.9",
        "learning_rate": 0.2,
        "clip_norm": 1.0,
    }
    return configs.resolve(
        {
            "model": {"cell": "rnn", **shape, **rates, **(model or {})},
            "train": {**chosen, **train},
            "decode": {"length_ratio": 1.5, "length_extra": 2, "batch_size": 4},
        }
    )


def rows_of(steps, batch=4, seed=0):
    """Which examples each of `steps` steps takes, [steps, batch]; some are filler."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, EXAMPLES, (steps, batch)).astype(np.int32)
    rows[3, -1] = -1
    return rows


def drawn(shapes, seed=0, scale=0.5):
    """Parameters of these shapes, none of them zero."""
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(random.normal(0, scale, leaf.shape), jnp.float32),
        shapes,
    )

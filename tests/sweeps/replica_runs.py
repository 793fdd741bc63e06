"""Small runs as replicas of one program, and each of them alone."""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax import config as configs
from s2sjax import tasks
from s2sjax.models.architectures import build_model
from s2sjax.sweeps.batched import programs
from s2sjax.sweeps.batched.programs import Layout
from s2sjax.training import step
from s2sjax.training.order import Order
from s2sjax.training.recipe import recipe
from s2sjax.training.state import first_state, numbers
from s2sjax.training.step import Program, Work


def config(length=5, cardinality=6, *, seed=0, model=None, **train):
    """A small run that reverses integers."""
    return configs.resolve(
        {
            "seed": seed,
            "task": {"length": length, "min_length": 1, "cardinality": cardinality},
            "model": {"units": 8, "embedding": 4, **(model or {})},
            "train": {"steps": 1000, "batch_size": 8, **train},
        }
    )


def alone(run, steps, dtype=np.float32):
    """The state and the losses of a run by itself."""
    task = tasks.create(run)
    model = build_model(run, len(task.source_vocabulary), len(task.target_vocabulary))
    (bucket,) = task.buckets["train"]
    rows = Order.of(run, task).chunk(0, steps).rows
    chosen, own = recipe(run.train, 1000), numbers(run)
    state, reported, _ = step.run_steps(
        Program(model, chosen, bucket.fetch),
        _floats(first_state(model, chosen, own), dtype),
        Work(own, bucket.store, jnp.asarray(rows), jnp.int32(steps)),
    )
    return state, np.asarray(reported.loss)


def together(runs, counts, *, batched=False, dtype=np.float32):
    """The stacked state and the losses [R, N] of runs in one program."""
    made = [tasks.create(run) for run in runs]
    sizes = [len(task.target_vocabulary) for task in made]
    widest = max(runs, key=lambda run: run.task.length)
    model = build_model(widest, max(sizes), max(sizes))
    buckets = [task.buckets["train"][0] for task in made]
    padded = len(set(sizes)) > 1
    layout = dataclasses.replace(Layout.of(len(runs)), batched=batched)
    pairs = zip(runs, sizes, strict=True)
    stacked = programs.stack([numbers(r, v if padded else None) for r, v in pairs])
    chosen = recipe(widest.train, 1000)
    most = max(counts)
    rows = [Order.of(r, t).chunk(0, most).rows for r, t in zip(runs, made, strict=True)]
    state, reported, _ = programs.run_steps(
        layout,
        Program(
            model,
            chosen,
            max(buckets, key=lambda bucket: bucket.source_width).fetch,
        ),
        _floats(programs.first_states(layout, model, chosen, stacked), dtype),
        Work(
            stacked,
            programs.stack([bucket.store for bucket in buckets]),
            jnp.asarray(np.stack(rows)),
            jnp.asarray(counts, jnp.int32),
        ),
        min(counts) == max(counts),
    )
    return state, np.asarray(reported.loss)


def cut_to(stacked, replica, own):
    """A replica's parameters, without the padding that its own do not have."""
    return jax.tree.map(
        lambda leaf, shape: np.asarray(leaf)[replica][tuple(map(slice, shape.shape))],
        stacked,
        own,
    )


def distance(one, other):
    """The largest difference between two trees."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.max(np.abs(np.asarray(a) - np.asarray(b)))) for a, b in pairs)


def _floats(tree, dtype):
    return jax.tree.map(
        lambda leaf: (
            leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
        ),
        tree,
    )


def same_bits():
    """Replicas that differ in numbers, one after another, are their runs to the bit."""
    dropout = {"dropout_embedding": 0.2, "dropout_state": 0.1, "dropout_output": 0.3}
    model = {"attention": "bahdanau", **dropout}
    fed = {"feeding": "sample", "feeding_schedule": "inverse_sigmoid:k=4"}
    runs = [
        config(
            seed=seed, model=model, learning_rate=rate, feeding_probability=own, **fed
        )
        for seed, rate, own in ((0, 1e-2, 0.5), (2**31 - 1, 1e-3, 0.9))
    ]
    counts = [20, 7]
    state, losses = together(runs, counts)
    for replica, (run, count) in enumerate(zip(runs, counts, strict=True)):
        own, its = alone(run, count)
        for ours, theirs in zip(
            jax.tree.leaves(state), jax.tree.leaves(own), strict=True
        ):
            np.testing.assert_array_equal(ours[replica], theirs)
        np.testing.assert_array_equal(losses[replica, :count], its)
        assert not losses[replica, count:].any()


def in_float64():
    """Padded replicas in float64 are as near to their runs after 200 steps as 1e-9."""
    attention = {"attention": "bahdanau"}
    runs = [config(3, 4, model=attention), config(6, 9, seed=1, model=attention)]
    singles = [alone(run, 200, np.float64)[0].params for run in runs]
    assert jax.tree.leaves(singles)[0].dtype == np.float64
    for batched in (False, True):
        state, _ = together(runs, [200, 200], batched=batched, dtype=np.float64)
        for replica, own in enumerate(singles):
            assert distance(cut_to(state.params, replica, own), own) < 1e-9


if __name__ == "__main__":
    {"same_bits": same_bits, "in_float64": in_float64}[sys.argv[1]]()

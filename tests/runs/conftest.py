"""Helpers: tiny states and checkpoints, tiny runs and their refusals."""

import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax import config as configs
from s2sjax import tasks
from s2sjax.errors import UsageError
from s2sjax.runs.checkpoint import CheckpointReader, Checkpoints
from s2sjax.runs.directory import open_for_training


def value(step):
    return {"params": {"w": np.full(3, step, np.float32)}}


def opened(path, lines=None, **options):
    lines = [] if lines is None else lines
    options = {"metric_better": "max", "say": lines.append, **options}
    return Checkpoints(path, **options)


def reader(path, lines):
    return CheckpointReader(path, metric_better="max", say=lines.append)


def same_bits(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def to_device(tree):
    return jax.tree.map(jnp.array, tree)


def ranked_oracle(metrics, better):
    best = None
    for step, metric in enumerate(metrics):
        if metric is None or not math.isfinite(metric):
            continue
        sign = 1 if better == "max" else -1
        if best is None or sign * metric >= sign * metrics[best]:
            best = step
    return best


@pytest.fixture(scope="session")
def saved():
    return types.SimpleNamespace(
        value=value,
        opened=opened,
        reader=reader,
        same_bits=same_bits,
        to_device=to_device,
        ranked_oracle=ranked_oracle,
    )


CONFIG = {"train": {"steps": 10}}


def resolved(**changes):
    flat = configs.flatten(configs.resolve(CONFIG))
    flat.update({name.replace("__", "."): value for name, value in changes.items()})
    nested = {}
    for path, value in flat.items():
        *parents, name = path.split(".")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return configs.resolve(nested)


def tree(path):
    return {
        str(p.relative_to(path)): p.read_bytes() if p.is_file() else None
        for p in path.rglob("*")
    }


def refused(said, path, config, **options):
    """Refused with one line, and nothing on the disk changed."""
    with pytest.raises(UsageError, match=said) as caught:
        open_for_training(path, config, check_data=tasks.check_sources, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="session")
def runs():
    return types.SimpleNamespace(resolved=resolved, tree=tree, refused=refused)

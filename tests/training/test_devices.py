"""One run on several devices, and one device that nothing is placed on."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax.training.devices import Placement

ROOT = pathlib.Path(__file__).parents[2]
DEVICES = "--xla_force_host_platform_device_count"


@pytest.fixture(scope="module")
def eight():
    """What `mesh_run` measured in a process with eight devices."""
    flags = f"{os.environ['XLA_FLAGS']} {DEVICES}=8"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.training.devices_run"],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["devices"] == 8
    return result


@pytest.mark.parametrize(
    ("case", "tolerance", "steps"),
    [("float32", 1e-4, 20), ("float64", 1e-9, 200)],
)
def test_losses_on_eight_devices_are_those_on_one(eight, case, tolerance, steps):
    losses, apart = eight[case]["losses"], eight[case]["apart"]
    assert len(losses) == len(apart) == steps
    assert max(apart) < tolerance
    assert losses[-1] < losses[0] and np.ptp(losses) > 0.1  # it learns something


def test_on_one_device_nothing_is_placed():
    place = Placement.of(jax.devices()[:1])
    tree = {"kernel": jnp.ones((2, 3)), "step": jnp.int32(4)}
    assert place.whole(tree) is tree and place.local(tree) is tree
    rows = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert place.rows(rows).sharding == jnp.asarray(rows).sharding
    assert np.array_equal(place.rows(rows), rows)

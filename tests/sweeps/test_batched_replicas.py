"""A replica is the run alone: the same bits, or as near as padding and vmap allow."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from s2sjax.sweeps.batched.programs import padded_size
from tests.sweeps.replica_runs import alone, config, cut_to, distance, together

HERE = pathlib.Path(__file__)
ATTENTION = {"attention": "bahdanau"}
DROPOUT = {"dropout_embedding": 0.2, "dropout_state": 0.1, "dropout_output": 0.3}
ONE_TABLE = {"share_embeddings": True, "tie_output": True}
FEEDING = {
    "attention": "location_sensitive:width=3,filters=2",
    "context": "input_feeding",
}
FED = {
    "objective": "label_smoothing:epsilon=0.2",
    "feeding": "sample",
    "feeding_unit": "sequence",
}


@pytest.mark.parametrize(
    ("batched", "model", "train"),
    [
        (True, ATTENTION, {"optimizer": "adamw"}),
        (False, {"embedding": 0, "cell": "rnn", **DROPOUT, **FEEDING}, FED),
        (False, {"cell": "gru:reset=before", "bridge": "learned", **ONE_TABLE}, {}),
        (True, {"cell": "layernorm_lstm", **ATTENTION}, {}),
        (True, {"cell": "mingru", "bidirectional": True, "bridge": "mean"}, {}),
    ],
)
def test_padding_and_vmap_change_rounding_alone(batched, model, train):
    train = {"learning_rate": 1e-2, "clip_norm": 1.0, **train}
    runs = [
        config(3, 4, model=model, **train),
        config(6, 9, model=model, seed=1, **train),
        config(6, 5, model=model, seed=2, **train),
    ]
    if "feeding" in train:  # another number of the same program
        fed = dataclasses.replace(runs[0].train, feeding_probability=0.25)
        runs[0] = dataclasses.replace(runs[0], train=fed)
    state, losses = together(runs, [20, 20, 0], batched=batched)
    assert state.step.tolist() == [20, 20, 0]
    for replica, run in enumerate(runs[:2]):
        own, its = alone(run, 20)
        np.testing.assert_allclose(losses[replica], its, rtol=1e-4)
        assert distance(cut_to(state.params, replica, own.params), own.params) < 1e-4


def in_a_process_of_its_own(name, environ):
    done = subprocess.run(
        [sys.executable, str(HERE.with_name("replica_runs.py")), name],
        env=environ | {"PYTHONPATH": str(HERE.parents[2])},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr


def test_seeds_and_rates_one_after_another_give_the_same_bits():
    # With the code generator of users: that of the tests rounds a loop and what it
    # repeats in two ways.
    flags = os.environ["XLA_FLAGS"].split()
    users = " ".join(flag for flag in flags if "fusion_emitters" not in flag)
    in_a_process_of_its_own("same_bits", os.environ | {"XLA_FLAGS": users})


def test_in_float64_two_hundred_steps_are_equal_to_1e_9():
    in_a_process_of_its_own("in_float64", os.environ | {"JAX_ENABLE_X64": "1"})


def test_padding_has_no_parameters_and_no_gradient():
    runs = [config(3, 4), config(3, 9, seed=1)]
    state, _ = together(runs, [10, 10])
    own = 4 + 4  # symbols, and the tokens before them
    kernel = np.asarray(state.params["decoder"]["output_kernel"])
    assert kernel.shape[1] == 4 + 9
    assert not kernel[0, own:].any()
    assert kernel[1, own:].all()


def test_the_size_fills_the_devices():
    assert padded_size(5, 2) == 6
    assert padded_size(1, 8) == 1
    assert padded_size(7, 1) == 7

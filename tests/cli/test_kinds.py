"""Kinds of cells, bridges and attention: trained, continued, decoded, refused."""

import json
import pathlib

import jax
import numpy as np
import pytest

from s2sjax.runs.checkpoint import CheckpointReader

EXPERIMENT = pathlib.Path(__file__).parents[2] / "experiments" / "reversed.py"
BASE = (
    f"--config={EXPERIMENT}:smoke",
    "--config.model.units=8",
    "--config.train.batch_size=4",
    "--config.train.valid_examples=8",
    "--config.train.eval_every=3",
    "--config.train.save_every=3",
    "--config.train.schedule=constant",
    "--config.model.dropout_state=0.2",
)
# Every cell that is unlike the first three, with a bridge, a number of directions, and
# an attention and context that are unlike the first.
MODELS = {
    "gru:reset=before": ("mean", "true", "general", "readout"),
    "layernorm_lstm": ("learned", "false", "multi_head:heads=2", "input_feeding"),
    "mingru": (
        *("copy:direction=backward", "true"),
        *("location_sensitive:width=3", "input_feeding"),
    ),
}


def last_params(workdir):
    reader = CheckpointReader(workdir / "checkpoints", metric_better="max")
    return reader.restore_params("last").state


@pytest.mark.slow
@pytest.mark.parametrize("cell", MODELS)
def test_a_run_that_is_continued_is_the_run_in_one_go(command, tmp_path, cell):
    bridge, bidirectional, attention, context = MODELS[cell]
    model = (
        f"--config.model.attention={attention}",
        f"--config.model.context={context}",
        f"--config.model.cell={cell}",
        f"--config.model.bridge={bridge}",
        f"--config.model.bidirectional={bidirectional}",
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for workdir, steps in ((whole, 6), (parts, 3), (parts, 6)):
        argv = (*BASE, *model, f"--config.train.steps={steps}")
        done = command("train", *argv, f"--workdir={workdir}")
        assert done.code == 0, done.err
    one, other = last_params(whole), last_params(parts)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)

    states = tmp_path / "states.npz"
    argv = ("--strategy=beam:size=3,n=3", "--json", f"--states={states}")
    done = command("decode", f"--workdir={parts}", *argv, "3", "1", "2")
    assert done.code == 0, done.err
    scores = [row["score"] for row in json.loads(done.out)["nbest"]]
    assert scores == sorted(scores, reverse=True)
    parts_of_state = {n[-2:] for n in np.load(states) if n.startswith("state_0")}
    assert parts_of_state == ({"_h", "_c"} if "lstm" in cell else {"_h"})


REFUSED = {
    "model.cell=mgu": "unknown model.cell 'mgu'; did you mean 'mingru'?",
    "model.cell=gru:reset=befor": "unknown reset 'befor'; did you mean 'before'?",
    "model.bridge=men": "unknown model.bridge 'men'; did you mean 'mean'?",
    "model.bidirectional=true": "model.bridge=copy would drop the states of one",
    "model.attention=none model.context=readout": "model.context=readout means nothing",
    "model.cell=none.py:Cell": "s2sjax: model.cell: ",  # and then the path, once
}


@pytest.mark.parametrize("override", REFUSED)
def test_what_cannot_be_is_one_line_and_leaves_nothing(command, tmp_path, override):
    workdir = tmp_path / "run"
    overrides = [f"--config.{each}" for each in override.split()]
    done = command("train", *BASE, *overrides, f"--workdir={workdir}")
    assert done.code == 2 and REFUSED[override] in done.err
    told = [x for x in done.err.splitlines() if not x.startswith("XLA_FLAGS")]
    assert len(told) == 1 and not workdir.exists()

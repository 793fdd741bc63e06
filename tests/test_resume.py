"""A run that is killed again and again ends, bit for bit, where another one ends."""

import hashlib
import json

import numpy as np
import pytest

from s2sjax.runs import journal
from s2sjax.runs.checkpoint import CheckpointReader
from tests.starting import SMALL, train

pytestmark = pytest.mark.compat
START = (
    *SMALL,
    "--config.train.steps=60",
    "--config.train.log_every=7",
    "--config.train.eval_every=10",
    "--config.train.save_every=10",
    "--config.train.objective=label_smoothing",
    "--config.train.feeding=sample",
    "--config.train.feeding_probability=0.8",
    "--config.train.feeding_schedule=linear:steps=40",
    "--config.model.dropout_embedding=0.2",
    "--config.model.dropout_state=0.1",
    "--config.model.dropout_output=0.2",
    "--config.task.num_train=100",
    "--config.train.batch_size=16",
)


def ending(workdir):
    """The hash of what the last checkpoint holds, and the metrics without the clock."""
    reader = CheckpointReader(workdir / "checkpoints", metric_better="max")
    saved, found = reader._load("last")
    digest = hashlib.sha256(str(saved.step).encode())
    for path in sorted(found):
        digest.update(repr(path).encode() + np.ascontiguousarray(found[path]).tobytes())
    lines = journal.read(workdir / "metrics.jsonl")
    for line in lines:
        line.pop("seconds", None)
    return digest.hexdigest(), lines


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "undisturbed"
    code, said = train(workdir, *START)
    assert code == 0, said
    return workdir


def test_killed_at_every_turn(undisturbed, tmp_path):
    workdir = tmp_path / "killed"
    for failpoint, expected in (
        ("checkpoint.after_arrays:kill:2", -9),
        ("journal.write:kill:4", -9),
        ("checkpoint.before_commit:kill:2", -9),
        ("checkpoint.during_delete:kill:1", -9),
        ("journal.write:term:2", 143),
        ("journal.write:int:1", 130),
        ("", 0),
    ):
        code, said = train(workdir, *START, failpoint=failpoint)
        assert code == expected, (failpoint, said)
    assert ending(workdir) == ending(undisturbed)
    result = [json.loads((w / "test.json").read_text()) for w in (workdir, undisturbed)]
    assert result[0] == result[1]


def test_a_beginning_with_other_parameters_is_evaluated_once(undisturbed, tmp_path):
    lower = (f"--init_from={undisturbed}", *START, "--config.train.learning_rate=1e-4")
    lower += ("--config.train.steps=20",)
    at_once, killed = tmp_path / "at_once", tmp_path / "killed"
    code, said = train(at_once, *lower)
    assert code == 0 and said.count("evaluation at step 0") == 1, said
    for failpoint, expected in (
        ("journal.write:term:1", 143),  # while it is evaluated
        ("", 0),
    ):
        code, said = train(killed, *lower, failpoint=failpoint)
        assert code == expected, (failpoint, said)
    assert ending(killed) == ending(at_once)
    evaluated = [e["step"] for e in ending(killed)[1] if e["kind"] == "valid"]
    assert evaluated == [0, 10, 20]


def test_how_steps_are_dispatched_changes_nothing(undisturbed, tmp_path):
    # Three steps a call at most, instead of as many as come before a line of metrics.
    workdir = tmp_path / "split"
    code, said = train(workdir, *START, "--config.train.steps_per_dispatch=3")
    assert code == 0, said
    assert ending(workdir) == ending(undisturbed)


def test_a_full_disk_ends_the_run_and_costs_nothing(undisturbed, tmp_path):
    workdir = tmp_path / "full"
    code, said = train(workdir, *START, failpoint="checkpoint.before_save:full:3")
    assert code == 1 and "Traceback" not in said
    assert str(workdir) in said.splitlines()[-1]
    code, said = train(workdir)
    assert code == 0, said
    assert ending(workdir) == ending(undisturbed)


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path):
    workdir = tmp_path / "diverged"
    code, said = train(
        workdir,
        *START,
        "--config.train.learning_rate=1e38",
        "--config.train.optimizer=sgd",
    )
    assert code == 1 and "Traceback" not in said
    line = said.splitlines()[-1]
    for word in ("step", "gradient norm", "checkpoint", "train.learning_rate"):
        assert word in line
    reader = CheckpointReader(workdir / "checkpoints", metric_better="max")
    params = reader.restore_params("last").state
    assert np.isfinite(params["decoder"]["output_kernel"]).all()


def test_the_options_that_may_differ_do(undisturbed):
    code, said = train(undisturbed, *START, "--config.train.samples=1")
    assert code == 0 and "is finished" in said
    code, said = train(undisturbed, *START, "--config.train.learning_rate=0.5")
    assert code == 2 and "train.learning_rate: 0.005 here, 0.5 asked" in said

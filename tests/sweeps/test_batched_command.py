"""The command on the CPU's devices: each trial is the run that it would be alone."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from s2sjax.runs import journal, run_files

pytestmark = pytest.mark.compat
CONFIG = """
from s2sjax.config import base_config
from s2sjax.sweeps import grid, product, seeds


def get_config(arg=None):
    config = base_config()
    config.task.length, config.task.min_length = 5, 1
    config.task.num_valid = config.task.num_test = 40
    config.model.units, config.model.embedding = 8, 4
    config.train.batch_size, config.train.steps = 8, 24
    config.train.log_every, config.train.eval_every, config.train.save_every = 4, 6, 6
    config.train.threads = 1
    config.train.metric = "nll"
    config.decode.batch_size = 32
    return config


def sweep(config):
    return product(grid({"train.learning_rate": (1e-2, 3e-2)}), seeds(2))[:3]
"""


def s2sjax(*arguments, failpoint=""):
    """Exit code and output of a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "s2sjax", *map(str, arguments)],
        env=os.environ | {"S2SJAX_FAILPOINT": failpoint, "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "small.py"
    path.write_text(CONFIG)
    return f"--config={path}"


@pytest.fixture(scope="module")
def undisturbed(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("sweeps") / "undisturbed"
    code, said = s2sjax("sweep", config, f"--workdir={path}", "--backend=batched")
    assert code == 0, said
    return path


def trials(sweep):
    return sorted((sweep / "trials").iterdir())


def ending(run: pathlib.Path):
    """What a run came to: its journal without the clock, and its test."""
    lines = journal.read(run / "metrics.jsonl")
    for line in lines:
        line.pop("seconds", None)
    return lines, run_files.read_object(run / "test.json")


def test_a_trial_is_the_same_run_alone(config, undisturbed, tmp_path):
    alone = tmp_path / "alone"
    rest = ("--config.train.learning_rate=0.03", "--config.seed=0")
    code, said = s2sjax("train", config, *rest, f"--workdir={alone}")
    assert code == 0, said
    trial = trials(undisturbed)[2]
    assert ending(trial) == ending(alone)
    code, said = s2sjax("eval", f"--workdir={trial}", "--json")
    assert code == 0, said
    numbers = json.loads(said.splitlines()[0])
    assert numbers.pop("baselines")  # which no run has come to
    assert numbers == ending(alone)[1]


def test_killed_at_any_moment_it_ends_where_it_would_have(
    config, undisturbed, tmp_path
):
    sweep = tmp_path / "killed"
    start = ("sweep", config, f"--workdir={sweep}")  # what it is begun with by itself
    for failpoint, expected in (
        ("journal.write:kill:5", -9),
        ("checkpoint.before_commit:kill:2", -9),
        ("journal.write:term:3", 143),
        ("", 0),
    ):
        code, said = s2sjax(*start, failpoint=failpoint)
        assert code == expected, (failpoint, said)
    for ours, theirs in zip(trials(sweep), trials(undisturbed), strict=True):
        assert ending(ours) == ending(theirs)
    assert len(list((sweep / "groups").iterdir())) == 1

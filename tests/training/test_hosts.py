"""Two processes that train one run over the loopback device."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from s2sjax.errors import RunError
from s2sjax.runs import journal
from s2sjax.training.hosts import Hosts
from s2sjax.training.interruption import Signals

ROOT = pathlib.Path(__file__).parents[2]
START = (
    f"--config={ROOT / 'experiments' / 'reversed.py'}:smoke",
    "--config.train.steps=20",
    "--config.train.log_every=1",
    "--config.train.eval_every=10",
    "--config.train.batch_size=15",
    "--config.model.attention=none",
    "--config.model.units=8",
)


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def begin(workdir, *arguments, failpoint=""):
    return subprocess.Popen(
        [sys.executable, "-m", "s2sjax", "train", f"--workdir={workdir}", *arguments],
        env=os.environ | {"S2SJAX_FAILPOINT": failpoint},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def two(workdir, *arguments, failpoint=""):
    """Both processes; `failpoint` is process 0's."""
    port = free_port()
    processes = [
        begin(
            workdir,
            *arguments,
            "--multihost",
            f"--coordinator=127.0.0.1:{port}",
            "--processes=2",
            f"--process_id={index}",
            failpoint=failpoint if index == 0 else "",
        )
        for index in range(2)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def ended(processes, timeout=120):
    """Exit codes, and what each said; skips where the CPU has no collectives."""
    texts = [process.communicate(timeout=timeout) for process in processes]
    said = [out + error for out, error in texts]
    if any("aren't implemented on the CPU" in text for text in said):
        pytest.skip("this jax has no collectives between processes on the CPU")
    return [process.returncode for process in processes], said


def training(workdir):
    lines = journal.read(workdir / "metrics.jsonl")
    return [line for line in lines if line["kind"] == "train"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "alone"
    (code,), said = ended([begin(workdir, *START)])
    assert code == 0, said
    return workdir


@pytest.mark.slow
def test_two_processes_train_as_one_does(alone, tmp_path):
    workdir = tmp_path / "two"
    with two(workdir, *START) as processes:
        codes, said = ended(processes)
    assert codes == [0, 0], said
    assert "Traceback" not in said[0] + said[1]
    assert "exact match" in said[0] and "exact match" not in said[1]
    losses = [[line["loss"] for line in training(run)] for run in (alone, workdir)]
    assert len(losses[1]) == 20
    assert losses[1] == pytest.approx(losses[0], abs=1e-4, rel=0)
    record = json.loads((workdir / "run.json").read_text())
    assert (record["device_count"], record["process_count"]) == (2, 2)
    # One process goes on with what two have saved.
    (code,), said = ended([begin(workdir)])
    assert code == 0, said


@pytest.mark.slow
def test_a_signal_to_one_stops_both_at_the_same_step(tmp_path):
    workdir = tmp_path / "stopped"
    endless = (*START, "--config.train.steps=1000000", "--config.train.eval_every=1000")
    with two(workdir, *endless) as processes:
        deadline = time.monotonic() + 120
        while not ((workdir / "metrics.jsonl").is_file() and training(workdir)):
            assert time.monotonic() < deadline
            assert all(process.poll() is None for process in processes)
            time.sleep(0.05)
        processes[1].send_signal(signal.SIGTERM)
        codes, said = ended(processes)
    assert codes == [143, 143], said
    assert "Traceback" not in said[0] + said[1]
    steps = [int(path.name) for path in (workdir / "checkpoints").iterdir()]
    assert max(steps) == training(workdir)[-1]["step"]


@pytest.mark.slow
def test_a_full_disk_under_process_0_ends_both(tmp_path):
    with two(tmp_path / "full", *START, failpoint="journal.write:full:3") as processes:
        codes, said = ended(processes)
    assert codes == [1, 1], said
    assert "No space left" in said[0]
    assert "process 0 of 2 failed" in said[1]
    assert "Traceback" not in said[0] + said[1]


def test_a_process_alone_agrees_with_itself():
    hosts, signals = Hosts(), Signals()
    assert hosts.leads and hosts.of_first(0.25) == 0.25
    assert not hosts.heard(signals) and hosts.exit_code == 0
    signals.received = signal.SIGTERM
    assert hosts.heard(signals) and hosts.exit_code == 143
    with pytest.raises(RunError, match="full"), hosts.together():
        raise RunError("full")

"""Two processes that train one run over the loopback device."""

import json
import signal

import pytest

from s2sjax.errors import RunError
from s2sjax.training.hosts import Hosts
from s2sjax.training.interruption import Signals
from tests.starting import begin
from tests.training.pair import START, ended, training, two, wait_for_steps


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
        wait_for_steps(workdir, processes, 1)
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

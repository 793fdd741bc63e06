"""A run of two processes one of which dies: what the other does, and how both go on."""

import json
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest

from s2sjax.training.hosts import LOST
from tests.test_resume import ending
from tests.training.pair import START, ended, two, wait_for_steps

LONG = (
    *START,
    "--config.train.steps=120",
    "--config.train.eval_every=20",
    "--config.train.save_every=10",
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "undisturbed"
    with two(workdir, *LONG) as processes:
        codes, said = ended(processes)
    assert codes == [0, 0], said
    return workdir


def assert_told(said, index, workdir, lost):
    """One line says who is lost, and where jax's own words are; they are not shown."""
    last = said.splitlines()[-1]
    assert last.startswith(f"s2sjax: process {index} of 2: {lost}"), said
    assert "start all of them again to go on" in last
    kept = workdir / f"process-{index}.log"
    assert str(kept) in last and "Gloo" in kept.read_text()
    for word in ("[Gloo]", "Traceback", "stack trace", "jaxlib", "absl"):
        assert word not in said


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_other_and_both_go_on(undisturbed, tmp_path, killed):
    workdir, other = tmp_path / "killed", 1 - killed
    with two(workdir, *LONG) as processes:
        wait_for_steps(workdir, processes, 25)
        processes[killed].kill()
        since = time.monotonic()
        codes, said = ended(processes, timeout=20)
    assert codes[other] == LOST and time.monotonic() - since < 10
    assert_told(said[other], other, workdir, f"process {killed} ")
    assert "[Gloo]" not in said[killed]
    with two(workdir) as processes:
        codes, said = ended(processes)
    assert codes == [0, 0], said
    assert ending(workdir) == ending(undisturbed)
    tests = [(run / "test.json").read_bytes() for run in (workdir, undisturbed)]
    assert tests[0] == tests[1]


@pytest.mark.parametrize("frozen", [0, 1])
def test_one_that_is_silent_is_lost_after_the_heartbeat(tmp_path, frozen):
    workdir, other = tmp_path / "frozen", 1 - frozen
    endless = (*LONG, "--config.train.steps=1000000", "--heartbeat=5")
    with two(workdir, *endless) as processes:
        wait_for_steps(workdir, processes, 1)
        processes[frozen].send_signal(signal.SIGSTOP)
        since = time.monotonic()
        said = processes[other].communicate(timeout=60)
        took = time.monotonic() - since
        processes[frozen].send_signal(signal.SIGCONT)
        codes = [each.wait(timeout=60) for each in processes]
        late = processes[frozen].communicate(timeout=10)
    assert codes == [LOST, LOST] and 2 < took < 20
    assert_told("".join(said), other, workdir, f"process {frozen} is lost")
    assert_told("".join(late), frozen, workdir, "")


def test_srun_starts_both_without_further_flags(slurm, tmp_path):
    workdir, hosts = tmp_path / "srun", tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost n1 n2 {socket.gethostname()}\n")
    train = [sys.executable, "-m", "s2sjax", "train", f"--workdir={workdir}", *START]
    # The nodes are names of this machine alone; jax's port follows from the job.
    script = f"""
    mount --bind {hosts} /etc/hosts
    export JAX_COORDINATOR_BIND_ADDRESS=127.0.0.1:$((SLURM_JOB_ID % 4096 + 61440))
    exec {shlex.join([*train, "--multihost"])}
    """
    task = ["unshare", "--mount", "sh", "-c", script]
    done = subprocess.run(
        ["srun", "--nodes=2", "--ntasks=2", *task],
        env=slurm.environ,
        capture_output=True,
        text=True,
        timeout=240,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "[Gloo]" not in said, said
    assert json.loads((workdir / "run.json").read_text())["process_count"] == 2

"""A Ray cluster of several nodes, of which some die, and what becomes of a sweep."""

import contextlib
import importlib.util
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest

from s2sjax.errors import UsageError
from s2sjax.runs import manifest
from s2sjax.sweeps import backends
from s2sjax.sweeps.protocols import UNSEEN
from tests.engines.conftest import wait
from tests.engines.ray_nodes import Nodes, descendants, parent
from tests.test_resume import ending

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed"
)
SAVES = (
    "trap 'sleep 1; echo saved; date +%s.%N; exit 143' TERM; echo $$; sleep 99 & wait"
)


@pytest.fixture(scope="module")
def nodes():
    there = Nodes()
    try:
        head = there.start("--num-cpus=0")
        there.wait_for(head)
        there.head, there.workers = head, []
        for _ in range(2):  # one by one: two at a time have been seen to hang
            there.workers.append(there.start("--num-cpus=1"))
            there.wait_for(there.workers[-1])
        yield there
    finally:
        there.close()


@pytest.fixture
def pool(nodes, tmp_path, monkeypatch):
    """Makes pools of the cluster, each in the environment of its nodes."""
    for name, value in nodes.environ.items():
        monkeypatch.setenv(name, value)
    with contextlib.ExitStack() as stack:

        def make(spec="ray", workers=None, address=nodes.address):
            made = backends.make_pool(spec, tmp_path, workers, address)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def start(tmp_path):
    """Starts a script in a pool, as a trial of its own."""
    count = iter(range(99))

    def begin(pool, script):
        folder = tmp_path / "trials" / f"{next(count)}"
        folder.mkdir(parents=True)
        (folder / "trial.json").touch()
        job = pool.start(["sh", "-c", script], folder / "log", 0)
        job.log = folder / "log"
        return job

    return begin


def ended(job, seconds=30):
    return wait(job.poll, seconds)


def lines(job):
    return job.log.read_text().split() if job.log.exists() else []


def test_a_task_that_waits_leaves_the_queue(pool, start):
    there = pool(workers=3)
    jobs = [start(there, SAVES) for _ in range(3)]
    wait(lambda: sum(job.since is not None for job in jobs) == 2, 60)
    (waits,) = [job for job in jobs if job.since is None]
    wait(lambda: there.waiting() == "1 task of Ray (0 of 2 CPUs are free)", 10)
    for job in jobs:
        job.stop()
    asked = time.monotonic()
    assert ended(waits).code == 143 and time.monotonic() - asked < 2
    assert [ended(job).code for job in jobs] == [143] * 3
    assert sum("saved" in lines(job) for job in jobs) == 2
    assert there.waiting() == "" and not lines(waits)


def test_a_local_cluster_is_one_of_its_own(pool, start):
    there = pool(address="")  # and not what RAY_ADDRESS names
    assert there.size == len(os.sched_getaffinity(0))
    jobs = [start(there, f"exit {code}") for code in (0, 3)]
    assert [ended(job, 60) for job in jobs] == [(0, ""), (3, "")]


def test_killed(pool, start):
    there = pool()
    job = start(there, "trap '' TERM; echo $$; sleep 99; sleep 99")
    wait(lambda: lines(job), 60)
    job.kill()
    assert ended(job).code == -9


def test_a_trial_does_not_outlive_its_worker(pool, start, nodes):
    there = pool()
    kept = start(there, SAVES)  # has the other node
    job = start(there, SAVES)
    wait(lambda: lines(kept) and lines(job), 60)
    worker = parent(parent(int(lines(job)[0])))
    os.kill(worker, signal.SIGKILL)
    how = ended(job)
    assert how.code == -9 and "worker" in how.why and "\n" not in how.why
    next_one = start(there, "date +%s.%N")
    assert ended(next_one, 60).code == 0
    assert "saved" in lines(job)
    assert float(lines(job)[2]) < float(lines(next_one)[0])
    kept.stop()
    assert ended(kept).code == 143


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("ray:cpus=8", "no node of the cluster has cpus=8; the largest has 1"),
        ("ray:gpus=1", "no node of the cluster has gpus=1; the largest has 0"),
        ("ray:resources=TPU:1", "no node of the cluster has TPU=1; the largest has 0"),
    ],
)
def test_more_than_any_node_has_is_refused(pool, spec, said):
    with pytest.raises(UsageError) as told:
        pool(spec)
    assert str(told.value) == f"backend=ray: {said}"


def test_an_address_where_nobody_answers_is_refused(pool):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port, why in ((9, "refused"), (silent.getsockname()[1], "timed out")):
            began = time.monotonic()
            with pytest.raises(UsageError) as told:
                pool(address=f"127.0.0.1:{port}")
            assert time.monotonic() - began < 15
            said = str(told.value)
            assert said.startswith(f"ray_address=127.0.0.1:{port} does not answer: ")
            assert why in said and "\n" not in said


def test_a_node_without_the_directory_is_left_out(pool, start, nodes, tmp_path):
    (tmp_path / "trials").mkdir()
    hide = 'mount -t tmpfs none "$0" && exec "$@"'
    wrap = ("unshare", "-m", "sh", "-c", hide, tmp_path / "trials")
    if subprocess.run([*wrap, "true"], capture_output=True).returncode:
        pytest.skip("no mounts of a process's own here")
    blind = nodes.start("--num-cpus=4", wrap=wrap)
    nodes.wait_for(blind)
    try:
        there = pool()
        assert there.size == 6
        jobs = [start(there, "echo here") for _ in range(6)]
        how = [ended(job, 60) for job in jobs]
        unseen = [each for each in how if each.code == UNSEEN]
        assert unseen and "is not on" in unseen[0].why
        wait(lambda: there.size == 2, 10)
        jobs = [start(there, "echo here") for _ in range(3)]
        assert [ended(job, 60).code for job in jobs] == [0] * 3
    finally:
        nodes.kill(blind)


def test_a_node_that_joins_is_used(pool, start, nodes):
    there = pool()
    wait(lambda: there.size == 2, 30)  # of the test before there may be a third
    late = nodes.start("--num-cpus=1", '--resources={"late": 1}')
    nodes.wait_for(late)
    wait(lambda: there.size == 3, 10)
    by_name = pool("ray:cpus=0.5,resources=late:0.25")
    assert by_name.size == 2
    nodes.kill(late)
    wait(lambda: there.size == 2, 30)


STEPS = 2000
TINY = f"""
from s2sjax.config import base_config
from s2sjax.sweeps import seeds


def get_config(arg=None):
    config = base_config()
    config.task.name = "reversed"
    config.task.length = 5
    config.task.num_valid = config.task.num_test = 64
    config.model.units = 16
    config.train.steps = {STEPS}
    config.train.save_every = config.train.eval_every = 100
    return config


def sweep(config):
    return seeds(3)
"""


class Launcher:
    """`s2sjax sweep` in a process of its own, and what it has said."""

    def __init__(self, nodes, folder, *arguments):
        self._log = folder / f"launcher-{len(list(folder.glob('launcher-*')))}"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "s2sjax", "sweep", *arguments],
                env=nodes.environ,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        nodes.started.append(self.process)

    @property
    def said(self):
        return self._log.read_text()

    def ends(self, seconds):
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.said) from None

    def terminate(self):
        """How long it takes to its end, and its exit code."""
        began = time.monotonic()
        self.process.terminate()
        code = self.ends(20)
        return time.monotonic() - began, code


@pytest.fixture(scope="module")
def undisturbed(nodes, tmp_path_factory):
    """A sweep by processes of this machine, in a folder for others of the same."""
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "tiny.py").write_text(TINY)
    launcher = Launcher(
        nodes, folder, "--config=tiny.py", "--workdir=ref", "--backend=processes"
    )
    assert launcher.ends(200) == 0, launcher.said
    return folder


def trials(sweep):
    return sorted((sweep / "trials").iterdir())


def trained(sweep, nodes):
    """The trials that are being trained: each with its process and its node."""
    found = []
    for trial in trials(sweep) if (sweep / "trials").exists() else ():
        with contextlib.suppress(OSError, ValueError):
            pid = json.loads((trial / "lock").read_text())["pid"]
            found += [
                (trial, pid, n) for n in nodes.workers if pid in descendants(n.pid)
            ]
    return found


def in_the_middle(sweep, nodes):
    """A trial that runs, has saved and is not at its end; who trains it, and where."""

    def look():
        for each in trained(sweep, nodes):
            if 0 < max(manifest.steps(each[0] / "checkpoints"), default=0) < STEPS // 2:
                return each
        return None

    return wait(look, 120)


def test_a_disturbed_sweep_ends_where_another_one_does(undisturbed, nodes):
    sweep = undisturbed / "x"
    at = f"--ray_address={nodes.address}"
    begin = ("--config=tiny.py", "--workdir=x", "--backend=ray:cpus=1", at)
    launcher = Launcher(nodes, undisturbed, *begin)
    # A worker is killed, and no second process trains its trial.
    trial, pid, _ = in_the_middle(sweep, nodes)
    os.kill(parent(parent(pid)), signal.SIGKILL)
    wait(lambda: f"{trial.name} was preempted" in launcher.said, 30)
    # A node is killed in the middle of a trial, and a new one takes its place.
    _, _, lost = in_the_middle(sweep, nodes)
    nodes.kill(lost)
    wait(lambda: launcher.said.count("was preempted") >= 2, 60)
    nodes.workers.remove(lost)
    nodes.workers.append(nodes.start("--num-cpus=1"))
    nodes.wait_for(nodes.workers[-1])
    # The launcher is killed; what it had started ends, saved.
    in_the_middle(sweep, nodes)
    launcher.process.kill()
    launcher.process.wait()
    wait(lambda: not trained(sweep, nodes), 60)
    # The next one knows where it was begun, and says so where it is stopped.
    launcher = Launcher(nodes, undisturbed, "--workdir=x")
    in_the_middle(sweep, nodes)
    seconds, code = launcher.terminate()
    assert seconds < 10 and code == 143, launcher.said
    again = launcher.said.strip().splitlines()[-1].strip()
    assert again == f"s2sjax sweep --workdir=x --backend=ray:cpus=1 {at}"
    launcher = Launcher(nodes, undisturbed, *shlex.split(again)[2:])
    assert launcher.ends(200) == 0, launcher.said
    for each, reference in zip(trials(sweep), trials(undisturbed / "ref"), strict=True):
        assert each.name == reference.name and ending(each) == ending(reference)
        for name in ("config.json", "test.json"):
            assert (each / name).read_bytes() == (reference / name).read_bytes()


def test_a_launcher_ends_without_a_cpu_and_without_a_cluster(undisturbed, nodes):
    """The last test of all: it leaves no cluster."""
    at = f"--ray_address={nodes.address}"
    begin = ("--config=tiny.py", "--backend=ray:cpus=1", at)
    first, second, third = (
        Launcher(nodes, undisturbed, *begin, f"--workdir={name}")
        for name in ("without_cpu", "stopped", "left")
    )
    wait(lambda: [*(undisturbed / "without_cpu").glob("trials/*/worker")], 60)
    for node in nodes.workers:
        nodes.kill(node)
    lacks = "of Ray (no node of the cluster has cpus=1; the largest has 0)"
    wait(lambda: lacks in first.said, 90)
    seconds, code = first.terminate()
    assert seconds < 10 and code == 143, first.said
    nodes.kill(nodes.head)
    seconds, code = second.terminate()
    assert seconds < 10 and code == 143, second.said
    assert third.ends(60) == 1, third.said
    gone = (
        f"s2sjax: the Ray cluster at {nodes.address} is gone; to go on: s2sjax sweep "
    )
    assert third.said.splitlines()[-1].startswith(gone)
    for launcher in (first, second, third):
        assert launcher.said.count("Ray: ") < 3, launcher.said

"""Clusters run the same commands: called as they call them, and by a fake Slurm."""

import os
import pathlib
import socket
import time

import pytest

from s2sjax.errors import UsageError
from s2sjax.sweeps import backends
from s2sjax.sweeps.pools import slurm as slurm_pool
from s2sjax.sweeps.pools import slurm_programs
from s2sjax.sweeps.pools.remote import Control, RemoteCommand
from s2sjax.sweeps.protocols import UNSEEN
from tests.sweeps import fake_slurm


def until(is_so, jobs=(), seconds=60):
    """Waits, and asks the jobs meanwhile, as the scheduler does."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        assert not any(job.poll() for job in jobs)
        time.sleep(0.05)


def ended(job):
    found = []
    until(lambda: found.append(job.poll()) or found[-1])
    return found[-1]


def finish(job):
    return ended(job).code


def made(trial):
    """The log of a trial's directory."""
    trial.mkdir(parents=True)
    (trial / "trial.json").touch()
    return trial / "log"


SAVES = "trap 'echo saved; exit 143' TERM; touch {}; sleep 60 & wait"


def printed(log):
    return log.read_text().removesuffix("Killed\n")  # as a shell says


def check(pool, folder, killed=-9, kill="kill"):
    """What the scheduler asks of every pool.

    Args:
      pool: to be asked.
      folder: for trials.
      killed: the code of a command that SIGKILL has ended.
      kill: "stop" where Slurm lets a job save first.
    """
    codes = {}
    for name, script in (("ok", "exit 0"), ("bad", "exit 3"), ("gone", "kill -9 $$")):
        log = made(folder / name)
        codes[name] = finish(pool.start(["sh", "-c", f"echo x; {script}"], log, 0))
        assert printed(log) == "x\n"
    assert codes == {"ok": 0, "bad": 3, "gone": killed}
    wanted = {"stop": (143, "saved\n"), "kill": (killed, "")}
    for name, end, how in (("term", "stop", "stop"), ("kill", "kill", kill)):
        log, began = made(folder / name), folder / name / "began"
        job = pool.start(["sh", "-c", SAVES.format(began)], log, 0)
        until(began.exists, [job])
        getattr(job, end)()
        assert (finish(job), printed(log)) == wanted[how]


class Immediate:
    """A cluster of one thread: what the others pickle, it calls."""

    def start(self, command, log, slot):
        import threading
        from types import SimpleNamespace

        control = Control(log)
        codes = []
        remote = RemoteCommand(list(command), str(log), os.getcwd())
        threading.Thread(target=lambda: codes.append(remote()), daemon=True).start()
        return SimpleNamespace(
            poll=lambda: codes[0] if codes else None,
            stop=control.stop,
            kill=control.kill,
        )


def test_the_command_on_another_machine(tmp_path):
    check(Immediate(), tmp_path)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm_programs, "ASK_SECONDS", 0.3)
    monkeypatch.setattr(slurm_pool, "EXPLAIN_SECONDS", 1.5)
    return fake_slurm.install(tmp_path / "slurm", monkeypatch)


@pytest.fixture
def pool(slurm, tmp_path):
    pool = backends.make_pool("slurm", tmp_path / "sweep", 2, "")
    yield pool
    pool.close()


def test_a_machine_that_lacks_something_says_so(tmp_path):
    log, here = made(tmp_path / "sweep" / "trials" / "0000"), socket.gethostname()
    absent = RemoteCommand(["/no/python"], str(log), str(tmp_path))
    assert absent() == (UNSEEN, f"/no/python is not on {here}: all nodes must have it")
    (log.parent / "trial.json").unlink()
    there = RemoteCommand(["true"], str(log), str(tmp_path))
    said = (
        f"{tmp_path}/sweep is not on {here}: it must be on storage that all nodes mount"
    )
    assert there() == (UNSEEN, said)
    assert [entry.name for entry in log.parent.iterdir()] == []


def test_slurm(pool, slurm, tmp_path):
    check(pool, tmp_path, killed=137, kill="stop")
    flags = (slurm / "1.flags").read_text().split()
    assert {"--no-requeue", "--time=60", "--cpus-per-task=1"} <= set(flags)
    assert "--job-name=ok-sweep" in flags and not (tmp_path / "sweep").exists()


def test_what_a_job_waits_for_and_how_it_leaves_the_queue(pool, slurm, tmp_path):
    (slurm / "hold").touch()
    (slurm / "reason").write_text("Resources")
    jobs = [pool.start(["true"], made(tmp_path / name), 0) for name in "abc"]
    for job in jobs:
        assert job.since is None and job.poll() is None
    what = "3 jobs pending in partition low (Resources)"
    until(lambda: pool.waiting() == what, jobs)
    # Another launcher knows them again, but for the one that is over.
    jobs[0].stop()
    assert finish(jobs[0]) != 0
    other = backends.make_pool("slurm", tmp_path / "sweep", 2, "")
    adopted = [other.adopt(tmp_path / name) for name in "abc"]
    assert list(map(str, adopted)) == ["None", "job 2 of Slurm", "job 3 of Slurm"]
    assert other.adopt(tmp_path) is None
    adopted[1].stop()
    assert finish(adopted[1]) != 0 != finish(jobs[1])
    (slurm / "hold").unlink()
    assert finish(adopted[2]) == finish(jobs[2]) == 0
    assert other.waiting() == ""
    other.close()


WITHOUT_A_WORD, ALONE = "kill -9 $PPID; sleep 60", "kill -9 $$"


@pytest.mark.parametrize(
    ("death", "state", "code", "why"),
    [
        (WITHOUT_A_WORD, "NODE_FAIL", -9, ": NODE_FAIL"),
        (WITHOUT_A_WORD, "PREEMPTED", -9, ": PREEMPTED"),
        (WITHOUT_A_WORD, "TIMEOUT", -9, " reached its limit of 5 min"),
        (WITHOUT_A_WORD, "FAILED", -9, ": FAILED"),
        (WITHOUT_A_WORD, None, -9, ": squeue does not know it"),
        (ALONE, "OUT_OF_MEMORY", 1, ": OUT_OF_MEMORY"),
        (ALONE, "NODE_FAIL", 137, ": NODE_FAIL"),
        (ALONE, "FAILED", 137, None),
        ("exit 3", "CANCELLED", 3, None),
    ],
)
def test_how_a_job_dies(pool, slurm, tmp_path, death, state, code, why):
    log = made(tmp_path / "a")
    wait = f"echo $$ >{log}.began; until [ -e {log}.die ]; do sleep 0.05; done"
    job = pool.start(["sh", "-c", f"{wait}; {death}"], log, 0)
    began = pathlib.Path(f"{log}.began")
    until(lambda: began.exists() and began.read_text(), [job])
    (slurm / "1").write_text(state) if state else (slurm / "1").unlink()
    pathlib.Path(f"{log}.die").touch()
    assert ended(job) == (code, "" if why is None else f"job 1 of Slurm{why}")
    pool.close()  # what was left of it is ended too
    stat = pathlib.Path(f"/proc/{began.read_text().strip()}/stat")
    until(lambda: not stat.exists() or stat.read_text().split()[2] == "Z")


def test_a_job_that_slurm_refuses(pool, slurm, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm_pool, "AGAIN_SECONDS", 0.2)
    first = pool.start(["sleep", "60"], made(tmp_path / "a"), 0)
    until(lambda: first.since, [first])
    (slurm / "refusal").write_text("too many jobs")
    second = pool.start(["true"], made(tmp_path / "b"), 0)
    until(lambda: pool.waiting() == "Slurm takes no more jobs: too many jobs", [second])
    (slurm / "refusal").unlink()
    assert ended(second).code == 0 and pool.waiting() == ""
    first.kill()
    assert ended(first).code != 0
    with pytest.raises(UsageError, match="Slurm refuses such jobs: no such partition"):
        (slurm / "refusal").write_text("Batch job submission failed: no such partition")
        backends.make_pool("slurm", tmp_path / "sweep", 2, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rya", "did you mean 'ray'?"),
        ("slurm:partitoin=gpu", "did you mean 'partition'?"),
        ("ray:resources=TPU", "resources=TPU is not NAME:AMOUNT, e.g. TPU:4"),
        ("ray:resources=TPU:0", "resources=TPU:0 is not NAME:AMOUNT, e.g. TPU:4"),
        ("processes:workers=3", "backend 'processes' takes no argument 'workers'"),
    ],
)
def test_specs_that_cannot_be(tmp_path, text, said):
    with pytest.raises(UsageError) as told:
        backends.name(text)
        backends.make_pool(text, tmp_path, None, "")
    assert said in str(told.value) and "\n" not in str(told.value)

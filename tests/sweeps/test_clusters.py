"""Clusters run the same commands: submitit on this machine, and Ray where it is."""

import os
import socket
import time

import pytest

from s2sjax.errors import UsageError
from s2sjax.sweeps import backends, directory
from s2sjax.sweeps.pools.remote import Control, RemoteCommand
from s2sjax.sweeps.protocols import UNSEEN


def finish(job, seconds=60):
    until = time.monotonic() + seconds
    while (ended := job.poll()) is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    return ended.code


def wait_for(path, seconds=60):
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.05)


def made(trial):
    """The log of a trial's directory."""
    trial.mkdir(parents=True)
    (trial / "trial.json").touch()
    return trial / "log"


SAVES = "trap 'echo saved; exit 143' TERM; touch {}; sleep 60 & wait"


def check(pool, folder):
    """What the scheduler asks of every pool."""
    codes = {}
    for name, script in (("ok", "exit 0"), ("bad", "exit 3"), ("gone", "kill -9 $$")):
        log = made(folder / name)
        codes[name] = finish(pool.start(["sh", "-c", f"echo x; {script}"], log, 0))
        assert log.read_text() == "x\n"
    assert codes == {"ok": 0, "bad": 3, "gone": -9}
    for name, end, wanted in (("term", "stop", 143), ("kill", "kill", -9)):
        log, began = made(folder / name), folder / name / "began"
        job = pool.start(["sh", "-c", SAVES.format(began)], log, 0)
        wait_for(began)
        getattr(job, end)()
        assert finish(job) == wanted
        assert log.read_text() == ("saved\n" if end == "stop" else "")


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


def test_slurm_through_submitit(tmp_path):
    pytest.importorskip("submitit")
    pool = backends.make_pool("slurm:cluster=local", tmp_path / "sweep", 2, "")
    # It has made a folder, and yet the sweep can be begun.
    assert (tmp_path / "sweep").exists() and not directory.check(tmp_path / "sweep")
    check(pool, tmp_path)
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rya", "did you mean 'ray'?"),
        ("slurm:partitoin=gpu", "did you mean 'partition'?"),
        ("processes:workers=3", "backend 'processes' takes no argument 'workers'"),
    ],
)
def test_specs_that_cannot_be(tmp_path, text, said):
    with pytest.raises(UsageError) as told:
        backends.name(text)
        backends.make_pool(text, tmp_path, None, "")
    assert said in str(told.value) and "\n" not in str(told.value)

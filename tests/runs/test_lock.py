import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s2sjax.errors import RunError
from s2sjax.runs import lock
from s2sjax.runs.directory import open_for_reading, open_for_training
from s2sjax.runs.lock import Lock

OWNER = """
import sys, time
from s2sjax import config
from s2sjax.runs.directory import open_for_training
run = open_for_training(sys.argv[1], config.resolve({"train": {"steps": 10}}))
assert "jax" not in sys.modules, "the run must open before jax is imported"
print("open", flush=True)
time.sleep(20)
"""


def test_a_second_process_is_refused_and_a_dead_owner_never_blocks(runs, tmp_path):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout.readline() == "open\n"
        before = runs.tree(tmp_path)
        said = runs.refused("is in use by process", tmp_path, runs.resolved())
        assert f"process {owner.pid} on {os.uname().nodename} since 20" in said
        assert open_for_reading(tmp_path).config == runs.resolved()
        assert runs.tree(tmp_path) == before
        owner.send_signal(signal.SIGKILL)
        owner.wait(timeout=10)
        with open_for_training(tmp_path, None) as run:
            assert run.config == runs.resolved()
            runs.refused(f"process {os.getpid()}", tmp_path, None)
        open_for_training(tmp_path, None).close()


FORKING = """
import os, sys, time
from pathlib import Path
from s2sjax.runs.lock import Lock
lock = Lock(Path(sys.argv[1]))
if os.fork() == 0:  # a child that has yet to execute its own program
    time.sleep(0.5)
    os._exit(0)
print("forked", flush=True)
time.sleep(20)
"""


def test_a_child_of_a_dead_owner_is_waited_for(tmp_path):
    owner = subprocess.Popen(
        [sys.executable, "-c", FORKING, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout.readline() == "forked\n"
    owner.kill()
    owner.wait(timeout=10)
    begin = time.monotonic()
    Lock(tmp_path).close()
    assert time.monotonic() - begin > 0.1
    owner.stdout.close()


def test_two_that_start_at_once_make_one_run(tmp_path):
    path = tmp_path / "run"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", OWNER, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    deadline = time.monotonic() + 30
    while all(process.poll() is None for process in both):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (winner,) = [process for process in both if process.poll() is None]
    (loser,) = [process for process in both if process is not winner]
    assert winner.stdout.readline() == "open\n"
    assert "is in use by process" in loser.communicate()[1]
    winner.kill()
    winner.communicate()


def test_a_full_disk_is_a_failed_run(runs, tmp_path, monkeypatch):
    def full(descriptor, data, offset):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RunError, match="lock: No space"):
        open_for_training(tmp_path, runs.resolved())
    monkeypatch.undo()
    open_for_training(tmp_path, runs.resolved()).close()


LOCK = b'{"pid": 4194305, "host": "there", "since": "2026-01-01T00:00:00+00:00"}\n'


@pytest.mark.parametrize(
    "data",
    [
        *(LOCK[:cut] for cut in (0, 1, 5, 9, 20, len(LOCK))),
        bytes(50),
        LOCK[:20] + bytes(30),
        LOCK.replace(b"4194305", b"9" * 30),
        LOCK.replace(b"4194305", b"-1"),
        LOCK.replace(b"4194305", b'"\\u001b[2J"'),
        LOCK.replace(b'"there"', b"[1]"),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_whatever_a_kill_leaves_of_a_lock_is_no_obstacle(runs, tmp_path, data, begun):
    if begun:
        open_for_training(tmp_path, runs.resolved()).close()
    (tmp_path / "lock").write_bytes(data)
    with open_for_training(tmp_path, runs.resolved()):
        (tmp_path / "lock").write_bytes(data)
        said = runs.refused("is in use by", tmp_path, None)
        assert said.isprintable()
    open_for_training(tmp_path, None).close()


@pytest.mark.parametrize("data", [b"mine", b"{}", LOCK[:9] * 1000, b"\0mine"])
def test_a_file_of_that_name_that_is_no_lock_is_left_alone(runs, tmp_path, data):
    (tmp_path / "lock").write_bytes(data)
    runs.refused("it has lock", tmp_path, runs.resolved())
    assert (tmp_path / "lock").read_bytes() == data


MOUNTS = """/dev/sda1 / ext4 rw,relatime 0 0
mds@tcp:/one /scratch lustre rw,localflock,lazystatfs 0 0
mds@tcp:/two /scratch/all\\040nodes lustre rw,flock,lazystatfs 0 0
mds@tcp:/old /old lustre rw,noflock 0 0
mds@tcp:/new /old lustre rw,flock 0 0
server:/home /home nfs rw,vers=3,nolock,local_lock=all 0 0
server:/work /work nfs4 rw,vers=4.2,local_lock=none 0 0
a line of another kind
"""


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("/scratch/sweeps/a", "lustre, mounted at /scratch with localflock"),
        ("/scratch", "localflock"),
        ("/scratch/all nodes/a", ""),
        ("/scratches/a", ""),
        ("/old/a", ""),  # what is mounted over it counts
        ("/home/me", "nfs, mounted at /home with nolock"),
        ("/work/me", ""),
    ],
)
def test_locks_that_other_nodes_do_not_know_are_told(tmp_path, place, told):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    said = lock.only_of_this_node(Path(place), mounts)
    assert told in said and bool(said) == bool(told)
    assert "\n" not in said
    assert not lock.only_of_this_node(Path(place), tmp_path / "none")

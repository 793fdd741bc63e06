"""A command does not outlive the worker that started it."""

import os
import subprocess
import sys
import time

import pytest

from s2sjax.sweeps.pools import guard

SAVES = "trap 'echo saved >>log' TERM; echo began >>log; while :; do sleep 0.05; done"
STUBBORN = "trap '' TERM; sleep 60 & echo $! >>log; wait; sleep 60"


class Worker:
    """What holds the pipe of a command."""

    def __init__(self, folder, script, seconds=guard.SECONDS):
        alive, self._here = os.pipe()
        program = (
            f"import sys; sys.path.insert(0, {os.path.dirname(guard.__file__)!r});"
            f"import guard; guard.SECONDS = {seconds};"
            "sys.exit(guard.main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))"
        )
        self.command = subprocess.Popen(
            [
                *(sys.executable, "-S", "-c", program, str(alive), folder / "lock"),
                *("sh", "-c", script),
            ],
            pass_fds=[alive],
            cwd=folder,
            start_new_session=True,
        )
        os.close(alive)
        self.log = folder / "log"

    def die(self):
        os.close(self._here)

    def wait_for_log(self, lines):
        until = time.monotonic() + 10
        while not self.log.exists() or len(self.log.read_text().split()) < lines:
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", -15), ("kill -9 $$", -9)],
)
def test_a_guarded_command_ends_as_the_command_does(tmp_path, script, code):
    worker = Worker(tmp_path, script)
    assert worker.command.wait(10) == code
    worker.die()


def test_a_command_that_cannot_be_started_says_so(tmp_path, capfd):
    alive, here = os.pipe()
    assert guard.main(alive, str(tmp_path / "lock"), [str(tmp_path / "absent")]) == 127
    assert "absent: No such file or directory" in capfd.readouterr().out
    os.close(alive)
    os.close(here)


def test_a_command_without_a_worker_saves_once_and_is_then_killed(tmp_path):
    worker = Worker(tmp_path, SAVES, seconds=0.5)
    worker.wait_for_log(1)
    worker.die()
    died = time.monotonic()
    assert worker.command.wait(10) == -9
    assert 0.4 < time.monotonic() - died < 5
    assert worker.log.read_text().split() == ["began", "saved"]


def test_a_command_that_was_asked_already_is_not_asked_again(tmp_path):
    worker = Worker(tmp_path, SAVES, seconds=0.5)
    worker.wait_for_log(1)
    os.killpg(worker.command.pid, 15)
    worker.wait_for_log(2)
    worker.die()
    assert worker.command.wait(10) == -9
    assert worker.log.read_text().split() == ["began", "saved"]


def test_what_a_command_has_started_dies_with_it(tmp_path):
    worker = Worker(tmp_path, STUBBORN, seconds=0.2)
    worker.wait_for_log(1)
    worker.die()
    assert worker.command.wait(10) == -9
    started = int(worker.log.read_text())
    until = time.monotonic() + 5
    while is_alive(started):
        assert time.monotonic() < until
        time.sleep(0.01)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_next_command_waits_for_one_without_a_worker(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "_lock", lambda: str(tmp_path / "lock"))
    worker = Worker(
        tmp_path, "trap 'sleep 0.5; exit' TERM; echo >>log a; sleep 9 & wait"
    )
    guard.rest()  # nobody is without one
    worker.wait_for_log(1)
    guard.rest()
    assert worker.command.poll() is None
    worker.die()
    while not (tmp_path / "lock").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    guard.rest()
    assert worker.command.wait(1) in (0, 143, -9)

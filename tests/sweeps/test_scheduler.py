"""Whatever becomes of a worker, its trial is not lost and the others do not notice."""

import errno
import os
import pathlib
import re
import signal
import threading
import time

import pytest

from s2sjax.errors import RunError
from s2sjax.json_objects import encode
from s2sjax.runs.lock import Lock
from s2sjax.sweeps import scheduler, trial_files
from s2sjax.sweeps.pools.processes import Processes
from s2sjax.sweeps.protocols import UNSEEN, Ended

TEST = encode({"exact": 0.5, "step": 4, "seed": 9}, indent=None).rstrip()
DONE = f"echo '{TEST}' > $1/test.json"


def of_one(script):
    """The trial of seed 2 does this first; the others are done."""
    return f"case $1 in *-seed=2-*) {script} ;; esac\n{DONE}"


def log(ran, seed):
    trial = next(t for t in ran.trials if t.config.seed == seed)
    path = ran.path / "trials" / trial.name / "log"
    return path.read_text().split() if path.exists() else []


def test_every_trial_runs_once_and_its_row_says_so(launch, rows):
    ran = launch(f"echo once; {DONE}")
    table = rows(ran.path)
    assert [row["index"] for row in table] == [0, 1, 2, 3]
    for row, trial in zip(table, ran.trials, strict=True):
        assert row["status"] == "done" and row["name"] == trial.name
        assert row["test"] == {"exact": 0.5} and row["valid"] == {}
        assert (row["best_step"], row["seed"]) == (4, trial.config.seed)
        assert row["overrides"] == {"seed": trial.config.seed}
        assert row["config_hash"] == trial.config_hash and row["attempts"] == 1
        assert row["seconds"] > 0 and row["error"] == ""
        assert log(ran, trial.config.seed) == ["once"]
    # What is done is not run again, and what is new is.
    again = launch(f"echo twice; {DONE}", count=5)
    assert set(again.status.values()) == {"done"}
    assert [log(again, seed) for seed in range(5)] == [["once"]] * 4 + [["twice"]]


def test_a_trial_that_fails_is_tried_again_and_the_sweep_goes_on(launch, rows):
    ran = launch(of_one("echo try; echo 's2sjax: out of luck'; exit 1"), failed=2)
    assert ran.status == {0: "done", 1: "done", 2: "failed", 3: "done"}
    row = rows(ran.path)[2]
    assert row["error"] == "exit code 1: out of luck" and row["attempts"] == 3
    assert log(ran, 2).count("try") == 3 and row["test"] == {}
    # A failure is final, until somebody asks.
    assert launch(DONE).status[2] == "failed"


def test_attempts_are_those_of_all_launches(launch, rows):
    launch(of_one("exit 1"), failed=1)
    assert [row["attempts"] for row in rows(launch(DONE).path)] == [1, 1, 2, 1]
    ran = launch(of_one("exit 1"), failed=0, retry=True)
    assert rows(ran.path)[2]["attempts"] == 3

    sent = []

    def stop():
        if list(ran.path.glob("trials/*-seed=2-*/began")) and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))

    # Stopped while it is tried again, it waits, and does not forget.
    wait = "trap 'exit 143' TERM; touch $1/began; sleep 60 & wait"
    ran = launch(of_one(wait), failed=0, retry=True, meanwhile=stop)
    row = rows(ran.path)[2]
    assert (ran.status[2], row["status"], row["attempts"]) == ("pending", "pending", 3)
    ran = launch(DONE)
    assert (ran.status[2], rows(ran.path)[2]["attempts"]) == ("done", 4)


def test_misuse_is_not_tried_again(launch, rows):
    ran = launch(of_one("echo 's2sjax: no such file'; exit 2"), failed=5)
    assert rows(ran.path)[2]["attempts"] == 1 and ran.status[2] == "failed"


def test_an_end_without_an_evaluation_is_a_failure(launch, rows):
    ran = launch(of_one("exit 0"), failed=0)
    assert ran.status == {0: "done", 1: "done", 2: "failed", 3: "done"}
    ran = launch(f"{DONE}; echo '{{\"exact\": 0.' > $1/test.json", count=5, failed=0)
    assert ran.status[4] == "failed"


@pytest.mark.parametrize("end", ["kill -KILL $$", "kill -TERM $$", "exit 143"])
def test_a_worker_that_is_killed_is_no_failure(launch, rows, end):
    killed = f"[ -e $1/was ] || {{ touch $1/was; {end}; }}"
    ran = launch(of_one(killed), failed=0)
    assert set(ran.status.values()) == {"done"}
    assert rows(ran.path)[2]["attempts"] == 2
    assert any("was preempted" in line for line in ran.said)


def test_a_worker_that_is_always_killed_is_given_up(launch, rows):
    ran = launch(of_one("kill -KILL $$"), failed=0, preempted=2)
    row = rows(ran.path)[2]
    assert (ran.status[2], row["attempts"]) == ("failed", 3)
    assert row["error"] == "preempted 3 times, signal 9"


def test_a_silent_worker_is_ended_with_what_it_started(launch, rows):
    ran = launch(of_one("sleep 60 & echo $! > $1/child; wait"), failed=0, silence=1)
    assert ran.status == {0: "done", 1: "done", 2: "failed", 3: "done"}
    assert rows(ran.path)[2]["error"] == "no sign of life for 1 s"
    child = ran.path / "trials" / ran.trials[2].name / "child"
    time.sleep(0.1)
    state = pathlib.Path(f"/proc/{child.read_text().strip()}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_a_worker_that_speaks_is_not_silent(launch):
    speaks = "for i in 1 2 3 4 5 6 7 8; do echo x >> $1/metrics.jsonl; sleep 0.2; done"
    ran = launch(of_one(speaks), failed=0, silence=1)
    assert set(ran.status.values()) == {"done"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_handed_on_once_and_the_trials_wait(launch, rows, tmp_path, number):
    script = (
        "trap 'echo saved; exit 143' TERM; trap 'echo wrong' INT\n"
        f"touch $1/began; sleep 60 & wait; {DONE}"
    )
    sent = []

    def stop_when_two_run():
        if len(list(tmp_path.glob("sweep/trials/*/began"))) == 2 and not sent:
            sent.append(os.kill(os.getpid(), number))

    ran = launch(script, meanwhile=stop_when_two_run)
    assert set(ran.status.values()) == {"pending"}
    assert [log(ran, seed) for seed in range(4)] == [["saved"], ["saved"], [], []]
    assert [row["status"] for row in rows(ran.path)] == ["pending"] * 4
    assert set(launch(DONE).status.values()) == {"done"}


def test_a_trial_that_another_launchers_worker_trains_is_waited_for(launch, rows):
    ran = launch("exit 1", count=2, failed=0)
    orphan = ran.path / "trials" / ran.trials[1].name
    (orphan / trial_files.RESULT).unlink()
    lock = Lock(orphan)
    threading.Timer(0.5, lock.close).start()
    begun = time.monotonic()
    again = launch(f"echo ours; {DONE}", count=3)
    assert again.status == {0: "failed", 1: "done", 2: "done"}
    assert time.monotonic() - begun > 0.4
    assert log(again, 1) == log(again, 2) == ["ours"]

    # One that it brings to its end is not begun again to see that.
    ran = launch("exit 1", failed=0)
    orphan = ran.path / "trials" / ran.trials[3].name
    (orphan / trial_files.RESULT).unlink()
    lock = Lock(orphan)

    def finish():
        (orphan / "test.json").write_text(TEST)
        lock.close()

    threading.Timer(0.5, finish).start()
    again = launch(f"echo ours; {DONE}", count=4)
    assert again.status[3] == "done" and log(again, 3) == []
    row = rows(ran.path)[3]
    assert row["attempts"] == 1 and row["seconds"] > 0.4
    assert any("is under way already" in line for line in again.said)


def test_a_worker_that_was_started_before_ours_is_waited_for(launch, tmp_path):
    # It takes the lock between our look at it and our worker's.
    refused = """if [ ! -e $1/tried ]; then
        touch $1/tried; while [ ! -e $1/held ]; do sleep 0.02; done; exit 2
    fi"""

    def take_the_lock():
        for tried in tmp_path.glob("sweep/trials/*-seed=2-*/tried"):
            if not (held := tried.with_name("held")).exists():
                threading.Timer(0.5, Lock(tried.parent).close).start()
                held.touch()

    ran = launch(of_one(refused), meanwhile=take_the_lock, failed=0)
    assert set(ran.status.values()) == {"done"}
    assert any("is under way already" in line for line in ran.said)


def test_a_half_written_result_is_found_again(launch, rows):
    ran = launch(f"echo once; {DONE}")
    for seed, text in ((1, '{"status": "done", "met'), (3, "[]"), (0, "")):
        path = ran.path / "trials" / ran.trials[seed].name / trial_files.RESULT
        path.write_text(text)
    table = ran.path / "trials.jsonl"
    table.write_bytes(table.read_bytes()[:-40])
    ran = launch(f"echo twice; {DONE}")
    assert set(ran.status.values()) == {"done"}
    assert [row["status"] for row in rows(ran.path)] == ["done"] * 4
    # The runs themselves have ended, and are read.
    assert [log(ran, seed) for seed in range(4)] == [["once"]] * 4


def test_workers_are_pinned_to_their_share(launch):
    cores = sorted(os.sched_getaffinity(0))
    show = "grep Cpus_allowed_list /proc/self/status | cut -f 2"
    ran = launch(f"sleep 0.2; {show}; {DONE}", workers=min(2, len(cores)))
    found = {log(ran, seed)[0] for seed in range(4)}
    assert len(found) == min(2, len(cores))
    if len(cores) == 2:
        assert found == {str(core) for core in cores}


def test_compiled_programs_are_not_read_from_a_sweeps_directory(launch, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    show = 'stat -c "%a %n" "$JAX_COMPILATION_CACHE_DIR"'
    ran = launch(f"{show}; {DONE}")
    mode, name = log(ran, 0)
    assert mode == "700"
    assert ran.path not in pathlib.Path(name).parents
    assert not pathlib.Path(name).exists()  # the pool has been closed


def test_a_full_disk_ends_the_launch_and_costs_nothing(launch, rows, monkeypatch):
    def full(directory, result):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(trial_files, "write_result", full)
        with pytest.raises(RunError, match="No space left on device"):
            launch(f"echo once; {DONE}")
    ran = launch(f"echo twice; {DONE}")
    assert set(ran.status.values()) == {"done"}
    assert [row["status"] for row in rows(ran.path)] == ["done"] * 4


class Engine(Processes):
    """Processes of an engine that delays, answers or keeps silent as it likes."""

    def __init__(self, how=lambda job, ended: ended, waits=""):
        super().__init__(1)
        self._how, self._waits = how, waits
        self._killers = []

    def start(self, command, log, slot):
        job = super().start(command, log, slot)
        self._killers.append(job.kill)
        poll = job.poll
        job.poll = lambda: self._how(job, poll())
        return job

    def waiting(self):
        return self._waits

    def reap(self):
        """Ends what was left as it is."""
        for kill in self._killers:
            kill()
            kill.__self__._process.wait()


def mute(job, ended):
    job.stop = job.kill = lambda: None


def test_a_signal_ends_a_launch_whatever_the_engine_answers(launch, monkeypatch):
    """It says what it waits for, and what it leaves."""
    monkeypatch.setattr(scheduler, "WORD_SECONDS", 0.2)
    monkeypatch.setattr(scheduler, "STOP_SECONDS", 0.5)
    sent = []

    def waits(job, ended):
        job.since = None
        return mute(job, ended)

    engine = Engine(waits, "a moment")  # which is too short to be told

    def stop():
        passed = time.monotonic() - begun
        engine._waits = "1 of 2 cores" if engine._waits == "" else engine._waits
        engine._waits = "" if engine._waits == "a moment" else engine._waits
        if passed > 0.6:
            engine._waits = "0 of 2 cores"  # the same but for the number
        if passed > 0.9:
            engine._waits = "a place"
        if passed > 1.2 and not sent:
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)

    begun = time.monotonic()
    ran = launch("exec sleep 30", count=1, pool=engine, meanwhile=stop)
    assert set(ran.status.values()) == {"pending"}
    assert 0.4 < time.monotonic() - sent[0] < 1.5
    engine.reap()
    assert ran.said[:2] == ["waiting: 1 of 2 cores", "waiting: a place"]
    assert re.fullmatch(r"not ended yet, .*: 0000-.* \(process \d+\)", ran.said[2])


def test_a_silent_worker_is_over_though_its_engine_does_not_say(launch, monkeypatch):
    monkeypatch.setattr(scheduler, "KILLED_SECONDS", 0.3)
    engine, begun = Engine(mute), time.monotonic()
    ran = launch("exec sleep 30", count=1, pool=engine, failed=0, silence=1)
    assert ran.status == {0: "failed"} and time.monotonic() - begun < 10
    engine.reap()


def test_a_trial_that_comes_further_each_time_is_healthy(launch, rows):
    further = """n=$(ls $1/checkpoints 2>/dev/null | wc -l)
    [ $n = 12 ] || { mkdir -p $1/checkpoints/$n; exit 143; }"""
    ran = launch(of_one(further), preempted=0, failed=0)
    assert set(ran.status.values()) == {"done"}
    assert rows(ran.path)[2]["attempts"] == 13


def test_seconds_are_those_of_work(launch, rows):
    def later(job, ended):
        job.began = getattr(job, "began", time.time() + 0.7)
        job.since = job.began if time.time() >= job.began else None
        return ended

    ran = launch(f"sleep 1; {DONE}", count=1, pool=Engine(later))
    assert 0.1 < rows(ran.path)[0]["seconds"] < 0.7


@pytest.mark.parametrize(
    ("script", "how", "error"),
    [
        ("echo a sample; exit 1", Ended(1, "no memory"), "no memory"),
        ("echo a sample; kill -SEGV $$", None, "signal 11"),
        (
            "echo failed an assertion; kill -ABRT $$",
            None,
            "signal 6: failed an assertion",
        ),
        ("exit 7", None, "exit code 7: it printed nothing"),
        ("exit 0", None, "exit code 0: it ended without an evaluation on test data"),
    ],
)
def test_reasons(launch, rows, script, how, error):
    engine = Engine(lambda job, ended: ended and (how or ended))
    ran = launch(script, count=1, pool=engine, failed=0)
    assert rows(ran.path)[0]["error"] == error


def test_a_place_without_the_sweep_is_told_once_and_costs_nothing(launch, rows):
    said = "sweeps/x is not on n2: it must be on storage that all nodes mount"
    tried = set()

    def elsewhere(job, ended):
        if ended and job.args not in tried:
            tried.add(job.args)
            return Ended(UNSEEN, said)
        return ended

    class Nodes(Engine):
        def start(self, command, log, slot):
            job = super().start(command, log, slot)
            job.args = log
            return job

    ran = launch(DONE, pool=Nodes(elsewhere), failed=0)
    assert set(ran.status.values()) == {"done"} and ran.said == [said]

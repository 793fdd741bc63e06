"""A sweep on a real Slurm: whatever becomes of jobs and launchers, nothing is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s2sjax.errors import UsageError
from s2sjax.sweeps import backends
from tests.engines.conftest import DONE, ROOT, wait
from tests.test_resume import ending

SLEEPS = f"echo $$ >>$1/starts; sleep 2; {DONE}"


def on(*kinds):
    return pytest.mark.parametrize("a_slurm", kinds, indirect=True, scope="session")


PLAIN, ACCOUNTED = "without accounting", "with accounting"
plain, accounted, both = on(PLAIN), on(ACCOUNTED), on(PLAIN, ACCOUNTED)


def queue(slurm, *fields):
    """Of the jobs that wait or run."""
    rows = slurm.states("%T", *fields)
    alive = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING")
    return [row[1:] for row in rows if row[0] in alive]


def all_done(ran, count):
    wait(lambda: ran.of(0) != ran.path)
    ran.go()
    assert ran.end() == {str(index): "done" for index in range(count)}, ran.said
    assert not (ran.path / "twice").exists()


def submitted(slurm):
    """How many jobs each trial has had."""
    names = [name.partition("-")[0] for (name,) in slurm.states("%j")]
    return {int(name): names.count(name) for name in names if name.isdecimal()}


@plain
def test_an_undisturbed_sweep_and_what_it_took(slurm, launch):
    ran = launch("slurm", trials=3, script=SLEEPS)
    ran.runs(0)
    assert {name for (name,) in queue(slurm, "%j")} <= {
        f"{index:04d}-sweep" for index in range(3)
    }
    all_done(ran, 3)
    for index in range(3):  # two at a time, so that one has waited
        result = ran.result(index)
        assert 1.5 < result["seconds"] < 4.0 and result["attempts"] == 1
    assert set(submitted(slurm).values()) == {1}


def kill_hard(ran, index):
    """Kills a trial and the shell around it, as the kernel does without memory."""
    process = int(ran.runs(index)[0])
    shell = int(Path(f"/proc/{process}/stat").read_text().split()[3])
    for each in (shell, process):
        os.kill(each, signal.SIGKILL)


@both
def test_a_job_that_dies_without_a_word_is_known_as_dead(slurm, launch):
    ran = launch("slurm")
    kill_hard(ran, 0)
    begun = time.monotonic()
    ran.says("was preempted", seconds=30)
    assert "job" in ran.said and "FAILED" in ran.said
    ran.runs(0, 2)
    print(f"known and tried again after {time.monotonic() - begun:.1f} s")
    all_done(ran, 1)


@plain
def test_a_job_that_is_cancelled_saves_and_goes_on(slurm, launch):
    ran = launch("slurm")
    slurm.run("scancel", ran.runs(0)[1])
    ran.runs(0, 2)
    assert "CANCELLED" in ran.said and (ran.of(0) / "checkpoints" / "1").exists()
    all_done(ran, 1)


@plain
def test_a_job_that_is_preempted_saves_at_once_and_goes_on(slurm, launch):
    ran = launch("slurm:partition=low")
    ran.runs(0)
    words = ("--partition=high", "--nodes=2", "--output=/dev/null", "--wrap=sleep 3")
    begun = time.monotonic()
    slurm.run("sbatch", *words)
    wait((ran.of(0) / "checkpoints" / "1").exists)
    ran.runs(0, 2, seconds=40)
    assert "CANCELLED AT" in ran.said
    print(f"goes on after {time.monotonic() - begun:.1f} s")
    all_done(ran, 1)
    assert submitted(slurm)[0] == 2  # none by Slurm itself
    assert ran.result(0)["attempts"] == 2


@plain
def test_a_node_that_goes_down_costs_one_job_and_no_second_one(slurm, launch):
    ran = launch("slurm")
    ran.runs(0)
    ((node,),) = queue(slurm, "%N")
    begun = time.monotonic()
    slurm.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    ran.runs(0, 2)
    print(f"goes on after {time.monotonic() - begun:.1f} s")
    assert "NODE_FAIL" in ran.said
    assert len(queue(slurm)) == 1
    all_done(ran, 1)
    assert queue(slurm) == [] and submitted(slurm)[0] == 2


@plain
def test_time_limits_are_no_failures(slurm, launch):
    ran = launch("slurm", failed=0, preempted=0)
    slurm.run("scontrol", "update", f"jobid={ran.runs(0)[1]}", "timelimit=1")
    ran.runs(0, 2, seconds=60)
    assert "reached its limit of 1 min); it is tried again" in ran.said
    all_done(ran, 1)


@plain
def test_jobs_of_a_killed_launcher_are_taken_over(slurm, launch):
    """Those that wait, those that run, and those that end meanwhile."""
    ran = launch("slurm", trials=5)
    wait(lambda: len(queue(slurm)) == 5)
    ran.runs(0), ran.runs(1)
    ran.process.kill()
    again = launch("slurm", trials=5)
    again.says("0004-")  # the last one is adopted
    assert again.said.count("is under way already") == 5
    # What was adopted can be stopped: it saves, or leaves the queue.
    seconds = again.signal()
    print(f"the second launcher ended after {seconds:.1f} s")
    assert queue(slurm) == [] and seconds < 10
    assert (again.of(0) / "checkpoints" / "1").exists()

    third = launch("slurm", trials=5)
    third.runs(0, 2)
    wait(lambda: len(queue(slurm)) == 5)  # the last one is submitted after that
    third.process.kill()
    third.go()  # with nobody to see it
    wait(lambda: not queue(slurm), 40)
    count = sum(submitted(slurm).values())
    last = launch("slurm", trials=5)
    all_done(last, 5)
    assert sum(submitted(slurm).values()) == count == 10
    assert last.result(0)["attempts"] == 1


@plain
def test_a_killed_launcher_and_its_killed_jobs(slurm, launch):
    ran = launch("slurm", trials=4)
    ran.runs(0), ran.runs(1)
    ran.process.kill()
    kill_hard(ran, 0), kill_hard(ran, 1)
    again = launch("slurm", trials=4)
    all_done(again, 4)
    assert submitted(slurm) == {0: 2, 1: 2, 2: 1, 3: 1}


@plain
def test_a_signal_ends_a_launcher_whose_jobs_wait(slurm, launch):
    for node in ("n1", "n2"):
        change = ("state=drain", "reason=test")
        slurm.run("scontrol", "update", f"nodename={node}", *change)
    ran = launch("slurm", trials=3, word=1)
    ran.says("waiting: 3 jobs pending in partition low (")
    seconds = ran.signal()
    print(f"ended after {seconds:.1f} s")
    assert seconds < 10 and queue(slurm) == []
    assert ran.end() == {"0": "pending", "1": "pending", "2": "pending"}


@pytest.fixture
def muted(slurm, tmp_path):
    """Gives an environ whose programs of Slurm answer no more once `mute` is there."""

    def programs(answer):
        for program in ("sbatch", "squeue", "scancel", "sacct", "scontrol"):
            real = slurm.run("which", program).strip()
            muted = f"[ -e {tmp_path}/mute ] && {{ {answer}; }}"
            (tmp_path / program).write_text(f'#!/bin/sh\n{muted}\nexec {real} "$@"')
            (tmp_path / program).chmod(0o755)
        return {**slurm.environ, "PATH": f"{tmp_path}:{slurm.environ['PATH']}"}

    return programs


MUTE = pytest.mark.parametrize("answer", ["exec sleep 600", "echo no >&2; exit 1"])


@plain
@MUTE
def test_a_signal_ends_a_launcher_whom_slurm_does_not_answer(
    muted, launch, tmp_path, answer
):
    ran = launch("slurm", environ=muted(answer), trials=3, word=1)
    ran.runs(0)
    (tmp_path / "mute").touch()
    ran.says("squeue says nothing of jobs: ", seconds=40)
    seconds = ran.signal()
    print(f"ended after {seconds:.1f} s")
    assert seconds < 10
    assert "not ended yet, and left as they are: 0000-" in ran.said


@plain
def test_a_dead_trial_is_freed_though_slurm_does_not_answer(muted, launch, tmp_path):
    environ = muted("exec sleep 600")
    ran = launch("slurm", environ=environ, silence=3, failed=0)
    ran.runs(0)
    (tmp_path / "mute").touch()
    kill_hard(ran, 0)
    begun = time.monotonic()
    assert ran.end() == {"0": "failed"}
    print(f"given up after {time.monotonic() - begun:.1f} s")
    assert ran.result(0)["error"] == "no sign of life for 3 s"


@plain
def test_a_silent_trial_is_freed_for_good(slurm, launch):
    script = (
        'trap "" TERM; echo $$ $SLURM_JOB_ID >>$1/starts; while :; do sleep 1; done'
    )
    ran = launch("slurm", script=script, silence=3, failed=0)
    ran.runs(0)
    begun = time.monotonic()
    assert ran.end() == {"0": "failed"}
    print(f"given up after {time.monotonic() - begun:.1f} s")
    assert ran.result(0)["error"] == "no sign of life for 3 s"
    wait(lambda: not queue(slurm))


@plain
def test_a_node_without_the_folder_says_so_once_and_takes_no_more(slurm, launch):
    path = slurm.hidden / "sweep"
    ran = launch("slurm", path=path, trials=6, script=SLEEPS)
    all_done(ran, 6)
    lines = [line for line in ran.said.splitlines() if "is not on n2" in line]
    assert len(lines) == 1 and lines[0].startswith(str(path))
    assert sum(count - 1 for count in submitted(slurm).values()) <= 2


@accounted
def test_jobs_that_slurm_takes_later_are_offered_again(slurm, launch, monkeypatch):
    change = ("sacctmgr", "-i", "modify", "user", "root", "set")
    slurm.run(*change, "maxsubmitjobs=1")
    try:
        ran = launch("slurm", trials=2, word=1, again=2, script=SLEEPS)
        ran.says("Slurm takes no more jobs: ")
        all_done(ran, 2)
    finally:
        slurm.run(*change, "maxsubmitjobs=-1")


@both
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partition=lwo", "unknown partition 'lwo'; did you mean 'low'?"),
        ("constraint=slow", "Slurm refuses such jobs: Invalid feature specification"),
        ("cpus=64", "cpus=64: no node of Slurm has over 1"),
        ("gpus=2", "gpus=2: no node of Slurm has over 1"),
        ("memory=1e5", "memory=100000: no node of Slurm has over "),
        ("minutes=2", "minutes=2 is no time to train and save in: "),
        ("minutes=4", "minutes=5 would do"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_submitted(
    slurm, tmp_path, text, said
):
    refused(slurm, tmp_path, text, said)


@accounted
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("account=nobody", "Slurm refuses such jobs: Invalid account"),
        ("qos=nothing", "Slurm refuses such jobs: Invalid qos"),
    ],
)
def test_what_accounts_do_not_allow_is_refused(slurm, tmp_path, text, said):
    refused(slurm, tmp_path, text, said)


def refused(slurm, tmp_path, text, said):
    before = slurm.states("%i")
    with pytest.raises(UsageError) as told:
        backends.make_pool(f"slurm:{text}", tmp_path / "sweep", None, "")
    assert said in str(told.value) and "\n" not in str(told.value)
    assert slurm.states("%i") == before and not (tmp_path / "sweep").exists()


@accounted
def test_what_can_be_is_asked_for(slurm, launch):
    asked = "account=main,qos=normal,constraint=fast,gpus=1,cpus=1,memory=0.0005"
    # Also from within a job of something else.
    other = {"SLURM_JOB_ID": "999999", "SLURM_CPUS_PER_TASK": "7", "SLURM_NTASKS": "3"}
    environ = {**slurm.environ, **other}
    text = f"slurm:{asked},minutes=7,partition=high"
    ran = launch(text, script=SLEEPS, environ=environ)
    ran.runs(0)
    fields = ("%a", "%q", "%f", "%b", "%C", "%m", "%l", "%P")
    (row,) = queue(slurm, *fields)
    assert row[:3] == ["main", "normal", "fast"] and "gpu:1" in row[3].replace(
        "gres:", ""
    )
    assert row[4:] == ["1", "1M", "7:00", "high"]
    all_done(ran, 1)


def test_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="there is no sbatch here"):
        backends.make_pool("slurm", tmp_path / "sweep", None, "")


TINY = """
from s2sjax.config import base_config
from s2sjax.sweeps import seeds

def get_config(arg=None):
    config = base_config()
    config.task.name, config.task.length = "reversed", 4
    config.task.num_train = config.task.num_valid = config.task.num_test = 50
    config.model.units = config.model.embedding = 4
    config.train.steps, config.train.batch_size = 60, 8
    config.train.eval_every = config.train.save_every = config.train.log_every = 30
    return config

def sweep(config):
    return seeds(2)
"""


@plain
def test_training_that_slurm_ends_again_and_again_is_the_same(slurm, tmp_path):
    """Bit for bit, by the command line; every job saves one checkpoint and is ended."""
    (tmp_path / "tiny.py").write_text(TINY)
    command = [sys.executable, "-m", "s2sjax", "sweep", f"--config={tmp_path}/tiny.py"]
    ends = {"S2SJAX_FAILPOINT": "checkpoint.after_commit:term:1"}
    for backend, environ in (("processes", {}), ("slurm", ends)):
        done = subprocess.run(
            [*command, f"--workdir={tmp_path / backend}", f"--backend={backend}"],
            env={**os.environ, **environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("was preempted" in done.stdout) == (backend == "slurm")
    one, other = (
        sorted((tmp_path / b / "trials").iterdir()) for b in ("processes", "slurm")
    )
    assert len(one) == len(other) == 2
    for here, there in zip(one, other, strict=True):
        assert ending(here) == ending(there)
        assert (here / "test.json").read_bytes() == (there / "test.json").read_bytes()

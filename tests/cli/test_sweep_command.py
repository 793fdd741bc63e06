"""`s2sjax sweep` from the outside: plans, misuse, and launchers that die."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import jax
import pytest

from s2sjax import config as configs
from s2sjax.commands import sweep as launcher
from s2sjax.runs import provenance
from s2sjax.runs.lock import is_held
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.batched import fitting
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.trial_files import Result

FILE = """
from s2sjax.config import base_config, parse_arg
from s2sjax.sweeps import grid, log_uniform, seeds

def get_config(arg=None):
    config = base_config()
    config.task.length = 3
    config.task.cardinality = 4
    config.task.num_valid = config.task.num_test = 8
    config.model.units = config.model.embedding = 4
    config.train.batch_size = 4
    config.train.steps = 40
    config.train.log_every = config.train.eval_every = config.train.save_every = 10
    return config

def sweep(config):
    return seeds(2)

def sweep_units(config):
    return grid({"model.units": (config.model.units, 2 * config.model.units)})

def sweep_rate(config):
    return grid({"train.learning_rate": (0.1, 0.01, "fast")})

def sweep_optimizer(config):
    return grid({"train.optimizer": ("adam", "adma")})

def sweep_task(config):
    return grid({"task.name": ("reversed", "reversed_prefix", "sorted")})

def sweep_epochs(config):
    return [{"train.steps": None, "train.epochs": 2}]

def search(config):
    return {"train.learning_rate": log_uniform(0.01, 0.1)}

def sweep_nothing(config):
    return []
"""


@pytest.fixture(autouse=True)
def flags(monkeypatch):
    """Keeps the flags of batched trials from this process, and from the next test."""
    jax.devices()
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file.py"
    path.write_text(FILE)
    return path


def test_a_plan_shows_trials_groups_and_costs_and_writes_nothing(
    command, file, tmp_path
):
    before = sorted(tmp_path.rglob("*"))
    arguments = (f"--config={file}", "--config.train.steps=30", "--dry_run")
    done = command("sweep", *arguments, "--sweep=sweep,units", "--json")
    (line,) = done.out.splitlines()
    plan = json.loads(line)
    assert (done.code, done.err, plan["trials"]) == (0, "", 4)
    assert plan["backend"] == "batched"
    assert [group["trials"] for group in plan["groups"]] == [[0, 2], [1, 3]]
    assert all(group["varying"] == ["seed"] for group in plan["groups"])
    small, large = plan["groups"]
    for what in ("parameters", "step_flops", "memory"):
        assert 0 < small[f"{what}_per_trial"] < large[f"{what}_per_trial"]
    for what in ("step_flops", "memory"):
        assert large[f"{what}_of_group"] == 2 * large[f"{what}_per_trial"]
    mebibytes = f"{large['memory_of_group'] / 2**20:,.1f}"
    assert mebibytes in command("sweep", *arguments, "--sweep=sweep,units").out
    assert small["steps"] == 30 and len(set(plan["commands"])) == 4
    shown = command("sweep", *arguments, "--max_trials=1", "--workdir=there")
    assert "1 trials" in shown.out and "--config.train.steps=30 --config.seed=0" in (
        shown.out
    )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sweep=rate"], "trial 2: train.learning_rate='fast' is not a number"),
        (["--sweep=optimizer"], "trial 1: unknown train.optimizer 'adma'"),
        (["--sweep=task"], "trial 1"),
        (["--sweep=epochs"], "trial 0: train.epochs=2 needs a finite training set"),
        (["--sweep=nothing"], "yields no trial"),
        (["--sweep=unit"], "did you mean 'units'?"),
        (["--backend=procesess"], "did you mean 'processes'?"),
        (["--backend=batched:size=3"], "backend 'batched' takes no argument 'size'"),
        (["--dry_run", "--backend=ray:cpu=1"], "did you mean 'cpus'?"),
        (["--ray_address=there:6379"], "--ray_address=there:6379 needs --backend=ray"),
        (["--backend=batched", "--workers=2"], "--workers=2 counts processes"),
        (["--workers=1000"], "--workers=1000: this machine has"),
        (["--search=tpee", "--max_trials=3"], "did you mean 'tpe'?"),
        (["--search=tpe", "--max_trials=3", "--pruner=ahsa"], "did you mean 'asha'?"),
        (
            ["--search=tpe", "--max_trials=3", "--retry_failed"],
            "--search=tpe and --retry_failed came: choose one",
        ),
        (["--config.model.unit=3"], "did you mean 'model.units'?"),
    ],
)
def test_misuse_is_one_line_and_starts_nothing(
    command, file, tmp_path, arguments, said
):
    if said == "trial 1":  # a prefix of three fits a length of three
        arguments = [*arguments, "--config.task.min_length=1"]
    workdir = tmp_path / "sweep"
    done = command("sweep", f"--config={file}", *arguments, f"--workdir={workdir}")
    assert done.code == 2 and said in done.err and done.err.count("\n") == 1
    assert not workdir.exists()


def test_nothing_to_go_on_with_is_one_line(command, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    for arguments, said in (
        ([], "sweep needs --workdir"),
        (["--dry_run"], "--dry_run needs --config"),
        ([f"--workdir={tmp_path / 'none'}"], "none does not exist; give --config=FILE"),
        ([f"--workdir={run}"], "is not a sweep but a run"),
        ([f"--workdir={run}", "--sweep=a"], "--sweep needs --config"),
    ):
        done = command("sweep", *arguments)
        assert done.code == 2 and said in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("launch", "said"),
    [
        (["sweep"], "has 1 of the 3 trials .*; with its --config=FILE the others"),
        (["sweep", "--search=tpe"], "a search, which goes on by sweep --search=tpe"),
    ],
)
def test_what_cannot_go_on_without_a_config_is_said(command, tmp_path, launch, said):
    workdir = tmp_path / "sweep"
    base = configs.resolve({"train": {"steps": 1}, "task": {"num_test": 8}})
    with SweepDirectory(workdir) as sweep:
        code = provenance.SourceCode("0", "", "")
        sweep.record_launch(launch, code, [], trials=3)
        (trial,), _ = sweep.add(definition.resolve(base, [{}]), lambda *its: "")
        Ledger(sweep).end(trial, Result("done", test={"exact": 1.0}))
    done = command("sweep", f"--workdir={workdir}")
    # And it does not look as if it were finished.
    assert done.code == 1 and re.search(said, done.err), done.err
    assert "3 trials, 1 of them ended before; 0 to go" in done.out
    assert "1 done, 2 pending" in done.out
    done = command("sweep", f"--workdir={workdir}", "--json")
    counts = {"trials": 3, "done": 1, "failed": 0, "pruned": 0, "pending": 2}
    assert (done.code, json.loads(done.out)) == (1, counts)


def test_a_sweep_goes_on_where_ray_was(command, file, tmp_path, monkeypatch):
    """And says so, and where else it may go."""
    joined, again = [], []

    def make_pool(backend, path, workers, address, say):
        joined.append((backend, address))
        return SimpleNamespace(close=lambda: None)

    def run(launch, sweep, *rest):
        again.append(launcher._again(launch, sweep))
        return launcher.Outcome({"done": 0}, 0)

    monkeypatch.setattr(launcher.backends, "make_pool", make_pool)
    monkeypatch.setattr(launcher, "_run", run)
    workdir = f"--workdir={tmp_path / 'sweep'}"
    cluster = ("--backend=ray:cpus=2", "--ray_address=there:6379")
    assert command("sweep", f"--config={file}", workdir, *cluster).code == 0
    done = command("sweep", workdir)
    said = "backend: ray:cpus=2, as this sweep was begun, at there:6379\n"
    assert done.code == 0 and done.err.startswith(said)
    assert command("sweep", workdir, "--ray_address=local").code == 0
    assert command("sweep", workdir, "--backend=processes").code == 0
    there, local = ("ray:cpus=2", "there:6379"), ("ray:cpus=2", "local")
    assert joined == [there, there, local, ("processes", "")]
    line = shlex.join(["s2sjax", "sweep", workdir, *cluster])
    moved = line.replace("there:6379", "local")
    assert again == [line, line, moved, f"s2sjax sweep {workdir}"]


def test_a_sweep_that_is_repeated_without_an_override_does_not_double(
    command, file, tmp_path, monkeypatch
):
    ran = []

    def run(launch, sweep, ledger, source, console, pool, at_once=None):
        ran.append([trial.config.train.steps for trial in console.trials])
        return launcher.Outcome({"done": 0}, 0)

    monkeypatch.setattr(launcher, "_run", run)
    sweep = ("sweep", f"--config={file}", f"--workdir={tmp_path / 'sweep'}")
    assert command(*sweep, "--config.train.steps=30").code == 0
    kept = {p: p.read_bytes() for p in (tmp_path / "sweep").rglob("*.json")}
    done = command(*sweep)
    assert done.code == 2 and done.err.count("\n") == 1
    assert "train.steps: 30 here, 40 asked" in done.err
    assert "give --add for more trials (2 would be added)" in done.err
    assert {p: p.read_bytes() for p in (tmp_path / "sweep").rglob("*.json")} == kept
    done = command(*sweep, "--add")
    assert done.code == 0 and "trials were added: 2 (0002-seed=0-" in done.err
    # From then on either is the sweep's own, and more seeds are more trials.
    file.write_text(FILE.replace("seeds(2)", "seeds(3)"))
    for more in ([], ["--config.train.steps=30"]):
        done = command(*sweep, *more)
        assert done.code == 0 and "trials were added: 1 (" in done.err
    assert ran == [[30] * 2, [40] * 2, [40] * 3, [30] * 3]
    asked = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["asked"]
    assert asked == 4  # by the launch with --add
    done = command("sweep", f"--workdir={tmp_path / 'sweep'}", "--add")
    assert done.code == 2 and "--add needs --config" in done.err


def test_what_is_too_large_together_is_taken_apart(
    command, file, tmp_path, monkeypatch
):
    monkeypatch.setattr(fitting, "memory", lambda devices: 1000)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    plan = ("sweep", f"--config={file}", "--dry_run", "--json")
    done = command(*plan)
    assert (done.code, json.loads(done.out)["backend"]) == (0, "processes")
    # Which then run without the flags of trials that share a process.
    assert os.environ["XLA_FLAGS"] == "--xla_cpu_multi_thread_eigen=false"
    shown = command(*plan[:-1])
    assert "backend: processes, since trial 0: " in shown.out
    workdir = tmp_path / "sweep"
    done = command(*plan[:2], f"--workdir={workdir}", "--backend=batched")
    assert done.code == 2 and "may take" in done.err and not workdir.exists()


def test_a_search_is_batched_and_goes_on_with_more_proposals(command, file, tmp_path):
    pytest.importorskip("optuna")
    workdir = tmp_path / "sweep"
    found = ("sweep", f"--config={file}", f"--workdir={workdir}", "--search=random")
    done = command(*found, "--max_trials=2", "--config.train.metric=nll")
    assert done.code == 0, done.err
    assert "backend: batched, proposals share a program" in done.err
    first, second, third, *_ = done.out.splitlines()
    assert first == "2 trials; 2 to go"
    assert second.startswith("1 of 2  done 0000-train.learning_rate=0.0")
    assert third.startswith("2 of 2  done ") and "  nll " in third
    kept = {path: path.read_bytes() for path in workdir.rglob("*.json*")}
    file.write_text(FILE.replace("log_uniform(0.01", "log_uniform(0.02"))
    done = command(*found, "--max_trials=3", "--config.train.metric=nll")
    assert done.code == 2 and done.err.count("\n") == 1, done.err
    assert "the space differs from that of the first launch: train.learn" in done.err
    assert {path: path.read_bytes() for path in workdir.rglob("*.json*")} == kept
    file.write_text(FILE)
    done = command(
        *(
            *found,
            "--max_trials=3",
            "--workers=1",
            "--json",
            "--config.train.metric=nll",
        )
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["done"] == 3
    assert json.loads((workdir / "sweep.json").read_text())["asked"] == 3
    assert "backend: batched, as this sweep was begun" in done.err
    kept = [path.read_text() for path in sorted(workdir.glob("groups/*/group.json"))]
    assert [len(json.loads(text)["trials"]) for text in kept] == [2, 1]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "s2sjax", "sweep", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(true, what, seconds=120):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.02)


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Processes that start sooner: tensorboardX imports torch wherever it is."""
    folder = tmp_path / "quick"
    folder.mkdir()
    (folder / "torch.py").write_text("raise ImportError")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)


@pytest.mark.slow
def test_killed_and_continued_it_ends_where_single_runs_end(
    command, file, tmp_path, quick
):
    workdir = tmp_path / "sweep"
    folder = workdir / "trials"

    def trials():
        return sorted(folder.glob("[0-9]*")) if folder.exists() else []

    def all_train():
        found = trials()
        return len(found) == 2 and all(
            (trial / "run.json").exists() and is_held(trial) for trial in found
        )

    # Stopped: the workers save, and the trials wait.
    begin = ("--workers=2", "--backend=processes")
    launcher = start(f"--config={file}", f"--workdir={workdir}", *begin)
    wait_for(all_train, "the first launch")
    launcher.send_signal(signal.SIGTERM)
    said, _ = launcher.communicate(timeout=120)
    assert launcher.returncode == 143 and "stopped; to go on:" in said
    assert not any(map(is_held, trials()))
    table = lines(workdir / "trials.jsonl")
    assert [row["status"] for row in table] == ["pending"] * 2
    # An edited file changes nothing for trials that wait.
    file.write_text(FILE.replace("steps = 40", "steps = 50"))

    # A worker is killed, then the launcher: the other worker goes on without it.
    launcher = start(f"--workdir={workdir}", "--workers=2")
    wait_for(all_train, "the second launch")
    refused = command("sweep", f"--workdir={workdir}")
    holder = f"is in use by process {launcher.pid} on {socket.gethostname()} since 20"
    assert refused.code == 2 and holder in refused.err
    os.kill(json.loads((trials()[0] / "lock").read_text())["pid"], signal.SIGKILL)
    wait_for(lambda: not is_held(trials()[0]), "the worker's end")
    launcher.kill()
    launcher.communicate(timeout=120)

    done = command("sweep", f"--workdir={workdir}", "--workers=2", "--json")
    assert done.code == 0, done.err
    outcome = {"trials": 2, "done": 2, "failed": 0, "pruned": 0, "pending": 0}
    assert json.loads(done.out) == outcome
    table = lines(workdir / "trials.jsonl")
    assert [row["status"] for row in table] == ["done"] * 2

    file.write_text(FILE)
    alone = tmp_path / "alone"
    again = f"{table[1]['command'].rpartition(' ')[0]} --workdir={alone}".split()
    assert command(*again[1:]).code == 0
    ours, single = (
        (path / name).read_text()
        for path in (trials()[1], alone)
        for name in ("test.json",)
    )
    assert ours == single
    for trial in trials():
        journal = lines(trial / "metrics.jsonl")
        steps = [(line["kind"], line["step"]) for line in journal]
        assert len(steps) == len(set(steps))
        assert sum(kind != "samples" for kind, _ in steps) == 8

    # Nothing is left to do, and nothing is done.
    logs = [(trial / "log").stat() for trial in trials()]
    done = command("sweep", f"--config={file}", f"--workdir={workdir}")
    assert done.code == 0 and "2 of them ended before; 0 to go" in done.out
    assert [(trial / "log").stat() for trial in trials()] == logs
    assert table[1]["command"].endswith(f" --workdir={trials()[1]}")


def test_a_trial_that_diverges_is_one_of_the_sweep(command, file, tmp_path, quick):
    file.write_text(FILE.replace("seeds(2)", 'grid({"train.learning_rate": (1e38,)})'))
    workdir = tmp_path / "sweep"
    done = command(
        *("sweep", f"--config={file}", f"--workdir={workdir}", "--retries=0"),
        "--config.train.optimizer=sgd",
    )
    assert done.code == 1 and "training diverged at step" in done.out
    (row,) = lines(workdir / "trials.jsonl")
    assert row["status"] == "failed" and "training diverged" in row["error"]
    assert row["valid"] == row["test"] == {} and row["attempts"] == 1
    assert done.err.endswith(
        "since it would be 1 trial in 1 program; --backend=batched trains those\n"
    )
    done = command("sweep", f"--workdir={workdir}")
    assert done.code == 1 and "--retry_failed" in done.out

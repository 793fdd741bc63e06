"""Data of a sweep by path: compared by their bytes, found again elsewhere."""

import json

import pytest

from s2sjax import config as configs
from s2sjax import experiment
from s2sjax.cli import main
from s2sjax.errors import UsageError
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import data, scheduler
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.pools.processes import Processes
from s2sjax.sweeps.protocols import Listed, SweepObserver
from s2sjax.training import interruption

FILE = """
from s2sjax.config import base_config
from s2sjax.sweeps import grid, seeds

def get_config(arg=None):
    config = base_config()
    config.task.name, config.task.path = "text", "pairs.tsv"
    config.model.units = config.model.embedding = 4
    config.train.batch_size = 4
    config.train.steps = config.train.eval_every = config.train.save_every = 2
    config.train.buckets = 1
    return config

def sweep(config):
    return seeds(2)

def sweep_path(config):
    return grid({"task.path": ("pairs.tsv", "other.tsv")})
"""


def command(trial, path):
    return f"train {trial.config.task.path}"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the config file and two corpora, and another current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "file.py").write_text(FILE)
    for name, letter in (("pairs", "b"), ("other", "c")):
        lines = [f"a{i}\t{letter}{i}\n" for i in range(10, 50)]
        (folder / f"{name}.tsv").write_text("".join(lines))
    monkeypatch.chdir(folder)
    return folder


def launched(here, names=(), **overrides):
    """Trials in a sweep that a launcher was killed with, and how they stand."""
    text = str(here / "file.py")
    config = experiment.load_config(text, {f: str(v) for f, v in overrides.items()})
    defined = definition.define(text, config, names)
    with SweepDirectory(here.parent / "sweep") as sweep:
        hashes = data.settle(sweep, defined, command)
        sweep.record_launch(["test"], SourceCode("0", "", ""), [], data=hashes)
        trials, added = sweep.add(defined, command)
        ledger = Ledger(sweep)
        return trials, added, [ledger.status(trial) for trial in sweep.trials]


def test_trials_wait_for_data_that_are_gone_and_go_on_with_them_elsewhere(
    here, monkeypatch, capsys
):
    trials, _, _ = launched(here)
    away = here.parent / "away"
    away.mkdir()
    moved = (here / "pairs.tsv").rename(away / "moved.tsv")
    workdir = f"--workdir={here.parent / 'sweep'}"
    before = (here.parent / "sweep" / "sweep.json").read_bytes()
    monkeypatch.chdir(away)
    for backend in ("batched", "processes"):
        assert main(["sweep", workdir, f"--backend={backend}"]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"{here / 'pairs.tsv'} does not exist" in line
        assert line.endswith("given --config=FILE and --config.task.path=PLACE")
    assert (here.parent / "sweep" / "sweep.json").read_bytes() == before

    words = [f"--config={here / 'file.py'}", f"--config.task.path={moved}"]
    assert main(["sweep", workdir, "--backend=batched", "--json", *words]) == 0
    ended = json.loads(capsys.readouterr().out)
    assert ended == {"trials": 2, "done": 2, "failed": 0, "pruned": 0, "pending": 0}
    folder = here.parent / "sweep" / "trials"
    assert sorted(p.name for p in folder.iterdir()) == [t.name for t in trials]
    with SweepDirectory(here.parent / "sweep") as sweep:
        assert [t.config.task.path for t in sweep.trials] == [str(moved)] * 2
        assert [t.config_hash for t in sweep.trials] != [t.config_hash for t in trials]
        assert all(str(moved) in line for line in sweep.commands.values())
    # What is done needs no data.
    moved.unlink()
    assert main(["sweep", workdir, "--backend=batched"]) == 0


def test_data_that_vanish_meanwhile_fail_no_trial(here, tmp_path):
    trials, _, _ = launched(here)
    (here / "pairs.tsv").unlink()
    observer, said = SweepObserver(), []
    observer.message = said.append
    pool = Processes(2)
    with (
        SweepDirectory(here.parent / "sweep") as sweep,
        interruption.watch() as signals,
    ):
        ledger, source = Ledger(sweep), Listed(trials)
        to = (sweep, ledger, source, pool, lambda path: ["sh", "-c", "exit 2"], signals)
        scheduler.run(*to, observer=observer)
        assert [ledger.status(trial) for trial in trials] == ["pending"] * 2
    assert len(said) == 2 and "pairs.tsv is gone; 0000-seed=0" in min(said)


def test_the_same_data_in_another_folder_are_the_same_trials(here):
    trials, _, _ = launched(here)
    (here / "sub").mkdir()
    (here / "pairs.tsv").rename(here / "sub" / "pairs.tsv")
    again, added, statuses = launched(here, **{"task.path": "sub/pairs.tsv"})
    assert [t.name for t in again] == [t.name for t in trials] and not added
    assert [t.config_hash for t in again] == [t.config_hash for t in trials]
    assert statuses == ["pending"] * 2
    run = configs.read(here.parent / "sweep" / "trials" / again[0].name / "config.json")
    assert run == again[0].config
    # And back.
    (here / "sub" / "pairs.tsv").rename(here / "pairs.tsv")
    assert not launched(here)[1]


def test_each_file_of_a_split_is_found_again(here):
    for name in ("train", "valid", "test"):
        text = (here / "pairs.tsv").read_text().replace("a", name)
        (here / f"{name}.tsv").write_text(text)
    places = {f"task.{n}": here / f"{n}.tsv" for n in ("train", "valid", "test")}
    trials, _, _ = launched(here, **places, **{"task.path": ""})
    places["task.test"] = (here / "test.tsv").rename(here / "moved.tsv")
    again, added, _ = launched(here, **places, **{"task.path": ""})
    assert not added and [t.name for t in again] == [t.name for t in trials]
    for trial in again:
        assert configs.user_files(trial.config) == {
            f: str(p) for f, p in places.items()
        }
    (here / "valid.tsv").write_text("other\tdata\n")
    with pytest.raises(UsageError, match=r"valid.tsv is not what this sweep was begun"):
        launched(here, **places, **{"task.path": ""})


def test_data_that_changed_are_refused(here):
    launched(here)
    with (here / "pairs.tsv").open("a") as file:
        file.write("one\tmore\n")
    with pytest.raises(UsageError, match=r"pairs.tsv is not what this sweep was begun"):
        launched(here)


def test_data_that_differ_stay_other_trials(here):
    trials, added, _ = launched(here, ["path"])
    assert len(added) == 2
    # The same bytes at both places, and later at one of them: nothing is mixed up.
    (here / "third.tsv").write_text((here / "pairs.tsv").read_text())
    text = (here / "file.py").read_text()
    (here / "file.py").write_text(text.replace('"other.tsv"', '"third.tsv"'))
    three, added, statuses = launched(here, ["path"])
    assert three[0] == trials[0] and len(added) == 1 and len(statuses) == 3
    (here / "file.py").write_text(
        text.replace('"pairs.tsv", "other.tsv"', '"third.tsv",')
    )
    last, added, statuses = launched(here, ["path"])
    assert last == [three[1]] and not added and len(statuses) == 3


def test_code_that_changed_is_refused_and_moves_like_data(here):
    (here / "mine.py").write_text("def mine():\n    pass\n")
    trials, _, _ = launched(here, **{"train.objective": "mine.py:mine"})
    (here / "sub").mkdir()
    (here / "mine.py").rename(here / "sub" / "mine.py")
    moved = {"train.objective": "sub/mine.py:mine"}
    with pytest.raises(UsageError, match=r"does not exist.*; .* with the same file"):
        launched(here, **{"train.objective": "mine.py:mine"})
    again, added, statuses = launched(here, **moved)
    assert [t.name for t in again] == [t.name for t in trials] and not added
    assert statuses == ["pending"] * 2
    run = configs.read(here.parent / "sweep" / "trials" / again[0].name / "config.json")
    assert run == again[0].config != trials[0].config
    (here / "sub" / "mine.py").write_text("def mine():\n    return 1\n")
    with pytest.raises(UsageError, match=r"mine\.py is not what this sweep was begun"):
        launched(here, **moved)


MINE = """
import sys
from s2sjax.training.objectives.likelihood import nll

print("executed:", __file__, file=sys.stderr)

def mine():
    return nll
"""


def test_trials_of_one_program_execute_their_copies(here, capsys):
    (here / "mine.py").write_text(MINE)
    workdir = here.parent / "sweep"
    words = [f"--config={here / 'file.py'}", f"--workdir={workdir}"]
    words += ["--config.train.objective=mine.py:mine", "--backend=batched"]
    assert main(["sweep", *words]) == 0
    executed = capsys.readouterr().err
    (first, *_) = sorted((workdir / "trials").iterdir())
    copy = first / "code" / "train.objective" / "mine.py"
    assert copy.read_text() == MINE and f"executed: {copy}" in executed
    # What was begun is not trained anew where a copy is damaged.
    (first / "result.json").unlink()
    copy.write_text("")
    assert main(["sweep", f"--workdir={workdir}"]) == 2
    assert f"{copy} is damaged" in capsys.readouterr().err

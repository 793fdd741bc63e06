"""Trials in one program that a source proposes, and gives up before their end."""

import contextlib
import shutil
from types import SimpleNamespace

import pytest

from s2sjax import config as configs
from s2sjax import json_objects
from s2sjax.errors import RunError, UsageError
from s2sjax.inference.load import open_trained
from s2sjax.runs import journal
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import log_uniform, trial_files
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.batched import run as batched
from s2sjax.sweeps.batched import stored_group
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.protocols import Listed, SweepObserver
from s2sjax.training.interruption import SIGNALS, Signals

SPACE = {"train.learning_rate": log_uniform(1e-4, 1e-1)}
RATES = [{"train.learning_rate": rate} for rate in (0.01, 0.02, 0.03, 0.04)]


@pytest.fixture(scope="module")
def base():
    return configs.resolve(
        {
            "task": {"length": 3, "min_length": 1, "num_valid": 20, "num_test": 20},
            "model": {"units": 4, "embedding": 3},
            "train": {"steps": 15, "batch_size": 4, "eval_every": 5, "metric": "nll"},
            "decode": {"batch_size": 16},
        }
    )


class Choosy(Listed):
    """Gives up some trials at their first evaluation, and notes what it is told."""

    def __init__(self, trials, hopeless=()):
        super().__init__(trials)
        self.hopeless, self.told, self.given = hopeless, [], []

    def next(self):
        self.given += [trial := super().next()]
        return trial

    def prunes(self, trial, directory):
        assert trial.name not in [name for name, _ in self.told]
        return trial.index in self.hopeless

    def ended(self, trial, result):
        self.told.append((trial.name, result.status))


@contextlib.contextmanager
def opened(path):
    with SweepDirectory(path) as sweep:
        sweep.launches or sweep.record_launch(["test"], SourceCode("0", "", ""), [])
        yield sweep, Ledger(sweep)


def launch(path, base, hopeless=(), at_once=None):
    with opened(path) as (sweep, ledger):
        trials, _ = sweep.add(definition.resolve(base, RATES), lambda trial, path: "")
        source = Choosy([t for t in trials if t.name not in ledger.results], hopeless)
        batched.run(sweep, ledger, source, Signals(), SweepObserver(), at_once)
        return SimpleNamespace(
            status=[ledger.status(trial) for trial in trials],
            results=[ledger.results[trial.name] for trial in trials],
            runs=[sweep.of(trial) for trial in trials],
            groups=stored_group.read(path, trials),
            source=source,
        )


def lines(run):
    found = journal.read(run / "metrics.jsonl")
    for line in found:
        line.pop("seconds", None)
    return found


@pytest.fixture(scope="module")
def undisturbed(base, tmp_path_factory):
    return launch(tmp_path_factory.mktemp("sweep") / "whole", base)


def test_a_pruned_trial_is_masked_and_recorded(base, undisturbed, tmp_path):
    ran = launch(tmp_path / "sweep", base, hopeless=[1, 2], at_once=2)
    assert ran.status == ["done", "pruned", "pruned", "done"]
    assert [len(group.trials) for group in ran.groups] == [2, 2]
    assert sorted(ran.source.told) == [
        (run.name, status) for run, status in zip(ran.runs, ran.status, strict=True)
    ]
    pairs = zip(ran.status, ran.runs, undisturbed.runs, strict=True)
    for status, run, whole in pairs:
        until = 5 if status == "pruned" else 15
        expected = [line for line in lines(whole) if line["step"] <= until]
        assert lines(run) == expected and lines(run)[-1]["step"] == until
        assert open_trained(run, "last").step == until
        assert (run / "test.json").exists() == (status == "done")
    # The numbers of a pruned trial are of its best validation.
    result, (first, *_) = ran.results[1], lines(ran.runs[1])
    assert first["kind"] == "valid" and result.best_step == 5 and not result.test
    assert result.valid["nll"] == first["nll"] and result.seconds > 0
    assert ran.results[0].valid == undisturbed.results[0].valid
    assert ran.results[0].test == undisturbed.results[0].test


def test_a_group_is_not_asked_for_before_the_one_before_it_ended(base, tmp_path):
    with opened(tmp_path / "sweep") as (sweep, ledger):
        trials, _ = sweep.add(definition.resolve(base, RATES[:2]), lambda *_: "")
        source, signals = Choosy(trials), Signals()
        source.ended = lambda trial, result: setattr(signals, "received", SIGNALS[0])
        batched.run(sweep, ledger, source, signals, SweepObserver(), 1)
        assert source.given == trials[:1] and ledger.status(trials[1]) == "pending"


def test_a_launcher_that_dies_when_it_gives_up_a_trial(
    base, undisturbed, tmp_path, monkeypatch
):
    path = tmp_path / "sweep"
    with monkeypatch.context() as patch:
        # The checkpoint says that it is over, and its result does not.
        patch.setattr(trial_files, "write_result", full)
        with pytest.raises(RunError, match="No space left"):
            launch(path, base, hopeless=[1])
    ran = launch(path, base, at_once=2)
    assert ran.status == ["done", "pruned", "done", "done"]
    assert ran.results[1].best_step == 5 and len(ran.groups) == 1
    assert lines(ran.runs[0]) == lines(undisturbed.runs[0])
    assert len(ran.source.told) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"replica": 2}, "replica 2 of .* is another run than"),
        ({"replica": 4}, r"has no replica 4 \(it has 4\)"),
        ({"replica": -1}, "replica is -1"),
        ({"replica": True}, "replica is true, not a whole number"),
        ({"replica": "1"}, 'replica is "1", not a whole number'),
        ({"replica": 1.0}, "replica is 1.0, not a whole number"),
        ({"checkpoints": None}, "checkpoints is null, not a text"),
        ({"checkpoints": "elsewhere"}, "no intact checkpoint in .*elsewhere"),
    ],
)
def test_a_slice_is_that_of_its_own_run_alone(undisturbed, change, said):
    run = undisturbed.runs[1]
    path = run / "replica.json"
    text = path.read_text()
    try:
        kept = json_objects.read(path, dict)
        path.write_text(json_objects.encode({**kept, **change}))
        with pytest.raises(UsageError, match=said) as told:
            open_trained(run, "last")
        assert "\n" not in str(told.value)
    finally:
        path.write_text(text)
    assert open_trained(run, "last").step == 15


@pytest.mark.parametrize(
    "edit",
    [
        lambda kept: kept["trials"].reverse(),
        lambda kept: kept["trials"].pop(),
        lambda kept: kept["trials"].append(kept["trials"][0]),
        lambda kept: kept["trials"].append("0009-another"),
        lambda kept: kept.update(size=3),
        lambda kept: kept.update(size=10**9),
        lambda kept: kept.update(size="4"),
        lambda kept: kept.update(trials={}),
    ],
)
def test_a_group_goes_on_with_its_own_trials_alone(base, undisturbed, tmp_path, edit):
    sweep = tmp_path / "sweep"
    shutil.copytree(undisturbed.runs[0].parents[1], sweep)
    for result in sweep.glob("trials/*/result.json"):
        result.unlink()
    (path,) = sweep.glob("groups/*/group.json")
    kept = json_objects.read(path, dict)
    edit(kept)
    path.write_text(json_objects.encode(kept))
    journals = {path: path.read_bytes() for path in sweep.rglob("metrics.jsonl")}
    with pytest.raises(UsageError, match=r"group\.json is damaged"):
        launch(sweep, base)
    assert {path: path.read_bytes() for path in journals} == journals


def test_an_end_that_was_lost_is_found_again(base, undisturbed, tmp_path):
    sweep = tmp_path / "sweep"
    shutil.copytree(undisturbed.runs[0].parents[1], sweep)
    lost, damaged, *_ = sorted(sweep.glob("trials/*/result.json"))
    lost.unlink()
    damaged.write_text(damaged.read_text().replace('_step": 15', '_step": "15"'))
    ran = launch(sweep, base)
    assert ran.results == undisturbed.results and len(ran.source.told) == 2


def full(directory, result):
    raise OSError(28, "No space left on device")


def test_optuna_proposes_groups_and_goes_on_where_it_was_stopped(base, tmp_path):
    pytest.importorskip("optuna")
    from s2sjax.sweeps.search import Search

    def run(most, stop_after=None):
        with opened(tmp_path / "sweep") as (sweep, ledger):
            to = (base, SPACE, "random:seed=1", "median:startup=1,first=1", most)
            source = Search(sweep, ledger, *to, lambda trial, path: "")
            signals, asked, prunes = Signals(), [], source.prunes

            def counted(trial, directory):
                asked.append(trial)
                if len(asked) == stop_after:
                    signals.received = SIGNALS[0]
                return prunes(trial, directory)

            source.prunes = counted
            batched.run(sweep, ledger, source, signals, SweepObserver(), 3)
            # With one value before them the worse of a group are given up.
            return [ledger.status(trial) for trial in source.trials], source._study

    statuses, study = run(6, stop_after=8)
    assert statuses[:3] == ["done"] * 3 and "pending" in statuses[3:]
    statuses, study = run(6)
    assert "pending" not in statuses and "pruned" in statuses
    states = {"COMPLETE": "done", "PRUNED": "pruned"}
    assert [states[t.state.name] for t in study.trials] == statuses
    assert len(list((tmp_path / "sweep" / "groups").iterdir())) == 2
    for proposal in study.trials:
        assert set(proposal.intermediate_values) <= {5, 10, 15}

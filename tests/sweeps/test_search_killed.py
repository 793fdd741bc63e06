"""A search that is killed anywhere ends as one that is not: one trial at a time."""

import contextlib
import dataclasses
import json
import math

import pytest

from s2sjax import config as configs
from s2sjax import json_objects
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import choice, log_uniform, trial_files, uniform
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.trial_files import Result

pytest.importorskip("optuna")

from s2sjax.sweeps.optuna_journal import Journal
from s2sjax.sweeps.search import Search

SPACE = {
    "train.learning_rate": log_uniform(1e-4, 1e-1),
    "model.units": uniform(4, 8),
    "model.cell": choice("gru", "lstm"),
}
STEPS = (1, 2, 4, 8)
BASE = configs.resolve({"train": {"steps": STEPS[-1]}})


class KilledError(Exception):
    """What ends a launcher in these tests."""


class Kill:
    """Raises at the n-th moment at which a launcher can be killed; 0: never."""

    def __init__(self, moment=0):
        self.left = moment

    def __call__(self):
        self.left -= 1
        if self.left == 0:
            raise KilledError


def value(config, step):
    """What a trial measures: each learns at its own pace, to its own end."""
    rate, units = math.log(config.train.learning_rate), config.model.units
    return round(math.exp(-((rate + 5) ** 2)) * (1 - math.exp(-step * units / 20)), 6)


def train(trial, directory, search, kill):
    """A worker, which goes on from where it was, and how it ended."""
    path = directory / "metrics.jsonl"
    done = len(path.read_text().splitlines()) if path.exists() else 0
    if search.prunes(trial, directory):  # while the worker starts
        return "pruned"
    small = trial.config.model.units < 7  # has learned all that it can
    for step in STEPS[done : 2 if small else None]:
        with open(path, "a") as journal:
            line = {"step": step, "kind": "valid", "exact": value(trial.config, step)}
            print(json.dumps(line), file=journal)
        kill()
        if search.prunes(trial, directory):
            return "pruned"
        kill()
    text = json_objects.encode({"exact": 0.5, "step": STEPS[-1]})
    (directory / "test.json").write_text(text)
    return "done"


def launch(path, sampler, pruner, most, kill):
    """What Optuna knows and how the trials ended, in the order of the proposals."""
    with SweepDirectory(path) as sweep:
        sweep.launches or sweep.record_launch(["test"], SourceCode("0", "", ""), [])
        ledger = Ledger(sweep)
        to = (sweep, ledger, BASE, SPACE, sampler, pruner, most)
        search = Search(*to, lambda trial, path: "command")
        while trial := search.next():
            kill()
            status = train(trial, sweep.of(trial), search, kill)
            measured = trial_files.measured(sweep.of(trial), "exact")
            ledger.end(trial, Result(status, **measured))
            kill()
            search.ended(trial, ledger.results[trial.name])
            kill()
        ledger.write()
        known = ("number", "params", "state", "value", "intermediate_values")
        known += ("user_attrs", "system_attrs", "distributions")
        proposals = [
            {name: getattr(each, name) for name in known}
            for each in search._study.trials
        ]
        results = [
            (trial.name, dataclasses.asdict(ledger.results[trial.name]))
            for trial in search.trials
        ]
        return proposals, results


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        ("random:seed=3", "none"),
        ("tpe:seed=1,startup=2", "none"),
        ("tpe:seed=2,startup=2", "median:startup=1"),
        ("random:seed=5", "asha:first=1,factor=2"),
        ("random:seed=1", "hyperband:first=1,factor=2"),
        ("gp:seed=1", "median:startup=1"),
    ],
)
def test_a_search_that_is_killed_is_the_undisturbed_one(
    tmp_path, monkeypatch, sampler, pruner
):
    if sampler.startswith("gp"):
        pytest.importorskip("torch")
    commit, most = Journal.commit, 8 if pruner.startswith("hyper") else 5
    undisturbed = launch(tmp_path / "undisturbed", sampler, pruner, most, Kill())
    statuses = [result["status"] for _, result in undisturbed[1]]
    assert len(statuses) == most
    assert ("pruned" in statuses) == (pruner != "none") and statuses[0] == "done"
    for moment in (9, 10, 13):  # of every launcher: at each a launch comes further
        launches, found = 0, None
        while found is None:
            launches, kill = launches + 1, Kill(moment)
            assert launches < 200

            def committed(self, kill=kill):  # before what reaches the disk, and after
                kill()
                commit(self)
                kill()

            monkeypatch.setattr(Journal, "commit", committed)
            with contextlib.suppress(KilledError):
                found = launch(tmp_path / str(moment), sampler, pruner, most, kill)
        assert launches > most
        assert found == undisturbed, f"killed {launches} times"

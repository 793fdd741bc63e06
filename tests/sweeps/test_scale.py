"""What a sweep costs beside its trials grows as their number does.

Operations are counted and not timed: calls, of which each file and each step of a loop
over all trials is one, and bytes that are written.
"""

import json
import sys
import time

import pytest

from s2sjax import config as configs
from s2sjax import json_objects
from s2sjax.reporting.screen import Screen
from s2sjax.reporting.sweep import table as tables
from s2sjax.reporting.sweep import trial_files as reported
from s2sjax.reporting.sweep.console import SweepConsole
from s2sjax.reporting.sweep.csv import write_csv
from s2sjax.reporting.sweep.findings import find
from s2sjax.reporting.sweep.page import write_page
from s2sjax.runs import atomic
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import grid, product, scheduler, seeds
from s2sjax.sweeps import ledger as ledgers
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.protocols import Ended, Listed
from s2sjax.training.interruption import Signals

RESULTS = {"exact": 0.5, "nll": 1.5, "examples": 100}
VALID = json.dumps({"step": 4, "kind": "valid", **RESULTS}) + "\n"
TEST = json_objects.encode({**RESULTS, "step": 4, "by_length": {}})
FEW, MANY = 20, 80


class Done:
    """A job that is over as soon as it has begun, and a pool of such."""

    size, since = 2, 0.0

    def start(self, command, log, slot):
        log.with_name("metrics.jsonl").write_text(VALID)
        log.with_name("test.json").write_text(TEST)
        return self

    def poll(self):
        return Ended(0)

    def adopt(self, directory):
        return None

    def waiting(self):
        return ""


class Clock:
    """Each trial takes half a second."""

    now = 0.0

    def monotonic(self):
        return self.now


def launch(path, count):
    """Defines and runs a sweep; again it finds all of it done."""
    base = configs.resolve({"train": {"steps": 4}})
    rates = grid({"train.learning_rate": [0.1, 0.2]})
    trials = definition.resolve(base, product(rates, seeds(count // 2)))
    with SweepDirectory(path) as sweep:
        trials, _ = sweep.add(trials, lambda trial, path: "s2sjax train --workdir=DIR")
        if not sweep.launches:
            sweep.record_launch(["test"], SourceCode("0", "", ""), [], "processes")
        ledger = Ledger(sweep)
        left = [each for each in trials if ledger.status(each) == "pending"]
        with open(path / "said", "w") as file:
            screen = Screen(file)
            console = SweepConsole(trials, ledger, waiting=len(left), screen=screen)
            to = (sweep, ledger, Listed(left), Done(), lambda path: ["true"])
            with console:
                scheduler.run(*to, Signals(), observer=console)
            console.summarise(sweep, "again", stopped=False)
        assert ledger.count("done", trials) == count


def report(path, count):
    """What `s2sjax report` reads and writes, but for the pictures."""
    table = tables.read(str(path))
    findings = find(table, table.metric, None)
    files = reported.read_all(table)
    write_csv(findings, path, files)
    write_page(findings, files, path / "index.html")
    assert len(table.trials) == count


@pytest.fixture
def cost(monkeypatch):
    """The calls and the written bytes of a function."""
    clock, written = Clock(), []
    write = atomic.write_bytes

    def counted(path, data):
        written.append(len(data))
        write(path, data)

    def passed(seconds):
        clock.now += 0.5

    monkeypatch.setattr(atomic, "write_bytes", counted)
    monkeypatch.setattr(ledgers, "MANY", 10)

    def measure(function, *arguments):
        calls = 0

        def count(frame, event, argument):
            nonlocal calls
            calls += event in ("call", "c_call")

        written.clear()
        with monkeypatch.context() as patch:
            patch.setattr(time, "monotonic", clock.monotonic)
            patch.setattr(time, "sleep", passed)
            before = sys.getprofile()
            sys.setprofile(count)
            try:
                function(*arguments)
            finally:
                sys.setprofile(before)
        return calls, sum(written)

    return measure


def test_a_sweep_costs_in_proportion_to_its_trials(tmp_path, cost):
    launch(tmp_path / "first", 2)  # what is imported and kept at the first time
    report(tmp_path / "first", 2)
    for what in (launch, launch, report):
        few, many = (cost(what, tmp_path / str(n), n) for n in (FEW, MANY))
        for name, less, more in zip(("calls", "bytes"), few, many, strict=True):
            assert more < 1.02 * MANY / FEW * less, (what.__name__, name, less, more)

"""A sweep whose trials are shell scripts: who runs them, and when, is what matters."""

import json
from types import SimpleNamespace

import pytest

from s2sjax import config as configs
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import scheduler, seeds
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import NAME, Ledger
from s2sjax.sweeps.pools.processes import Processes
from s2sjax.sweeps.protocols import Listed, SweepObserver
from s2sjax.training import interruption

CODE = SourceCode("0", "", "")


@pytest.fixture
def base():
    return configs.resolve({"train": {"steps": 4}})


@pytest.fixture
def trials(base):
    """Trials that differ in their seeds, by their number."""
    return lambda count: definition.resolve(base, seeds(count))


@pytest.fixture
def rows():
    """The rows of a sweep's table."""

    def read(path):
        return [json.loads(line) for line in (path / NAME).read_text().splitlines()]

    return read


@pytest.fixture
def launch(tmp_path, trials):
    """Runs a script for each trial, in a sweep that stays from call to call."""

    def run(
        script,
        count=4,
        *,
        workers=2,
        pool=None,
        meanwhile=None,
        retry=False,
        **budgets,
    ):
        said = []
        observer = SweepObserver()
        observer.message = said.append
        observer.passed = meanwhile or (lambda: None)
        with SweepDirectory(tmp_path / "sweep") as sweep:
            defined, _ = sweep.add(trials(count), lambda trial, path: "command")
            sweep.launches or sweep.record_launch(["test"], CODE, [])
            ledger = Ledger(sweep)
            wanted = ("pending", "failed") if retry else ("pending",)
            left = [t for t in defined if ledger.status(t) in wanted]
            with interruption.watch() as signals:
                scheduler.run(
                    sweep,
                    ledger,
                    Listed(left),
                    pool or Processes(workers),
                    lambda path: ["sh", "-c", script, "sh", str(path)],
                    signals,
                    scheduler.Budgets(**budgets),
                    observer,
                )
        status = {t.config.seed: ledger.status(t) for t in defined}
        return SimpleNamespace(
            status=status, said=said, path=sweep.path, trials=defined
        )

    return run

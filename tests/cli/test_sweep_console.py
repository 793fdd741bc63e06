"""What a person sees of a sweep: a table on a terminal, lines elsewhere."""

import io
import re
import time

from s2sjax import config as configs
from s2sjax.reporting.screen import Screen
from s2sjax.reporting.sweep.console import SweepConsole
from s2sjax.sweeps import seeds
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.trial_files import Result

VALID = ({"exact": 0.25, "nll": 2.0}, {"exact": 0.75, "nll": 3.0})


def show(tmp_path, *, terminal, metric="exact"):
    """A sweep of four: done, failed, better, and one that never ran."""
    base = configs.resolve({"train": {"steps": 4, "metric": metric}})
    file = io.StringIO()
    screen = Screen(file, terminal=terminal, width=100)
    with SweepDirectory(tmp_path) as sweep:
        trials, _ = sweep.add(
            definition.resolve(base, seeds(4)),
            lambda trial, path: f"train seed={trial.config.seed} --workdir={path}",
        )
        ledger = Ledger(sweep)
        console = SweepConsole(trials, ledger, metric=metric, screen=screen)
        with console:
            for trial, result in zip(
                trials,
                (
                    Result("done", VALID[0], {"exact": 0.9, "nll": 1.0}, seconds=3.0),
                    Result("failed", seconds=1.0, error="exit code 1: no luck"),
                    Result("done", VALID[1], {"exact": 0.5, "nll": 3.0}, seconds=2.0),
                ),
                strict=False,
            ):
                ledger.begin(trial)
                console._drawn = 0
                console.passed()
                ledger.end(trial, result)
                console.ended(trial, result)
            console._drawn = 0
            console.passed()
        console.summarise(sweep, "s2sjax sweep again", stopped=False)
    return file.getvalue()


def test_lines_without_control_characters(tmp_path):
    said = show(tmp_path, terminal=False)
    assert "\x1b" not in said and "\r" not in said
    lines = said.splitlines()
    assert lines[0] == "4 trials; 4 to go"
    assert re.match(
        r"1 of 4  done 0000-seed=0-\w+  exact validation 25.00 %, test 90.00 %  took",
        lines[1],
    )
    assert "2 of 4  failed 0001-seed=1" in said and "exit code 1: no luck" in said
    assert "2 done, 1 pending, 1 failed" in said
    # Whatever the test says.
    assert "best by validation: exact validation 75.00 %, test 50.00 %" in said
    # The best is trained again where nothing is yet.
    (best,) = [line.split() for line in lines if line.startswith("  train seed=2 ")]
    assert best[-1].startswith(f"--workdir={tmp_path}-0002-seed=2-")
    assert lines[-1].endswith("--retry_failed")


def test_what_is_tried_again_is_to_go(tmp_path):
    base = configs.resolve({"train": {"steps": 4}})
    file = io.StringIO()
    with SweepDirectory(tmp_path) as sweep:
        trials, _ = sweep.add(definition.resolve(base, seeds(3)), lambda *_: "")
        ledger = Ledger(sweep)
        for trial, status in zip(trials, ("failed", "pruned", "done"), strict=True):
            ledger.end(trial, Result(status, test={"exact": 0.5}))
        screen = Screen(file, terminal=False, width=100)
        with SweepConsole(trials, ledger, waiting=1, screen=screen) as console:
            result = Result("done", test={"exact": 0.5})
            ledger.begin(trials[0])
            ledger.end(trials[0], result)
            console.ended(trials[0], result)
        # A search has few of its trials when it begins.
        for most in (9, 2):
            with SweepConsole(trials, ledger, most=most, screen=screen):
                pass
    first, second, third, fourth = file.getvalue().splitlines()
    assert first == "3 trials, 2 of them ended before; 1 to go"
    assert second.startswith("3 of 3  done ") and "left" not in second
    assert third == "9 trials, 3 of them ended before; 6 to go"
    assert fourth == "3 trials, 3 of them ended before; 0 to go"


def test_what_is_left_counts_work_and_no_queue(tmp_path, monkeypatch):
    base = configs.resolve({"train": {"steps": 4}})
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    file = io.StringIO()
    with SweepDirectory(tmp_path) as sweep:
        trials, _ = sweep.add(definition.resolve(base, seeds(3)), lambda *_: "")
        ledger = Ledger(sweep)
        screen = Screen(file, terminal=False, width=100)
        console = SweepConsole(trials, ledger, screen=screen)
        now[0] += 3600
        console.waited(3600)
        now[0] += 10
        console.ended(trials[0], Result("done", seconds=10.0))
    assert file.getvalue().strip().endswith("took 10.0 s  left 20.0 s")


def test_less_is_better_where_it_is(tmp_path):
    said = show(tmp_path, terminal=False, metric="nll")
    assert "best by validation: nll validation 2, test 1" in said


def test_of_equal_trials_the_least_nll_is_best(tmp_path, monkeypatch):
    monkeypatch.setitem(VALID[0], "exact", 0.75)  # whose nll is less
    assert "75.00 %, test 90.00 %" in show(tmp_path, terminal=False).split("best by")[1]


def test_a_table_that_is_redrawn(tmp_path):
    said = show(tmp_path, terminal=True)
    assert "1 running" in said and "an hour" in said and "running" in said
    assert "best" in said and "75.00 %" in said
    assert "?25h" in said.rpartition("?25l")[2]  # the cursor is given back

"""The table of a sweep, while its trials run."""

import json

import pytest

from s2sjax import json_objects
from s2sjax.sweeps import ledger as ledgers
from s2sjax.sweeps import trial_files
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import NAME, Ledger

RESULT = {"status": "done", "valid": {}, "test": {"exact": 0.5}, "seconds": 1.5}


@pytest.mark.parametrize(
    "change",
    [
        {"valid": {"exact": "high"}},
        {"test": {"exact": None}},
        {"test": {"exact": True}},
        {"test": []},
        {"test": {}},  # of one that is done
        {"best_step": 0.5},
        {"status": "perfect"},
        {"status": 1},
        {"status": []},
        {"seconds": "long"},
        {"attempts": None},
        {"device": 3},
        {"error": {}},
    ],
)
def test_a_damaged_result_is_one_line(tmp_path, trials, change):
    with SweepDirectory(tmp_path) as sweep:
        (trial,), _ = sweep.add(trials(1), lambda trial, path: "command")
        path = sweep.of(trial) / trial_files.RESULT
        said = []
        for kept, status in ((RESULT, "done"), (RESULT | change, "pending")):
            path.write_text(json_objects.encode(kept))
            assert Ledger(sweep, said.append).status(trial) == status
    (line,) = said
    assert line.startswith(f"{path} is damaged: {next(iter(change))}")
    assert line.endswith("; the trial's end is found again")


def test_a_result_has_both_splits_at_the_best_step_and_the_seed(tmp_path, trials, rows):
    """Read anew from a journal whose last evaluation was not the best."""
    valid = [
        {"step": 5, "kind": "valid", "exact": 0.5, "nll": 2.0, "examples": 8},
        {"step": 10, "kind": "valid", "exact": 0.5, "nll": 1.0, "examples": 8},
        {"step": 15, "kind": "valid", "exact": 0.25, "nll": None, "examples": 8},
    ]
    test = {"step": 10, "seed": 1, "exact": 0.75, "nll": 1.5, "examples": 4}
    with SweepDirectory(tmp_path) as sweep:
        (_, trial), _ = sweep.add(trials(2), lambda trial, path: "command")
        path = sweep.of(trial)
        (path / "metrics.jsonl").write_text(
            "".join(f"{json.dumps(v)}\n" for v in valid)
        )
        # Before there is a test the best step follows from the evaluations.
        pruned = trial_files.measured(path, "exact")
        at_best = {"exact": 0.5, "nll": 1.0, "examples": 8}
        assert pruned == {"valid": at_best, "test": {}, "best_step": 10}
        (path / "test.json").write_text(json_objects.encode(test))
        found = trial_files.measured(path, "exact")
        Ledger(sweep).end(trial, trial_files.Result("done", **found))
        kept = json.loads((path / trial_files.RESULT).read_text())
        ledger = Ledger(sweep)
        ledger.write()
    tested = {"exact": 0.75, "nll": 1.5, "examples": 4}
    for told in (kept, rows(tmp_path)[1]):
        assert (told["valid"], told["test"]) == (at_best, tested)
        assert (told["best_step"], told["seed"]) == (10, 1)
    assert rows(tmp_path)[0]["seed"] == 0  # of one that waits too


def test_what_was_too_soon_to_be_written_is_written_later(
    tmp_path, trials, rows, monkeypatch
):
    with SweepDirectory(tmp_path) as sweep:
        defined, _ = sweep.add(trials(3), lambda trial, path: "command")
        ledger = Ledger(sweep)
        for trial in defined[:2]:
            ledger.begin(trial)
        ledger.passed()
        assert [row["status"] for row in rows(tmp_path)].count("running") == 1
        monkeypatch.setattr(ledgers, "SECONDS", 0.0)
        ledger.passed()
        found = [row["status"] for row in rows(tmp_path)]
        assert found == ["running", "running", "pending"]
        # And no more often than there is something to say.
        before = (tmp_path / NAME).stat()
        ledger.passed()
        assert (tmp_path / NAME).stat() == before

"""The table of a sweep, while its trials run."""

import json

import pytest

from s2sjax.sweeps import ledger as ledgers
from s2sjax.sweeps import trial_files
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import NAME, Ledger

RESULT = {"status": "done", "metrics": {"exact": 0.5}, "seconds": 1.5, "attempts": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"exact": "high"}},
        {"metrics": {"exact": None}},
        {"metrics": {"exact": True}},
        {"metrics": []},
        {"metrics": {}},  # of one that is done
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
            path.write_text(json.dumps(kept))
            assert Ledger(sweep, said.append).status(trial) == status
    (line,) = said
    assert line.startswith(f"{path} is damaged: {next(iter(change))}")
    assert line.endswith("; the trial's end is found again")


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

"""The table of a sweep, while its trials run."""

from s2sjax.sweeps import ledger as ledgers
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import NAME, Ledger


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

"""No space at the very start: one line, and nothing is left, wherever it ends."""

import errno
import os
import pathlib

import pytest

from s2sjax.errors import RunError, UsageError
from s2sjax.runs.directory import discard_unless_begun, open_for_training
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps.directory import SweepDirectory

WRITERS = ("mkdir", "open", "pwrite", "fsync", "replace")


class Full:
    """Fails the nth call, and all that follow, of those that take space."""

    def __init__(self, monkeypatch, last):
        self.left = last
        self.patched = monkeypatch
        for name in WRITERS:
            self.patched.setattr(os, name, self.failing(getattr(os, name)))
        self.patched.setattr(pathlib.Path, "mkdir", self.failing(pathlib.Path.mkdir))

    def failing(self, call):
        def limited(*arguments, **options):
            reads = call.__name__ == "open" and not arguments[1] & os.O_CREAT
            self.left -= not reads
            if self.left < 0 and not reads:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*arguments, **options)

        return limited


def a_run(path, config):
    open_for_training(path, config).close()


def a_sweep(path, config):
    with SweepDirectory(path) as sweep:
        sweep.record_launch(["sweep"], SourceCode("0", "", "difference"), [])


@pytest.mark.parametrize("begin", [a_run, a_sweep])
@pytest.mark.parametrize("there", [False, True])
def test_a_disk_that_is_full_from_the_nth_write_on(
    runs, tmp_path, monkeypatch, begin, there
):
    path = tmp_path / "deep" / "er"
    if there:
        path.mkdir(parents=True)
    for last in range(30):
        with monkeypatch.context() as patched:
            full = Full(patched, last)
            try:
                begin(path, runs.resolved())
            except (RunError, UsageError) as error:
                assert "No space left" in str(error) and "\n" not in str(error)
                assert isinstance(error, RunError)
        if full.left >= 0:
            break
        left = [p for p in tmp_path.rglob("*") if p.is_file() or p.name == "trials"]
        assert not left, last
        assert path.exists() == there
    assert last > 4


def test_an_owner_is_written_whole_by_a_system_that_takes_a_part(
    runs, tmp_path, monkeypatch
):
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda d, data, at: whole(d, data[:7], at))
    with open_for_training(tmp_path, runs.resolved()):
        runs.refused(f"in use by process {os.getpid()} on", tmp_path, None)


def test_a_run_that_cannot_begin_takes_its_own_files_alone(runs, tmp_path):
    new = tmp_path / "new" / "run"
    with open_for_training(new, runs.resolved()) as run:
        discard_unless_begun(run)
    assert not any(tmp_path.iterdir())
    there = tmp_path / "there"
    open_for_training(there, runs.resolved()).close()
    (there / "run.json").unlink()
    (there / "notes.txt").write_text("mine")
    with open_for_training(there, runs.resolved()) as run:
        discard_unless_begun(run)
    names = {path.name for path in there.iterdir()}
    assert names == {"config.json", "checkpoints", "data", "lock", "notes.txt"}

import json
import math
import os

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2sjax import failpoints
from s2sjax.errors import RunError
from s2sjax.training.journal import Journal, read, truncate_after


def strict(line):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(line, parse_constant=refuse)


def test_lines_are_strict_json_with_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "metrics.jsonl"
    values = {
        "loss": np.float32(0.5),
        "nan": math.nan,
        "inf": jnp.float32(-math.inf),
        "by_length": {"3": {"exact": math.inf, "count": jnp.int32(4)}},
        "list": np.array([1.0, math.nan]),
        "text": "ä\n",
        "flag": np.bool_(True),
    }
    with Journal(path) as journal:
        journal.write(np.int64(3), values)
        assert len(read(path)) == 1  # there before the journal is closed
    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert strict(line) == {
        "step": 3,
        "loss": 0.5,
        "nan": None,
        "inf": None,
        "by_length": {"3": {"exact": None, "count": 4}},
        "list": [1.0, None],
        "text": "ä\n",
        "flag": True,
    }
    assert next(iter(strict(line))) == "step"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 9)), st.integers(-1, 10), st.integers(0, 400))
def test_cut_anywhere_and_continued_each_line_is_there_once(tmp_path, gaps, step, cut):
    path = tmp_path / "metrics.jsonl"
    path.unlink(missing_ok=True)
    steps = list(np.cumsum(gaps))
    with Journal(path) as journal:
        for one in steps:
            journal.write(one, {"loss": one / 3})
    whole = path.read_bytes()
    path.write_bytes(whole[: min(cut, len(whole))])
    complete = path.read_bytes().count(b"\n")
    assert [entry["step"] for entry in read(path)] == steps[:complete]
    truncate_after(path, step)
    kept = [entry["step"] for entry in read(path)]
    assert kept == [one for one in steps[:complete] if one <= step]
    with Journal(path) as journal:
        for one in steps[len(kept) :]:
            journal.write(one, {"loss": one / 3})
    assert path.read_bytes() == whole


def test_a_journal_that_is_not_there_is_empty(tmp_path):
    truncate_after(tmp_path / "none", 3)
    assert read(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "bad", ["{", "[1]", '{"loss": 1}', "\0", "\xff", "[" * 100_000]
)
def test_a_damaged_line_is_named_by_number_and_dropped_on_resume(tmp_path, bad):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + bad.encode("latin-1") + b'\n{"step": 2}\n')
    with pytest.raises(RunError, match=r"metrics.jsonl:2 is damaged"):
        read(path)
    truncate_after(path, 2)
    assert [entry["step"] for entry in read(path)] == [1, 2]


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    with Journal(path) as journal:
        journal.write(1, {})
        monkeypatch.setenv(failpoints.VARIABLE, "journal.write:full")
        monkeypatch.setattr(failpoints, "_reached", failpoints.collections.Counter())
        with pytest.raises(RunError, match=r"cannot add \d+ bytes to .*: No space"):
            journal.write(2, {})
        monkeypatch.delenv(failpoints.VARIABLE)
        write, half = os.write, []

        def write_half_then_fail(descriptor, data):
            if half:
                raise OSError(28, os.strerror(28))
            half.append(1)
            return write(descriptor, data[: len(data) // 2])

        monkeypatch.setattr(os, "write", write_half_then_fail)
        with pytest.raises(RunError, match="No space"):
            journal.write(3, {})
        monkeypatch.setattr(os, "write", write)
        journal.write(4, {})
    assert path.read_text() == '{"step": 1}\n{"step": 4}\n'


def test_a_journal_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        Journal(tmp_path / "file" / "metrics.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="cannot read"):
        read(tmp_path / "folder")

import json
import math
import os

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2sjax.errors import RunError
from s2sjax.runs import failpoints
from s2sjax.runs.journal import Journal, Mark, read, truncate_after


def strict(line):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(line, parse_constant=refuse)


def test_lines_are_strict_json_with_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "metrics.jsonl"
    values = {
        "kind": "train",
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
        "kind": "train",
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
            journal.write(one, {"kind": "train", "loss": one / 3})
    whole = path.read_bytes()
    path.write_bytes(whole[: min(cut, len(whole))])
    complete = path.read_bytes().count(b"\n")
    assert [entry["step"] for entry in read(path)] == steps[:complete]
    truncate_after(path, step)
    kept = [entry["step"] for entry in read(path)]
    assert kept == [one for one in steps[:complete] if one <= step]
    with Journal(path) as journal:
        for one in steps[len(kept) :]:
            journal.write(one, {"kind": "train", "loss": one / 3})
    assert path.read_bytes() == whole


def test_a_journal_that_is_not_there_is_empty(tmp_path):
    truncate_after(tmp_path / "none", 3)
    assert read(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


BAD = ["{", "[1]", '{"step": 1, "loss": 1}', '{"kind": "train"}', "\0", "\xff", "1\r1"]
BAD += [
    '{"step": true, "kind": "train"}',
    '{"step": NaN, "kind": "train"}',
    "[" * 100_000,
]


def written(path, steps):
    """A journal, and its mark after each line."""
    marks = [Mark()]
    with Journal(path) as journal:
        for step in steps:
            journal.write(step, {"kind": "train"})
            marks.append(journal.mark)
    return marks


@pytest.mark.parametrize("bad", BAD)
def test_a_damaged_line_is_told_by_number_and_dropped_on_resume(tmp_path, bad):
    path, said = tmp_path / "metrics.jsonl", []
    written(path, [1])
    with path.open("ab") as file:
        file.write(bad.encode("latin-1") + b"\n")
    written(path, [2])
    assert [entry["step"] for entry in read(path, say=said.append)] == [1, 2]
    lost = "1 of 3 lines are damaged or missing, after line 1 (step 1)"
    assert said == [f"{path}: {lost}"]
    truncate_after(path, 2)
    assert [entry["step"] for entry in read(path, say=said.append)] == [1, 2]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (lambda lines: lines, ""),
        (lambda lines: [*lines, b'{"step": 9, "kind": "train"}\n', b'{"st'], ""),
        (lambda lines: lines[:2] + lines[3:], "1 of 4 lines are damaged or missing"),
        (lambda lines: lines[:-1], "1 of 4 lines are damaged or missing"),
        (lambda lines: [*lines[:3], lines[3][:-3]], "1 of 4 lines are damaged or"),
        (lambda lines: [], "4 of 4 lines are damaged or missing, after line 0 (step 0"),
        (lambda lines: [*lines[:3], b"\n"], "1 of 4 lines are damaged or missing"),
        (lambda lines: [*lines[:3], lines[3].replace(b"4", b"5")], "some of its 4"),
        (lambda lines: [*lines[:2], *lines[1:]], "some of its 5 lines were changed"),
    ],
)
def test_what_is_lost_since_a_checkpoint_is_told(tmp_path, change, lost):
    path, said = tmp_path / "metrics.jsonl", []
    marks = written(path, [1, 2, 3, 4])
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    found = read(path, [marks[1], marks[4]], said.append)
    assert all(entry["kind"] == "train" for entry in found)
    assert len(said) == bool(lost) and all(lost in line for line in said)


def test_a_mark_tells_from_where_on_lines_are_lost(tmp_path):
    path, said = tmp_path / "metrics.jsonl", []
    marks = written(path, [1, 2, 3, 4])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b'{"step": 5, "kind": "train"}\n']))
    read(path, marks[:4] + marks[4:], said.append)
    assert said == [f"{path}: some of its 4 lines were changed, after line 3 (step 3)"]


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    with Journal(path) as journal:
        journal.write(1, {"kind": "train"})
        monkeypatch.setenv(failpoints.VARIABLE, "journal.write:full")
        monkeypatch.setattr(failpoints, "_reached", failpoints.collections.Counter())
        with pytest.raises(RunError, match=r"cannot add \d+ bytes to .*: No space"):
            journal.write(2, {"kind": "train"})
        monkeypatch.delenv(failpoints.VARIABLE)
        write, half = os.write, []

        def write_half_then_fail(descriptor, data):
            if half:
                raise OSError(28, os.strerror(28))
            half.append(1)
            return write(descriptor, data[: len(data) // 2])

        monkeypatch.setattr(os, "write", write_half_then_fail)
        with pytest.raises(RunError, match="No space"):
            journal.write(3, {"kind": "train"})
        monkeypatch.setattr(os, "write", write)
        journal.write(4, {"kind": "train"})
        assert journal.mark.lines == 2
    assert [entry["step"] for entry in read(path, [journal.mark])] == [1, 4]
    assert path.read_bytes().count(b"\n") == 2


def test_a_journal_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        Journal(tmp_path / "file" / "metrics.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="cannot read"):
        read(tmp_path / "folder")

"""The kept folder: whole or not there, whatever goes wrong while it is written."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2sjax import json_objects
from s2sjax.errors import RunError, UsageError
from s2sjax.runs import bundle


def test_what_is_written_is_read(tmp_path: Path) -> None:
    arrays = {"a": np.arange(5, dtype=np.uint16), "b": np.zeros((0, 2))}
    folder = tmp_path / "run" / "data"
    bundle.write(folder, {"x.npz": bundle.pack(arrays)}, {"more": [1]})
    files, about = bundle.read(folder, ["x.npz"])
    found = bundle.unpack(files["x.npz"])
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert about["more"] == [1]
    assert [entry.name for entry in folder.parent.iterdir()] == ["data"]


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, function, full)
    with pytest.raises(RunError, match=r"cannot write .*data: No space left"):
        bundle.write(tmp_path / "data", {"x": b"1"}, {})
    assert not list(tmp_path.iterdir())


def test_a_kill_leaves_nothing_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            bundle.write(tmp_path / "data", {"x": b"1"}, {})
    assert not bundle.exists(tmp_path / "data")
    bundle.write(tmp_path / "data", {"x": b"2"}, {})
    assert bundle.read(tmp_path / "data")[0] == {"x": b"2"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    bundle.write(tmp_path / "data", {"x": b"1"}, {})
    assert bundle.exists(tmp_path / "data")


def test_another_task_s_folder_and_a_newer_one(tmp_path: Path) -> None:
    bundle.write(tmp_path / "data", {"x": b"1"}, {})
    with pytest.raises(UsageError, match="data of another task: no y"):
        bundle.read(tmp_path / "data", ["x", "y"])
    about = tmp_path / "data" / bundle.ABOUT
    newer = json_objects.read(about, dict) | {"format_version": 9}
    about.write_text(json_objects.encode(newer))
    with pytest.raises(UsageError, match="has format_version 9; this s2sjax reads 3"):
        bundle.read(tmp_path / "data")
    about.write_text("[]")
    with pytest.raises(UsageError, match="is damaged"):
        bundle.read(tmp_path / "data")


def test_pickles_are_refused() -> None:
    harmful = np.array([print], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        bundle.unpack(bundle.pack({"a": harmful}))

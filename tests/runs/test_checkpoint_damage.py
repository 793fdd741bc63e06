"""Damage is noticed, junk is no step, and the one before is used."""

import os
import pickle
import shutil

import pytest

from s2sjax.errors import RunError
from s2sjax.runs import manifest
from s2sjax.runs.checkpoint import NoCheckpoint


def damages(path):
    data = path.read_bytes()
    yield "removed", lambda: path.unlink()
    yield "cut", lambda: path.write_bytes(data[: len(data) // 2])
    yield "empty", lambda: path.write_bytes(b"")
    for at in {0, len(data) // 3, len(data) // 2, len(data) - 1}:
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        yield f"bit {at}", lambda changed=bytes(changed): path.write_bytes(changed)


def test_damage_to_any_file_is_noticed_and_the_one_before_is_used(saved, tmp_path):
    whole = tmp_path / "whole"
    checkpoints = saved.opened(whole)
    for step in (1, 2):
        checkpoints.save(step, saved.value(step), {"n": step}, 0.1 * step)
    files = [p.relative_to(whole) for p in (whole / "2").rglob("*") if p.is_file()]
    assert len(files) > 5
    cases = 0
    for file in files:
        for kind, damage in damages(whole / file):
            copy = tmp_path / "copy"
            shutil.copytree(whole, copy)
            damage_in(copy / file, whole / file, damage)
            for which in ("last", "best"):
                lines = []
                restored = saved.reader(copy, lines).restore(saved.value(0), which)
                if restored.step == 2:
                    saved.same_bits(restored.state, saved.to_device(saved.value(2)))
                    assert restored.progress == {"n": 2}
                else:
                    saved.same_bits(restored.state, saved.to_device(saved.value(1)))
                    assert restored.progress == {"n": 1}
                    assert len(lines) == 1 and "checkpoint 2" in lines[0], (file, kind)
                # A manifest can lose its last newline and stay what it says.
                cut_newline = file.name == manifest.NAME and kind.startswith("bit")
                assert restored.step == 1 or cut_newline, (file, kind)
            shutil.rmtree(copy)
            cases += 1
    assert cases > 40


def damage_in(copied, original, damage):
    kept = original.read_bytes()
    damage()
    if original.exists():
        copied.write_bytes(original.read_bytes())
    else:
        copied.unlink()
    original.write_bytes(kept)


def test_a_damaged_checkpoint_is_quarantined_by_the_writer_only(saved, tmp_path):
    lines = []
    checkpoints = saved.opened(tmp_path, lines)
    for _ in range(2):
        for step in (1, 2):
            checkpoints.save(step, saved.value(step), {})
        (tmp_path / "2" / manifest.NAME).write_text("{}")
        before = sorted(tmp_path.rglob("*"))
        assert saved.reader(tmp_path, lines).restore(saved.value(0), "last").step == 1
        assert sorted(tmp_path.rglob("*")) == before
        assert "it is not used" in lines.pop()
        assert checkpoints.restore(saved.value(0), "last").step == 1
        assert "moved to quarantine/2" in lines.pop() and not lines
    assert {p.name for p in (tmp_path / "quarantine").iterdir()} == {"2", "2-2"}


def test_a_manifest_that_reads_well_and_says_something_else_is_noticed(saved, tmp_path):
    lines = []
    checkpoints = saved.opened(tmp_path, lines)
    checkpoints.save(1, saved.value(1), {"patience": 1}, 0.25)
    checkpoints.save(2, saved.value(2), {"patience": 2}, 0.5)
    path = tmp_path / "2" / manifest.NAME
    text = path.read_text()
    for old, new in (('patience\\": 2', 'patience\\": 3'), ("0.5", "0.7")):
        assert old in text
        path.write_text(text.replace(old, new))
        for which in ("last", "best"):
            restored = saved.reader(tmp_path, lines).restore(saved.value(0), which)
            assert (restored.step, restored.progress) == (1, {"patience": 1})
            assert "checksum of manifest.json" in lines.pop()


def test_bytes_that_the_store_itself_got_wrong_are_noticed(saved, tmp_path):
    """The checksums of the leaves hold where those of the files do."""
    lines = []
    checkpoints = saved.opened(tmp_path, lines)
    checkpoints.save(1, saved.value(1), {})
    checkpoints.save(2, saved.value(2), {})
    there = manifest.read(tmp_path / "2")
    wrong = manifest.describe(("params", "w"), saved.value(3)["params"]["w"])
    (tmp_path / "2" / manifest.NAME).write_text(
        manifest.encode(
            manifest.Manifest(2, None, {}, (wrong,), there.files),
        )
    )
    assert checkpoints.restore(saved.value(0), "last").step == 1
    assert "checksum of params/w" in lines[0]


def test_what_is_intact_and_cannot_be_read_is_not_set_aside(saved, tmp_path):
    """Another version of the store is no reason to give up a checkpoint."""
    lines = []
    checkpoints = saved.opened(tmp_path, lines)
    checkpoints.save(1, saved.value(1), {})
    checkpoints.save(2, saved.value(2), {})
    there = manifest.read(tmp_path / "2")
    (tmp_path / "2" / "arrays" / "_METADATA").write_text("{}")
    (tmp_path / "2" / "arrays" / "manifest.ocdbt").write_text("new")
    files = manifest.scan_files(tmp_path / "2")
    del files[manifest.NAME]
    same = manifest.Manifest(2, None, {}, there.leaves, files)
    (tmp_path / "2" / manifest.NAME).write_text(manifest.encode(same))
    with pytest.raises(RunError, match="cannot be read by orbax-checkpoint"):
        checkpoints.restore(saved.value(0), "last")
    assert checkpoints.steps() == [1, 2] and not lines


def test_nothing_intact_is_said(saved, tmp_path):
    lines = []
    checkpoints = saved.opened(tmp_path, lines)
    with pytest.raises(NoCheckpoint, match="no intact checkpoint"):
        checkpoints.restore(saved.value(0), "last")
    with pytest.raises(NoCheckpoint, match="no intact checkpoint"):
        saved.reader(tmp_path / "missing", lines).restore(saved.value(0), "best")
    checkpoints.save(1, saved.value(1), {})
    with pytest.raises(NoCheckpoint, match=r"no checkpoint 5 .*there are: 1"):
        checkpoints.restore(saved.value(0), 5)
    (tmp_path / "1" / manifest.NAME).unlink()
    with pytest.raises(RunError, match=r"checkpoint 1 in .* is damaged"):
        saved.reader(tmp_path, lines).restore(saved.value(0), 1)
    assert not lines


def junk(saved, path):
    (path / "999").mkdir()
    (path / "1000").mkdir()
    (path / "1000" / manifest.NAME).write_text("[1")
    (path / "1001").mkdir()
    shutil.copy(path / "2" / manifest.NAME, path / "1001")
    for name in (
        "007",
        "-5",
        "1e3",
        "12.orbax-checkpoint-tmp",
        "tmp-2",
        "trash-1",
        "tmp-notes",
        "trash-1-of-mine",
        "٣",
    ):
        (path / name).mkdir()
        (path / name / "file").write_text("x")
    (path / "1002").write_text("a file")
    (path / "1003").symlink_to(path / "2")
    (path / "1004").symlink_to(path / "nowhere")
    saved.opened(path.parent / "outside").save(1005, saved.value(1005), {}, 0.9)
    (path / "1005").symlink_to(path.parent / "outside" / "1005")
    shutil.copytree(path / "2", path / "002")
    (path / ("9" * 200)).mkdir()
    (path / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    (path / "2" / "arrays" / "evil.pkl").write_bytes(pickle.dumps(Evil()))


class Evil:
    def __reduce__(self):
        return (os._exit, (66,))


def test_junk_is_never_taken_for_a_step_and_loading_executes_nothing(saved, tmp_path):
    path = tmp_path / "checkpoints"
    saved.opened(path).save(1, saved.value(1), {}, 0.5)
    saved.opened(path).save(2, saved.value(2), {}, 0.4)
    junk(saved, path)
    lines = []
    reading = saved.reader(path, lines)
    assert reading.steps() == [1, 2] and reading.best_step() == 1
    assert reading.restore(saved.value(0), "last").step == 2
    assert reading.restore_params("best").step == 1
    writing = saved.opened(path, lines)
    left = [each.name for each in path.iterdir() if each.name[0] == "t"]
    assert sorted(left) == ["tmp-notes", "trash-1-of-mine"]
    assert writing.restore(saved.value(0), "last").step == 2
    for step in (3, 999, 1002, 1003, 1004, 1005, 1006, 1007):
        # What stands in a step's place gives way, even where it looks the same.
        writing.save(step, saved.value(2 if step == 1003 else step), {})
        assert max(writing.steps()) == step
    assert writing.steps() == [1, 1006, 1007]
    outside = saved.reader(path.parent / "outside", lines)
    assert outside.restore(saved.value(0), "best").step == 1005

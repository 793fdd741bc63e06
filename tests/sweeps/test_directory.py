"""The directory of a sweep: one launcher, no trial twice, and which code ran."""

import json
import os
import subprocess

import pytest

from s2sjax import config as configs
from s2sjax import json_objects
from s2sjax.errors import UsageError
from s2sjax.json_objects import encode
from s2sjax.runs import directory as runs
from s2sjax.runs import provenance
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import trial_files
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.directory import SweepDirectory, check

CODE = SourceCode("1.0", "c0ffee", "")


def command(trial, path):
    return f"train {path.name}"


def names(path):
    return sorted(entry.name for entry in (path / "trials").iterdir())


def test_trials_have_a_run_directory_each(tmp_path, trials):
    with SweepDirectory(tmp_path) as sweep:
        there, added = sweep.add(trials(3), command)
        assert there == added and names(tmp_path) == [trial.name for trial in there]
        for trial in there:
            run = runs.open_for_reading(sweep.of(trial))
            assert run.config == trial.config and run.record == {}
            assert trial_files.read(sweep.of(trial)) == (trial, f"train {trial.name}")


def test_a_command_is_for_the_place_where_its_trial_is(tmp_path, trials):
    with SweepDirectory(tmp_path / "old") as sweep:
        sweep.record_launch(["one"], CODE, [])
        line = "s2sjax train '--config.task.path=a b' --workdir={}"
        (trial,), _ = sweep.add(trials(1), lambda trial, path: line.format(path))
    (tmp_path / "old").rename(tmp_path / "new")
    with SweepDirectory(tmp_path / "new") as sweep:
        place = tmp_path / "new" / "trials" / trial.name
        assert sweep.commands == {trial.name: line.format(place)}


def test_a_sweep_is_to_have_what_its_lists_and_its_searches_asked_for(tmp_path):
    with SweepDirectory(tmp_path) as sweep:
        for command_, trials in (
            *((["sweep"], 3), (["sweep", "--search=tpe"], 2), (["sweep"], 0)),
            (["sweep", "--search=tpe"], 5),
        ):
            sweep.record_launch(command_, CODE, [], trials=trials)
    assert json.loads((tmp_path / "sweep.json").read_text())["asked"] == 8


def test_a_changed_definition_adds_what_is_new(tmp_path, trials, base):
    with SweepDirectory(tmp_path) as sweep:
        sweep.record_launch(["one"], CODE, [])
        first, _ = sweep.add(trials(2), command)
    other = definition.resolve(base, [{"model.units": 8}, {"seed": 1}, {"seed": 7}])
    with SweepDirectory(tmp_path) as sweep:
        there, added = sweep.add(other, command)
        # What is there keeps its number; the new ones are counted on.
        assert [trial.index for trial in there] == [2, 1, 3]
        assert there[1] == first[1] and added == [there[0], there[2]]
    assert len(names(tmp_path)) == 4
    with SweepDirectory(tmp_path) as sweep:
        assert sweep.add(other, command)[1] == []
        assert [trial.index for trial in sweep.trials] == [0, 1, 2, 3]


def test_a_trial_that_is_half_made_is_made_again(tmp_path, trials, monkeypatch):
    with SweepDirectory(tmp_path) as sweep:
        sweep.record_launch(["one"], CODE, [])
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", _killed)
            with pytest.raises(_Killed):
                sweep.add(trials(1), command)
    (half,) = names(tmp_path)
    assert half.startswith(".")
    with SweepDirectory(tmp_path) as sweep:
        assert sweep.trials == [] and len(sweep.add(trials(1), command)[1]) == 1
    assert names(tmp_path) == [half.removeprefix(".")]


class _Killed(BaseException):
    pass


def _killed(*arguments):
    raise _Killed


def test_the_second_launcher_is_refused(tmp_path):
    with SweepDirectory(tmp_path), pytest.raises(UsageError, match="is in use by"):
        SweepDirectory(tmp_path)
    SweepDirectory(tmp_path).close()


def test_other_directories_are_refused_and_left_alone(tmp_path, trials, base):
    run = tmp_path / "run"
    runs.open_for_training(run, base).close()
    (tmp_path / "file").write_text("")
    for path, said in ((run, "is not a sweep"), (tmp_path / "file", "not a directory")):
        before = sorted(path.rglob("*"))
        with pytest.raises(UsageError, match=said):
            SweepDirectory(path)
        assert sorted(path.rglob("*")) == before
    assert not check(tmp_path / "nothing") and not (tmp_path / "nothing").exists()


def test_what_has_no_end_is_refused(tmp_path):
    with SweepDirectory(tmp_path) as sweep:
        sweep.record_launch(["test"], SourceCode("0", "", ""), [])
    os.mkfifo(tmp_path / "trials" / "pipe")
    with pytest.raises(UsageError, match="trials/pipe is no file"):
        SweepDirectory(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"format_version": 3, "launches": [3]}', "its checksum is missing"),
        (encode({"format_version": 3, "asked": 1, "launches": [3]}), "launches.0. is"),
        (encode({"format_version": 3, "asked": 1, "launches": []}), "is empty"),
        ('{"format_version": 9, "launches": []}', "format_version 9"),
        ('{"format_version": 2}', "sweep.json has .* 2; this s2sjax reads 3: train it"),
    ],
)
def test_a_damaged_sweep_is_one_line(tmp_path, text, said):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        SweepDirectory(tmp_path)
    (tmp_path / "sweep.json").unlink()
    SweepDirectory(tmp_path).close()  # the lock is free


def test_a_damaged_trial_is_one_line(tmp_path, trials):
    with SweepDirectory(tmp_path) as sweep:
        sweep.record_launch(["one"], CODE, [])
        (trial,), _ = sweep.add(trials(1), command)
        kept = sweep.of(trial) / trial_files.TRIAL
    whole = json_objects.read(kept, dict)
    for text in ("", "[]", encode(whole | {"config": {"modle": 1}})):
        kept.write_text(text)
        with pytest.raises(UsageError, match=r"trial\.json"):
            SweepDirectory(tmp_path)


def test_other_code_is_told_and_kept(tmp_path):
    edited = SourceCode("1.0", "c0ffee", "+ a line\n")
    with SweepDirectory(tmp_path) as sweep:
        assert sweep.record_launch(["one"], CODE, ["--config=a.py"]) == ""
        assert sweep.record_launch(["two"], CODE, []) == ""
        said = sweep.record_launch(["three"], edited, [])
        assert "uncommitted edits none then" in said and "commit c0ffee" not in said
        said = sweep.record_launch(["four"], SourceCode("1.1", "bad", ""), [])
        assert "version 1.0 then, 1.1 now; commit c0ffee then, bad now" in said
    (kept,) = (tmp_path / "code").iterdir()
    assert kept.read_text() == "+ a line\n" and kept.stem == edited.difference_hash
    launches = json.loads((tmp_path / "sweep.json").read_text())["launches"]
    assert [launch["command"] for launch in launches] == [
        *(["one"], ["two"], ["three"], ["four"])
    ]


def test_the_code_of_a_repository(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", tmp_path, *identity, *words], check=True)

    assert provenance.source_code(tmp_path).commit == ""
    git("init", "--quiet")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.py").write_text("1\n")
    (tmp_path / "b.py").write_text("1\n")
    git("add", ".")
    git("commit", "--quiet", "--message=first")
    clean = provenance.source_code(tmp_path / "folder")
    assert len(clean.commit) == 40 and clean.difference == clean.difference_hash == ""
    (tmp_path / "b.py").write_text("2\n")
    (tmp_path / "c.py").write_text("3\n")
    edited = provenance.source_code(tmp_path / "folder")
    assert edited.commit == clean.commit and edited.difference_hash
    assert "+2" in edited.difference and "untracked: c.py" in edited.difference


def test_a_config_taken_away_is_put_back(tmp_path, trials):
    with SweepDirectory(tmp_path) as sweep:
        (trial,), _ = sweep.add(trials(1), command)
        (sweep.of(trial) / "config.json").unlink()
        trial_files.restore_config(sweep.of(trial), trial)
        assert configs.read(sweep.of(trial) / "config.json") == trial.config

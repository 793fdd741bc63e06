import functools
import json
import os
import shutil

import pytest

from s2sjax import config as configs
from s2sjax import json_objects, tasks
from s2sjax.errors import RunError, UsageError
from s2sjax.runs import directory, provenance
from s2sjax.runs.directory import open_for_reading
from s2sjax.runs.run_files import read_record

open_for_training = functools.partial(
    directory.open_for_training, check_data=tasks.check_sources
)


def test_a_run_is_made_and_continued_from_the_directory_alone(runs, tmp_path):
    path = tmp_path / "deep" / "run"
    environment = provenance.describe(["s2sjax", "train"], {"XLA_FLAGS": "--x"})
    with open_for_training(path, runs.resolved(), environment=environment) as run:
        assert run.checkpoints.is_dir() and run.data.is_dir()
        made = runs.tree(path)
    record = json.loads(made["run.json"])
    assert record["format_version"] == json_objects.FORMAT_VERSION
    assert record["flags"] == {"XLA_FLAGS": "--x"}
    assert {"python", "jax", "jaxlib", "flax", "optax"} < record["versions"].keys()
    assert record["command"] == ["s2sjax", "train"]
    assert "not installed" not in record["versions"].values()
    del record["crc32"]
    assert read_record(path) == record
    assert json.loads(made["config.json"]) == json.loads(
        configs.canonical_json(runs.resolved())
    )
    for config in (None, runs.resolved()):
        with open_for_training(path, config) as run:
            assert run.config == runs.resolved() and run.record == record
    assert open_for_reading(path).config == runs.resolved()
    after = runs.tree(path)
    del made["lock"], after["lock"]
    assert after == made


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 1}, "seed: 0 here, 1 asked"),
        ({"task__length": 7}, "task.length: 10 here, 7 asked"),
        ({"model__cell": "gru"}, "model.cell: 'lstm' here, 'gru' asked"),
        ({"train__learning_rate": 0.01}, "train.learning_rate: 0.001 here, 0.01 asked"),
        ({"decode__length_ratio": 3.0}, "decode.length_ratio: 2.0 here, 3.0 asked"),
    ],
)
def test_another_config_is_refused_with_the_difference(runs, tmp_path, changes, said):
    open_for_training(tmp_path, runs.resolved()).close()
    before = runs.tree(tmp_path)
    runs.refused(said, tmp_path, runs.resolved(**changes))
    changes["train__log_every"] = 7  # allowed alone, not printed as a difference
    told = runs.refused(said, tmp_path, runs.resolved(**changes))
    assert "log_every: " not in told and "'train.log_every': 7" in told
    assert runs.tree(tmp_path) == before


def test_the_named_fields_may_change_and_are_kept(runs, tmp_path):
    open_for_training(tmp_path, runs.resolved()).close()
    changed = runs.resolved(train__steps=99, train__log_every=3)
    open_for_training(tmp_path, changed).close()
    with open_for_training(tmp_path, None) as run:
        assert run.config == changed
    assert open_for_reading(tmp_path).config == changed


def test_a_config_that_says_the_same_keeps_its_text(runs, tmp_path):
    open_for_training(tmp_path, runs.resolved()).close()
    path = tmp_path / "config.json"
    path.write_text(text := json.dumps(json.loads(path.read_text())))
    open_for_training(tmp_path, None).close()
    assert path.read_text() == text


def test_epochs_may_grow_where_steps_may(runs, tmp_path):
    few, more = (runs.resolved(train__steps=None, train__epochs=n) for n in (2, 5))
    open_for_training(tmp_path, few).close()
    for asked in (more, None, more):
        with open_for_training(tmp_path, asked) as run:
            assert run.config == more
    decayed = {"train__schedule": "cosine:warmup=1,final=0.0", "train__steps": None}
    few, more = (runs.resolved(**decayed, train__epochs=n) for n in (2, 5))
    open_for_training(tmp_path / "decayed", few).close()
    runs.refused("train.epochs: 2 here, 5 asked", tmp_path / "decayed", more)


def test_a_refusal_names_the_call_that_is_possible(runs, tmp_path):
    workdir = tmp_path / "a run"
    open_for_training(workdir, runs.resolved()).close()
    (tmp_path / "a run-2").mkdir()

    def command(**changes):
        told = runs.refused("leave out config=", workdir, runs.resolved(**changes))
        return told.partition("begin another: ")[2]

    rate = {"train__learning_rate": 1e-4, "train__steps": 20, "train__optimizer": ""}
    changes = {"train.steps": 20, "train.optimizer": "", "train.learning_rate": 0.0001}
    call = f"s2s.train('{workdir}', '{tmp_path / 'a run-3'}', overrides={changes}"
    assert command(**rate) == f"{call})"  # no parameters are there yet
    (workdir / "checkpoints" / "10").mkdir()
    assert command(**rate) == f"{call}, init_from='{workdir}')"
    for other in ({"seed": 3}, {"model__units": 7, "train__learning_rate": 1e-4}):
        assert f"init_from='{workdir}'" not in command(**other)


def test_a_place_that_is_no_run_names_what_is_near(runs, tmp_path):
    trial = tmp_path / "sweeps" / "lengths" / "trials" / "0000-a"
    open_for_training(trial, runs.resolved()).close()
    for name, said in [
        ("sweep/lengths/trials/0000-a", "did you mean '.*/sweeps/lengths/.*0000-a'"),
        ("sweeps/length", "does not exist \\(did you mean '.*/sweeps/lengths'"),
        ("sweeps/lengths", "is a sweep; name one of its trials, e.g. .*/0000-a"),
        ("sweeps/lengths/trials", "holds runs, e.g. .*/0000-a"),
    ]:
        with pytest.raises(UsageError, match=said):
            open_for_reading(tmp_path / name)
    config = runs.resolved()
    runs.refused("is a sweep; name one of its", tmp_path / "sweeps" / "lengths", config)
    runs.refused("did you mean '.*0000-a'", trial.with_name("0000-b"), None)


def test_more_steps_are_refused_where_the_rate_decays_to_the_last(runs, tmp_path):
    cosine = "cosine:warmup=1,final=0.0"
    open_for_training(tmp_path, runs.resolved(train__schedule=cosine)).close()
    more = runs.resolved(train__schedule=cosine, train__steps=20)
    runs.refused("train.steps: 10 here, 20 asked", tmp_path, more)


def test_a_directory_that_is_no_run_is_left_alone(runs, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "lock").write_text("mine")
    (tmp_path / "empty").mkdir()
    before = runs.tree(tmp_path)
    config = runs.resolved()
    runs.refused("is not a directory", file, config)
    runs.refused("Not a directory", file / "run", config)
    runs.refused("is not a directory", tmp_path / "dangling", config)
    runs.refused(
        "not a run and not empty .it has thesis.tex", tmp_path / "full", config
    )
    runs.refused("not a run and not empty .it has lock", tmp_path / "foreign", config)
    runs.refused("is not a run; give config=FILE", tmp_path / "empty", None)
    runs.refused("is not a run; give config=FILE", tmp_path / "new", None)
    for name, said in [
        ("full", "has no config.json"),
        ("new", "does not exist"),
        ("file", "is not a directory"),
    ]:
        with pytest.raises(UsageError, match=said):
            open_for_reading(tmp_path / name)
    assert runs.tree(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["", "a\0b", "x" * 300, "new/" + "x" * 300, "\ud800", "a/" * 3000]
)
def test_paths_that_cannot_be_are_refused(runs, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs.refused("path", name, runs.resolved())
    with pytest.raises(UsageError, match="path"):
        open_for_reading(name)
    assert list(tmp_path.iterdir()) == []


def test_links_dots_and_homes_lead_where_they_say(runs, tmp_path, monkeypatch):
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir(real)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("../link", "../missing/../real", "~/run", "CON", "ünï cödé", "-x"):
        open_for_training(name, runs.resolved()).close()
    assert {p.name for p in tmp_path.iterdir()} == {"real", "link", "home"}
    assert (real / "config.json").is_file()
    assert (tmp_path / "home" / "run" / "config.json").is_file()


def test_a_linked_lock_is_not_written_through(runs, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to(victim)
    runs.refused("lock", tmp_path / "run", runs.resolved())
    assert victim.read_text() == ""


def test_what_has_no_end_is_refused(runs, tmp_path):
    run = tmp_path / "run"
    open_for_training(run, runs.resolved()).close()
    os.mkfifo(run / "data" / "pipe")
    for opened in (lambda: open_for_training(run, None), lambda: open_for_reading(run)):
        with pytest.raises(UsageError, match="data/pipe is no file"):
            opened()
    (run / "data" / "pipe").unlink()
    (run / "data" / "link").symlink_to("/dev/zero")
    with pytest.raises(UsageError, match="data/link is no file"):
        open_for_reading(run)
    (run / "data" / "link").unlink()
    (run / "broken").symlink_to("nowhere")
    open_for_reading(run).close()


def test_a_config_alone_is_a_run_to_start(runs, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"train": {"steps": 10}}))
    assert open_for_reading(tmp_path).record == {}
    with open_for_training(tmp_path, None) as run:
        assert run.config == runs.resolved()
    assert read_record(tmp_path)["format_version"] == json_objects.FORMAT_VERSION


@pytest.mark.parametrize(
    "left",
    [
        [],
        ["lock"],
        ["lock", "config.json.tmp"],
        ["lock", "config.json"],
        ["lock", "config.json", "run.json.tmp"],
        ["lock", "config.json", "run.json"],
        ["lock", "config.json", "config.json.tmp", "run.json", "checkpoints"],
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_a_start_that_was_killed_can_be_repeated(runs, tmp_path, left, named):
    whole, path = tmp_path / "whole", tmp_path / "run"
    open_for_training(whole, runs.resolved()).close()
    path.mkdir()
    for name in left:
        if (whole / name).is_dir():
            (path / name).mkdir()
        elif name.endswith(".tmp"):
            (path / name).write_text('{"seed')
        else:
            shutil.copy(whole / name, path)
    if "lock" in left and not named:
        (path / "lock").write_text("")
    with open_for_training(path, runs.resolved()) as run:
        assert run.config == runs.resolved() and run.record["format_version"] == 3
    made, expected = runs.tree(path), runs.tree(whole)
    del made["lock"], expected["lock"]
    made.pop("config.json.tmp", None)
    made.pop("run.json.tmp", None)
    assert made == expected


def test_another_environment_is_said(runs, tmp_path):
    lines = []
    old = {"versions": {"jax": "0.1"}, "command": ["a"], "device": "cpu"}
    open_for_training(
        tmp_path, runs.resolved(), environment=old, say=lines.append
    ).close()
    same = {**old, "command": ["b"]}
    open_for_training(tmp_path, None, environment=same, say=lines.append).close()
    assert lines == []
    new = {"versions": {"jax": "0.1", "flax": "9"}, "command": ["a"], "device": "gpu"}
    open_for_training(tmp_path, None, environment=new, say=lines.append).close()
    (line,) = lines
    assert "device: 'cpu' then, 'gpu' now" in line
    assert "versions.flax: None then, '9' now" in line and "jax:" not in line


def test_a_full_disk_is_one_line_and_leaves_the_old_file(runs, tmp_path, monkeypatch):
    open_for_training(tmp_path, runs.resolved()).close()
    before = runs.tree(tmp_path)

    def full(descriptor):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write to .*: No space left"):
        open_for_training(tmp_path, runs.resolved(train__log_every=5))
    monkeypatch.undo()
    after = runs.tree(tmp_path)
    del before["lock"], after["lock"]
    assert after == before
    open_for_training(tmp_path, None).close()


def text_run(runs, path, **fields):
    return runs.resolved(task__name="text", task__path=str(path), **fields)


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"a{i}\tb{i}\n" for i in range(50)))
    return path


def test_the_same_bytes_elsewhere_are_the_same_run(runs, pairs, tmp_path, monkeypatch):
    workdir = tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    with open_for_training(workdir, text_run(runs, "pairs.tsv")) as run:
        tasks.create(run.config, run.data)
    made = runs.tree(workdir)
    assert json.loads(made["config.json"])["task"]["path"] == str(pairs)

    # From another current folder, where another file has that name.
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    with open_for_training(workdir, None) as run:
        tasks.create(run.config, run.data)
    other = tmp_path / "away" / "pairs.tsv"
    other.write_text(pairs.read_text() + "one\tmore\n")
    before = runs.tree(workdir)
    runs.refused(
        r"away/pairs.tsv is not the file that this", workdir, text_run(runs, other)
    )
    runs.refused(r"none.tsv does not exist", workdir, text_run(runs, "none.tsv"))
    runs.refused(
        r"seed: 0 here, 1 asked; leave", workdir, text_run(runs, other, seed=1)
    )
    assert runs.tree(workdir) == before

    moved = pairs.rename(tmp_path / "away" / "moved.tsv")
    with open_for_training(workdir, text_run(runs, moved)) as run:
        tasks.create(run.config, run.data)
    assert open_for_reading(workdir).config.task.path == str(moved)
    assert configs.config_hash(text_run(runs, moved)) == configs.config_hash(
        text_run(runs, "elsewhere/moved.tsv")
    )


def test_files_of_splits_elsewhere_are_the_same_run(runs, tmp_path):
    workdir, names = tmp_path / "run", ("train", "valid", "test")
    (tmp_path / "here").mkdir()
    for name in names:
        lines = [f"{name} {i}\tb{i}\n" for i in range(20)]
        (tmp_path / "here" / f"{name}.tsv").write_text("".join(lines))

    def asked(folder, **files):
        places = {name: tmp_path / folder / f"{name}.tsv" for name in names}
        named = {f"task__{name}": str(path) for name, path in (places | files).items()}
        return runs.resolved(task__name="text", **named)

    with open_for_training(workdir, asked("here")) as run:
        tasks.create(run.config, run.data)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    other = tmp_path / "here" / "test.tsv"
    wrong = tmp_path / "there" / "test.tsv"
    runs.refused("test.tsv is not the file that", workdir, asked("here", valid=wrong))
    (tmp_path / "here" / "valid.tsv").unlink()
    with open_for_training(workdir, asked("there", test=other)) as run:
        tasks.create(run.config, run.data)
    now = open_for_reading(workdir).config.task
    assert (now.valid, now.test) == (f"{tmp_path}/there/valid.tsv", str(other))
    kept = json.loads((workdir / "data" / "about.json").read_text())
    assert list(kept["sizes"]) == [str(tmp_path / "here" / f"{n}.tsv") for n in names]
    assert list(kept["sizes"].values()) == [
        (tmp_path / "there" / f"{name}.tsv").stat().st_size for name in names
    ]


def test_a_pattern_elsewhere_is_the_same_run(runs, tmp_path):
    workdir = tmp_path / "run"
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "mine.py"
        file.write_text("def same(x):\n    return x\n\ndef other(x):\n    return x\n")

    def asked(name):
        return runs.resolved(task__name=f"{tmp_path}/{name}", task__num_train=20)

    with open_for_training(workdir, asked("here/mine.py:same")) as run:
        tasks.create(run.config, run.data)
    with open_for_training(workdir, asked("there/mine.py:same")) as run:
        tasks.create(run.config, run.data)
    assert "there/mine.py:same" in (workdir / "config.json").read_text()
    runs.refused(
        "task.name: .*here/mine.py:same.* here", workdir, asked("there/mine.py:other")
    )
    file.write_text("def same(x):\n    return x[::-1]\n")
    (tmp_path / "here" / "new.py").write_text(file.read_text())
    runs.refused("new.py is not the file", workdir, asked("here/new.py:same"))

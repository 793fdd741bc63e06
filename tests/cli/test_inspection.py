"""`config show` and `config diff` tell what a config says."""

import json

import pytest

from s2sjax import config
from s2sjax.cli import flags, inspection
from s2sjax.errors import UsageError

SOURCE = """
from s2sjax.config import base_config

def get_config(arg=None):
    config = base_config()
    config.train.steps = 5 if arg == "smoke" else 100
    return config
"""


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(SOURCE)
    return str(path)


@pytest.fixture
def run(tmp_path, experiment):
    folder = tmp_path / "run"
    folder.mkdir()
    resolved = flags.parse(
        inspection.SHOW, [f"--config={experiment}", "--config.model.units=7"]
    ).config
    (folder / "config.json").write_text(config.canonical_json(resolved))
    return str(folder)


def show(*argv):
    return inspection.show(flags.parse(inspection.SHOW, argv))


def diff(*argv):
    return inspection.diff(flags.parse(inspection.DIFF, argv))


def test_show_json_has_every_field_as_resolved(capsys, experiment):
    assert show(f"--config={experiment}:smoke", "--config.seed=3", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == list(config.fields())
    assert shown["seed"]["value"] == 3 and shown["train.steps"]["value"] == 5
    assert shown["task.min_length"]["type"] == "int or none"
    assert all(item["doc"] for item in shown.values())
    assert shown["train.precision"]["possible"] == "one of default, high, highest"


def test_show_lines_are_aligned_and_complete(capsys, run):
    assert show(f"--workdir={run}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(config.fields())
    units = next(line for line in lines if line.startswith("model.units "))
    assert units.split()[1:3] == ["7", "int"]
    column = {line.index(line.split()[1], len(line.split()[0])) for line in lines}
    assert len(column) == 1


def test_show_without_arguments_lists_the_defaults(capsys):
    assert show() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(config.fields())


def test_show_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    assert show() == 0
    out = capsys.readouterr().out
    assert all(path in out for path in config.fields())


def test_diff_of_a_run_and_a_file(capsys, experiment, run):
    assert diff(run, f"{experiment}:smoke", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "model.units": [7, 128],
        "train.steps": [100, 5],
    }
    assert diff(f"{run}/config.json", f"{experiment}:smoke") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["model.units", "7", "128"],
        ["train.steps", "100", "5"],
    ]


def test_diff_of_equals(capsys, run):
    assert diff(run, run) == 0
    assert capsys.readouterr().out == "no difference\n"
    assert diff(run, run, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {}


@pytest.mark.parametrize("argv", [(), ("one",), ("one", "two", "three")])
def test_diff_takes_two(argv):
    with pytest.raises(UsageError, match=f"{len(argv)} came"):
        diff(*argv)


def test_what_is_no_run(tmp_path, experiment):
    with pytest.raises(UsageError, match="is not a run"):
        diff(str(tmp_path), experiment)
    with pytest.raises(UsageError, match="missing' does not exist"):
        show(f"--workdir={tmp_path / 'missing'}")
    with pytest.raises(UsageError, match="give one of them"):
        show(f"--workdir={tmp_path}", f"--config={experiment}")


REFUSED = {
    "--config.train.optimizer=lamb2": "unknown train.optimizer 'lamb2'",
    "--config.train.schedule=cosin": "unknown train.schedule 'cosin'",
    "--config.decode.strategy=beams": "unknown decoding strategy 'beams'",
    "--config.train.epochs=2": "train.epochs=2 needs a finite training set",
    "--config.task.path=nowhere": "task.path=",
    "--config.task.name=revresed": "unknown task 'revresed'",
}


@pytest.mark.parametrize("override", REFUSED)
def test_what_train_refuses_is_refused(command, experiment, tmp_path, override):
    """By the same line, in the one file or the other."""
    flags_ = (f"--config={experiment}", override)
    shown = command("config", "show", *flags_)
    trained = command("train", f"--workdir={tmp_path / 'new'}", *flags_)
    assert shown.code == trained.code == 2 and shown.out == ""
    line = shown.err.splitlines()[-1]
    assert REFUSED[override] in line and line == trained.err.splitlines()[-1]
    assert not (tmp_path / "new").exists()


def test_a_difference_is_of_configs_that_train_takes(command, tmp_path, run):
    """All that is wrong with both is told, each with its name."""
    paths = []
    for name, field in (("a", "train.optimizer = 'lamb2'"), ("b", "model.units = 0")):
        paths.append(tmp_path / f"{name}.py")
        text = SOURCE.replace("return", f"config.{field}\n    return")
        paths[-1].write_text(text)
    one, other = paths
    done = command("config", "diff", one, other)
    assert done.code == 2 and done.out == ""
    first, second = done.err.splitlines()
    assert first.startswith(f"s2sjax: {one}: unknown train.optimizer 'lamb2'")
    assert f"{other}: model.units=0 is not a whole" in second
    done = command("config", "diff", run, one)
    assert (done.code, done.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("name", ["config show", "train"])
def test_one_wrong_setting_does_not_hide_another(command, tmp_path, name):
    path = tmp_path / "experiment.py"
    wrong = "config.model.layers = 0\n    config.train.optimizer = 'lamb2'\n"
    path.write_text(SOURCE.replace("return", f"{wrong}    return"))
    workdir = [f"--workdir={tmp_path / 'new'}"] * (name == "train")
    done = command(
        *name.split(),
        *workdir,
        f"--config={path}",
        "--config.model.unit=3",
        "--config.train.batch_size=0",
        "--config.train.feeding=argmx",
        # Which may be right, once the feeding is.
        "--config.train.feeding_probability=0.5",
        "--config.task.min_length=11",
        "--config.decode.strategy=beams",
        "--config.task.name=revresed",
    )
    assert done.code == 2 and not (tmp_path / "new").exists()
    told = [line.removeprefix("s2sjax: ") for line in done.err.splitlines()]
    beginnings = [
        "--config.model.unit: unknown field",
        "train.batch_size=0 is not",
        "argmx",
        "model.layers=0 is not",
        "task.min_length=11 is above task.length=10",
        "unknown decoding strategy 'beams'",
        "unknown train.optimizer 'lamb2'",
        "unknown task 'revresed'",
    ]
    assert len(told) == len(beginnings), done.err
    for beginning in beginnings:
        assert any(beginning in line for line in told), (beginning, told)

"""Whose Python is executed when: told where it came along, refused where asked."""

import json
import pathlib
import shutil

import pytest

import s2sjax as s2s
from s2sjax.cli import main

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "experiments"
SIZES = ("task.num_train=64", "task.num_valid=8", "task.num_test=8", "train.steps=2")
SMALL = [f"--config.{each}" for each in (*SIZES, "model.units=4", "task.length=4")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of a pattern that leaves a mark when it is executed, its file and mark."""
    folder = tmp_path_factory.mktemp("pattern")
    file, mark = folder / "mine.py", folder / "executed"
    file.write_text(f"open({str(mark)!r}, 'w').close()\ntwice = lambda row: row * 2\n")
    name = f"--config.task.name={file}:twice"
    config = [f"--config={EXPERIMENTS / 'reversed.py'}:smoke", name, *SMALL]
    assert main(["train", *config, f"--workdir={folder / 'run'}"]) == 0
    mark.unlink()
    return folder / "run", file, mark


@pytest.fixture
def received(made, tmp_path):
    """The run elsewhere, without the file; its mark."""
    run, file, mark = made
    mark.unlink(missing_ok=True)
    shutil.copytree(run, tmp_path / "run")
    file.rename(file.with_suffix(".away"))
    yield tmp_path / "run", mark
    file.with_suffix(".away").rename(file)


def test_a_received_file_is_told_where_it_is_executed(received, command):
    run, mark = received
    for words in (["decode", "1", "2"], ["train"], ["eval", "--split=train"]):
        done = command(words[0], f"--workdir={run}", *words[1:])
        assert done.code == 0 and mark.exists()
        (line,) = [line for line in done.err.splitlines() if "is executed" in line]
        assert f"{run / 'data' / 'pattern.py'} (SHA-256 " in line
        mark.unlink()
        done = command(words[0], f"--workdir={run}", "--no_user_code", *words[1:])
        assert done.code == 2 and done.err.count("\n") == 1 and not mark.exists()
        assert "--no_user_code: " in done.err


def test_in_python_it_is_told_and_refused_alike(received):
    run, mark = received
    with pytest.warns(UserWarning, match=r"pattern\.py \(SHA-256 .* is executed"):
        assert s2s.load(run).decode([1, 2]).expected == [1, 2, 1, 2]
    mark.unlink()
    opened = s2s.load(run, no_user_code=True)  # what evaluates and scores executes none
    assert opened.evaluate()["examples"] == 8
    with pytest.raises(s2s.UsageError, match=r"no_user_code=True: .* of task\.name="):
        opened.decode([1, 2])
    assert not mark.exists()


def test_a_file_of_ones_own_is_executed_without_a_word(made, command):
    run, _, mark = made
    done = command("decode", f"--workdir={run}", "1", "2")
    assert done.code == 0 and done.err == "" and mark.exists()


def test_nothing_else_executes_it(received, command, tmp_path):
    run, mark = received
    pairs, out = tmp_path / "pairs.jsonl", tmp_path / "out.safetensors"
    pairs.write_text(json.dumps({"input": [1, 2], "output": [1, 2, 1, 2]}))
    for words in (
        ["eval", "--json"],
        ["eval", "--no_user_code"],
        ["score", f"--from_file={pairs}"],
        ["export", f"--out={out}"],
        ["config show"],
        ["bench", "--strategy=greedy", "--batch_sizes=8", "--repeats=1"],
    ):
        done = command(*words[0].split(), f"--workdir={run}", *words[1:])
        assert done.code == 0, done.err
        assert "is executed" not in done.err and not mark.exists()


def test_beginning_with_its_parameters_does_not_execute_it(received, tmp_path):
    from s2sjax import config as configs
    from s2sjax.inference import load, weights

    run, mark = received
    wanted = load.open_trained(run).params
    weights.read_params(str(run), wanted)
    assert configs.is_user_code(load.open_trained(run).config.task.name)
    assert not mark.exists()


def test_a_config_that_came_in_a_folder_is_told_too(made, command, tmp_path):
    run, file, mark = made
    (tmp_path / "run").mkdir()
    shutil.copy(run / "config.json", tmp_path / "run")
    done = command("train", f"--workdir={tmp_path / 'run'}", "--no_user_code")
    assert done.code == 2 and not mark.exists()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]
    done = command("train", f"--workdir={tmp_path / 'run'}")
    assert done.code == 0 and f"{file} (SHA-256" in done.err and mark.exists()
    mark.unlink()


def test_a_sweep_is_refused_before_it_begins(made, command, tmp_path):
    _, file, mark = made
    config = tmp_path / "sweep.py"
    trial = {"task.name": f"{file}:twice"}
    config.write_text(
        f"from s2sjax.config import base_config as get_config\n"
        f"def sweep(config):\n    return [{trial!r}]\n"
    )
    words = (
        f"--config={config}",
        "--config.train.steps=2",
        f"--workdir={tmp_path / 'sweep'}",
    )
    done = command("sweep", *words, "--no_user_code")
    assert done.code == 2 and "--no_user_code: trial 0000" in done.err
    assert not mark.exists() and not (tmp_path / "sweep").exists()

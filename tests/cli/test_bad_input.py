"""What a person can get wrong: one clear line, exit code 2, and nothing damaged."""

import hashlib
import pathlib

import pytest

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "experiments"
REVERSED = f"--config={EXPERIMENTS / 'reversed.py'}:smoke"
PREFIX = f"--config={EXPERIMENTS / 'reversed_prefix.py'}:smoke"
TEXT = f"--config={EXPERIMENTS / 'fra_eng.py'}:smoke"
PARALLEL = f"--config={EXPERIMENTS / 'joeynmt_reverse.py'}:smoke"


def state(folder):
    """The content of every file below a folder."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(result, *words, code=2):
    """Checks that a command ended with one line that holds all the words."""
    assert result.code == code, result.err
    *notes, line = result.err.splitlines()
    assert all(note.startswith("XLA_FLAGS") for note in notes), result.err
    assert line.startswith("s2sjax: ")
    for word in words:
        assert word in line, line
    return line


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], ["no command", "train"]),
        (["trian"], ["trian", "train"]),
        (["train"], ["--workdir"]),
        (["train", "--workdir=W"], ["W", "--config"]),
        (["train", "--workdir=W", "--config=none.py"], ["none.py"]),
        (["train", "--workdir=W", REVERSED + "x"], ["smokex", "smoke"]),
        (["train", "--workdir=W", REVERSED, "--wrokdir=X"], ["wrokdir", "workdir"]),
    ],
)
def test_commands_and_flags(command, tmp_path, monkeypatch, argv, words):
    monkeypatch.chdir(tmp_path)
    refused(command(*argv), *words)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.unit=3", ["model.unit", "model.units"]),
        ("model.units=many", ["model.units", "many"]),
        ("model.units=0", ["model.units", "0", "at least 1"]),
        ("model.layers=-1", ["model.layers", "-1"]),
        ("task.length=0", ["task.length", "0", "at least 1"]),
        ("task.length=-3", ["task.length", "-3"]),
        ("task.min_length=11", ["task.min_length", "11", "task.length"]),
        ("model.cell=lsmt", ["model.cell", "lsmt", "lstm"]),
        ("model.attention=bahdanu", ["bahdanu", "bahdanau"]),
        ("model.dropout_output=1.5", ["model.dropout_output", "1.5"]),
        ("train.optimizer=adan:b7=1", ["b7"]),
        ("train.optimizer=adamm", ["train.optimizer", "adamm", "adam"]),
        ("train.schedule=cosin", ["train.schedule", "cosin", "cosine"]),
        ("train.learning_rate=nan", ["train.learning_rate", "nan"]),
        ("train.epochs=2", ["train.steps", "train.epochs"]),
        ("train.steps=0", ["train.steps"]),
        ("decode.strategy=greedi", ["decod", "greedi", "greedy"]),
        ("task.name=reverse", ["task", "reverse", "reversed"]),
        ("task.name=nowhere.py:f", ["nowhere.py"]),
        ("task.prefix=2", ["task.prefix", "reversed"]),
        ("task.path=x.tsv", ["task.path", "reversed"]),
        ("task.cardinality=0", ["task.cardinality"]),
    ],
)
def test_fields(command, tmp_path, override, words):
    workdir = tmp_path / "run"
    result = command("train", REVERSED, f"--config.{override}", f"--workdir={workdir}")
    refused(result, *words)
    assert not any(tmp_path.iterdir())


def test_a_prefix_longer_than_the_source(command, tmp_path):
    result = command(
        "train", PREFIX, "--config.task.prefix=7", f"--workdir={tmp_path / 'run'}"
    )
    refused(result, "prefix", "7", "6")
    assert not any(tmp_path.iterdir())


def test_overrides_before_the_config(command, tmp_path):
    result = command(
        "train", "--config.model.units=4", REVERSED, f"--workdir={tmp_path / 'run'}"
    )
    refused(result, "--config", "before")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["pairs.tsv"]),
        (b"", ["empty"]),
        (b"a\tb\n\xff\xfe\tc\n", ["pairs.tsv", "2"]),
        (b"a\tb\nno tab here\n", ["pairs.tsv:2", "tab"]),
    ],
)
def test_corpora(command, tmp_path, content, words):
    pairs = tmp_path / "pairs.tsv"
    if content is not None:
        pairs.write_bytes(content)
    before = state(tmp_path)
    path = f"--config.task.path={pairs}"
    refused(command("train", TEXT, path, f"--workdir={tmp_path / 'run'}"), *words)
    assert state(tmp_path) == before and not (tmp_path / "run").exists()


def test_parallel_files_of_different_lengths(command, tmp_path):
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.src").write_text("1 2\n3 4\n")
        (tmp_path / f"{split}.trg").write_text("2 1\n" * (1 + (split != "dev")))
    path = f"--config.task.path={tmp_path}"
    workdir = tmp_path / "run"
    refused(command("train", PARALLEL, path, f"--workdir={workdir}"), "dev", "2", "1")
    assert not workdir.exists()


def test_directories_that_are_no_runs(command, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    before = state(tmp_path)
    refused(command("train", REVERSED, f"--workdir={tmp_path}"), "mine.txt")
    file = tmp_path / "mine.txt"
    for name in ("eval", "decode"):
        words = ["1"] if name == "decode" else []
        refused(command(name, f"--workdir={tmp_path}", *words), "not a run")
        refused(command(name, f"--workdir={file}", *words), "mine.txt")
        refused(command(name, f"--workdir={tmp_path / 'no'}", *words), "does not exist")
    assert state(tmp_path) == before


def test_another_config(command, integers):
    before = state(integers)
    result = command(
        "train", REVERSED, "--config.model.units=9", f"--workdir={integers}"
    )
    refused(result, "model.units: 8 here, 9 asked")
    after = state(integers)
    assert {p: after[p] for p in before if p.name != "lock"} == {
        p: h for p, h in before.items() if p.name != "lock"
    }


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["eval", "--split=dev"], ["dev", "test"]),
        (["eval", "--decode=beem"], ["beem", "greedy"]),
        (["eval", "--decode=greedy:size=3"], ["size"]),
        (["eval", "--examples=0"], ["examples", "0"]),
        (["eval", "--split=train"], ["endless", "--examples"]),
        (["eval", "--checkpoint=first"], ["first", "best"]),
        (["eval", "--checkpoint=77"], ["77", "10"]),
        (["decode"], ["SYMBOLS", "--from_file"]),
        (["decode", "1", "2", "17"], ["17", "0 to 9"]),
        (["decode", "one"], ["one"]),
        (["decode", "-3"], ["-3", "0 to 9"]),
        (["decode", "1", "--from_file=x"], ["both"]),
        (["decode", "--from_file=missing.txt"], ["missing.txt"]),
        (["decode", "1", "--attention=a.gif"], ["a.gif", ".png or .pdf or .svg"]),
        (["decode", "1", "--panels=0"], ["--panels", "0"]),
        (["bench", "--format=jpg"], ["--format", "jpg", "pdf, png, svg"]),
        (["decode", "1", "--attention=/no/such/a.png"], ["no such folder"]),
        (["decode", "1", "--states=a.txt"], [".npz"]),
        (["export", "--out=a.bin"], [".safetensors"]),
        (["export"], ["--out"]),
    ],
)
def test_reading_a_run(command, integers, argv, words):
    before = state(integers)
    refused(command(argv[0], f"--workdir={integers}", *argv[1:]), *words)
    assert state(integers) == before


def test_no_attention_to_draw(command, text, tmp_path):
    result = command(
        "decode", f"--workdir={text}", f"--attention={tmp_path / 'a.png'}", "Hi Tom."
    )
    refused(result, "attention")


def test_init_from_something_that_does_not_fit(command, text, tmp_path):
    for source, words in (
        (text, ["--init_from", "needs"]),
        (tmp_path / "none.safetensors", ["none.safetensors"]),
    ):
        workdir = tmp_path / "run"
        result = command(
            "train", REVERSED, f"--workdir={workdir}", f"--init_from={source}"
        )
        refused(result, *words)
        assert not workdir.exists()

"""What a person can get wrong: one clear line, exit code 2, and nothing damaged."""

import hashlib
import json
import pathlib
import struct

import pytest

from s2sjax import cli

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
        ("model.units=0", ["model.units", "0", "from 1"]),
        ("model.layers=-1", ["model.layers", "-1"]),
        ("task.length=0", ["task.length", "0", "from 1"]),
        ("task.length=-3", ["task.length", "-3"]),
        ("task.min_length=11", ["task.min_length", "11", "task.length"]),
        ("model.cell=lsmt", ["model.cell", "lsmt", "lstm"]),
        ("model.attention=bahdanu", ["model.attention", "bahdanu", "bahdanau"]),
        ("model.attention=multi_head:head=2", ["model.attention", "head", "heads"]),
        ("model.attention=multi_head:heads=7", ["units do not divide", "heads=7"]),
        ("model.context=feeding", ["model.context", "feeding", "input_feeding"]),
        ("model.dropout_output=1.5", ["model.dropout_output", "1.5"]),
        ("train.optimizer=adan:b7=1", ["b7"]),
        ("train.optimizer=adamm", ["train.optimizer", "adamm", "adam"]),
        ("train.schedule=cosin", ["train.schedule", "cosin", "cosine"]),
        ("train.learning_rate=nan", ["train.learning_rate", "nan"]),
        ("train.epochs=0", ["train.epochs", "0", "from 1"]),
        ("train.steps=0", ["train.steps"]),
        ("decode.strategy=greedi", ["decod", "greedi", "greedy"]),
        ("task.name=reverse", ["task", "reverse", "reversed"]),
        ("task.name=nowhere.py:f", ["nowhere.py"]),
        ("task.prefix=2", ["task.prefix", "reversed"]),
        ("task.path=x.tsv", ["task.path", "reversed"]),
        ("task.cardinality=0", ["task.cardinality"]),
        ("train.metric=bleu", ["train.metric=bleu", "reversed", "train.metric=wer"]),
        ("train.metric=rouge", ["train.metric", "rouge", "bleu"]),
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


def test_what_is_near_is_named(command, tmp_path, integers, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pairs.tsv").write_text("a\tb\n")
    monkeypatch.chdir(tmp_path)
    workdir = "--workdir=run"
    # A relative path is absolute from there on, in what is said too.
    path = "--config.task.path=dat/pairs.tsv"
    said = f"{tmp_path}/dat/pairs.tsv does not exist (did you mean '{tmp_path}/data/"
    refused(command("train", TEXT, path, workdir), said)
    beside = integers.parent
    for source, said in (
        (beside / "rum", f"did you mean '{integers}'"),
        (beside, f"--init_from={beside} holds runs, e.g. {integers}"),
    ):
        refused(command("train", REVERSED, workdir, f"--init_from={source}"), said)
    refused(command("eval", f"--workdir={beside / 'rum'}"), f"mean '{integers}'")
    inputs = (f"--workdir={integers}", "--from_file=data/pair.tsv")
    refused(command("decode", *inputs), "did you mean 'data/pairs.tsv'")
    report = command("report", f"--workdir={integers}", "--metric=nll")
    refused(report, "--metric is for a sweep, and --workdir=")
    refused(command("sweep", f"--workdir={integers}"), "is not a sweep but a run")


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
        (["eval", "--split=tset"], ["split 'tset'", "dev", "val"]),
        (["eval", "--strategy=beem"], ["beem", "greedy"]),
        (["eval", "--strategy=greedy:size=3"], ["size"]),
        (["eval", "--examples=0"], ["examples", "0"]),
        (["eval", "--wrong"], ["--wrong", "--predictions"]),
        (["eval", "--predictions=a.json"], ["a.json", ".jsonl"]),
        (["eval", "--predictions=/no/such/a.jsonl"], ["no such folder"]),
        (["bench", "--split=tset"], ["split 'tset'", "dev", "val"]),
        (["eval", "--checkpoint=first"], ["first", "best"]),
        (["eval", "--checkpoint=77"], ["77", "10"]),
        (["decode"], ["SYMBOLS", "--from_file"]),
        (["decode", "1", "2", "17"], ["17", "0 to 9"]),
        (["decode", "one"], ["one"]),
        (["decode", "-3"], ["-3", "0 to 9"]),
        (["decode", "1", "--from_file=x"], ["both"]),
        (["decode", "--from_file=missing.txt"], ["missing.txt"]),
        (["decode", "1", "--split=test"], ["--split=NAME", "both"]),
        (["decode", "--split=tset"], ["split 'tset'", "dev", "val"]),
        (["decode", "--split=train"], ["endless", "--examples=N"]),
        (["decode", "1", "--examples=3"], ["--examples=3", "--split"]),
        (["eval", "--picture=a.gif"], ["a.gif", ".png or .pdf or .svg"]),
        (["decode", "1", "--attention=a.gif"], ["a.gif", ".png or .pdf or .svg"]),
        (["decode", "1", "--attention=-"], ["--attention=-", "--json"]),
        (["decode", "1", "--panels=0"], ["--panels", "0"]),
        (["bench", "--format=jpg"], ["--format", "jpg", "pdf, png, svg"]),
        (["decode", "1", "--attention=/no/such/a.png"], ["no such folder"]),
        (["decode", "1", "--states=a.txt"], [".npz"]),
        (["export", "--out=a.bin"], [".safetensors"]),
        (["export", "--out=/no/such/a.safetensors"], ["--out", "no such folder"]),
        (["export"], ["--out"]),
        (["export", "--out=a", "--format=onnx"], ["format 'onnx'", "stablehlo"]),
        (["export", "--out=a.safetensors", "--width=3"], ["--width=3", "--format"]),
        (["export", "--out=.", "--format=stablehlo"], ["--out=.", "already"]),
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


@pytest.mark.parametrize(
    ("header", "size", "words"),
    [
        ({"a": ("F8_E4M3", [2])}, 2, ["a is of the type F8_E4M3", "F32"]),
        ({"a": ("BF16", [2])}, 4, ["a is of the type BF16"]),
        ({"a": ("F32", [2])}, 8, ["has a, which this model has not"]),
        ({"a": ("F32", [2])}, 7, ["not a safetensors file"]),
        ({"a": ("X", [2])}, 8, ["not a safetensors file"]),
        ({"a": ("F32", [2**40, 2**40])}, 8, ["not a safetensors file"]),
        (None, 8, ["not a safetensors file"]),
    ],
)
def test_init_from_another_kind_of_file(command, tmp_path, header, size, words):
    path = tmp_path / "odd.safetensors"
    if header is None:
        path.write_bytes(bytes(size))
    else:
        (kind, shape) = header["a"]
        entry = {"dtype": kind, "shape": shape, "data_offsets": [0, size]}
        text = json.dumps({"a": entry}).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    workdir = tmp_path / "run"
    result = command("train", REVERSED, f"--workdir={workdir}", f"--init_from={path}")
    refused(result, "--init_from", *words)
    assert not workdir.exists()


def test_a_run_that_user_code_keeps_from_beginning_leaves_nothing(command, tmp_path):
    pattern = tmp_path / "mine.py"
    for code in ("raise GeneratorExit", "class E(BaseException):\n  pass\n raise E"):
        pattern.write_text(f"def f(x):\n {code}\n")
        name = f"--config.task.name={pattern}:f"
        workdir = tmp_path / "run"
        refused(command("train", REVERSED, name, f"--workdir={workdir}"), "mine.py:")
        assert not workdir.exists()


def test_an_interruption_before_a_run_begins_leaves_nothing(command, tmp_path):
    pattern = tmp_path / "mine.py"
    pattern.write_text("def f(x):\n raise KeyboardInterrupt\n")
    workdir = tmp_path / "run"
    name = f"--config.task.name={pattern}:f"
    assert command("train", REVERSED, name, f"--workdir={workdir}").code == 130
    assert not workdir.exists()


def test_all_that_is_wrong_is_told_a_line_each(command, tmp_path):
    pairs, workdir = tmp_path / "none.tsv", tmp_path / "run"
    wrong = {
        "train.optimizer": "adamm",
        "train.schedule": "constant:warmup=-1",
        "decode.strategy": "beam:size=1e9",
        "task.path": pairs,
    }
    words = [f"--config.{name}={value}" for name, value in wrong.items()]
    result = command("train", TEXT, *words, f"--workdir={workdir}")
    lines = result.err.splitlines()
    assert result.code == 2 and len(lines) == len(wrong), result.err
    assert all(line.startswith("s2sjax: ") for line in lines)
    for word in ("adamm", "warmup=-1", "size=1000000000", f"{pairs} does not exist"):
        assert any(word in line for line in lines), word
    assert not workdir.exists()


def test_a_choice_of_the_command_line_is_noted(command):
    epochs = "--config.train.epochs=3"
    result = command("config", "show", TEXT, epochs, "--json")
    assert json.loads(result.out)["train.steps"]["value"] is None
    assert result.err.startswith(f"{epochs} wins over train.steps=")


def test_long_words_come_back_cut(command, tmp_path):
    word = "x" * 5000
    for argv in (
        ["train", f"--workdir={tmp_path / 'run'}", f"--config={word}"],
        ["train", REVERSED, f"--workdir={word}"],
        ["train", f"--workdir={tmp_path / 'run'}", REVERSED, f"--config.{word}=3"],
        ["train", f"--workdir={tmp_path / 'run'}", REVERSED, f"--config.seed={word}"],
        ["train", f"--workdir={tmp_path / 'run'}", REVERSED, f"--{word}=3"],
        ["decode", "--workdir=none", f"--strategy={word}", "1"],
        [word],
    ):
        result = command(*argv)
        assert result.code == 2 and len(result.err) < 1500, result.err
        assert result.err.count("\n") <= 2
    assert not any(tmp_path.iterdir())


def test_control_characters_come_back_as_codes(command, tmp_path):
    word = "a\x1b[31m\x07\u202eb"
    for argv in (
        ["train", f"--workdir={tmp_path / 'run'}", REVERSED, f"--config.seed={word}"],
        ["train", f"--workdir={tmp_path / 'run'}", f"--config={word}"],
        ["train", f"--workdir={tmp_path / word}"],
        ["decode", f"--workdir={word}", "1"],
        [word],
    ):
        result = command(*argv)
        assert result.code == 2 and r"a\x1b[31m\x07\u202eb" in result.err, result.err
        assert not set(result.err) & set("\x1b\x07\u202e")


def test_memory_that_runs_out_names_what_to_lower(command, integers):
    result = command(
        *("decode", f"--workdir={integers}", "--strategy=beam:size=1000000", "1", "2")
    )
    line = refused(result, "out of memory; lower size or n", code=1)
    assert "decode.batch_size" in line and "allocating" in line


@pytest.mark.parametrize("name", ["train", "eval", "bench", "sweep", "score", "decode"])
def test_memory_of_every_command(command, monkeypatch, tmp_path, name):
    class JaxRuntimeError(RuntimeError):
        pass

    def fails(parsed):
        raise JaxRuntimeError("RESOURCE_EXHAUSTED: a buffer\nand a trace")

    def has_none(parsed):
        raise MemoryError

    words = ["--from_file=x"] if name == "score" else []
    for main, told in ((fails, "(RESOURCE_EXHAUSTED: a buffer)"), (has_none, "Memory")):
        monkeypatch.setitem(cli.RUNS, name, main)
        result = command(name, f"--workdir={tmp_path}", *words)
        line = refused(result, "out of memory; lower ", told, code=1)
        assert "size" in line


def test_a_model_larger_than_the_machine_is_not_begun(command, tmp_path):
    workdir = tmp_path / "run"
    units = "--config.model.units=1000000"
    result = command("train", REVERSED, units, f"--workdir={workdir}")
    refused(result, "model.units=1000000", "GiB", "lower")
    assert not workdir.exists()

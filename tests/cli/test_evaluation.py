"""`eval`: splits by every name, predictions one by one, errors by position."""

import json
import os
import pathlib
import re
import shutil
from collections import Counter

import pytest

from s2sjax import json_objects
from tests import oracles

FIELDS = [
    *("source", "output", "reference", "references", "lengths"),
    *("right", "edits", "truncated"),
    *("score", "logprob", "reference_logprob"),
]


def evaluated(command, run, *arguments):
    result = command("eval", f"--workdir={run}", "--json", *arguments)
    assert result.code == 0, result.err
    return json.loads(result.out)


def predicted(command, run, file, *arguments):
    """The evaluation, and the lines of its predictions."""
    found = evaluated(command, run, f"--predictions={file}", *arguments)
    content = file.read_text(encoding="ascii")
    return found, [json.loads(line) for line in content.splitlines()]


def symbols_of(sequence):
    """The symbols of a text, or of a list."""
    text = isinstance(sequence, str)
    return tuple(re.findall("<unk>|.", sequence) if text else sequence)


def badness(row):
    """Larger is worse, as the docs define it."""
    rate = row["edits"] / max(len(symbols_of(row["reference"])), 1)
    surest = -row["logprob"] if row["right"] else row["logprob"]
    return (not row["right"], rate, surest)


@pytest.mark.parametrize("kind", ["integers", "text"])
def test_predictions_are_those_of_the_evaluation_worst_first(
    command, request, tmp_path, kind
):
    run, file = request.getfixturevalue(kind), tmp_path / "all.jsonl"
    found, rows = predicted(command, run, file, "--examples=12")
    count = found["examples"]
    assert len(rows) == count
    assert rows == sorted(rows, key=badness, reverse=True)
    symbols = sum(len(symbols_of(row["reference"])) for row in rows)
    assert sum(row["right"] for row in rows) / count == found["exact"]
    edits = sum(row["edits"] for row in rows)
    assert edits / symbols == pytest.approx(found["edit_distance"])
    nll = -sum(row["reference_logprob"] for row in rows) / (symbols + count)
    assert nll == pytest.approx(found["nll"], rel=1e-5)
    for row in rows:
        assert list(row) == FIELDS
        assert row["references"] == [row["reference"]]
        assert row["lengths"] == [len(symbols_of(row["reference"]))]
        wanted = [None if s == "<unk>" else s for s in symbols_of(row["reference"])]
        output = symbols_of(row["output"])
        assert row["edits"] == oracles.edit_distance(output, tuple(wanted))
        right = row["output"] == row["reference"] and not row["truncated"]
        assert row["right"] == right
        if kind == "integers":
            assert row["reference"] == row["source"][::-1]
        else:
            assert row["reference"] == f"Salut {row['source'][3:-1]} !"
    _, wrong = predicted(command, run, file, "--examples=12", "--wrong")
    assert wrong == [row | {"only_wrong": True} for row in rows if not row["right"]]


def test_predictions_say_what_decode_says(command, integers, tmp_path):
    spec = "--strategy=beam:size=3,alpha=1"
    file = tmp_path / "some.jsonl"
    _, rows = predicted(command, integers, file, "--examples=5", spec)
    (tmp_path / "inputs.json").write_text(json.dumps([row["source"] for row in rows]))
    inputs = f"--from_file={tmp_path / 'inputs.json'}"
    decoded = command("decode", f"--workdir={integers}", "--json", spec, inputs)
    for row, line in zip(rows, decoded.out.splitlines(), strict=True):
        same = json.loads(line)
        assert row["output"] == same["output"]
        assert row["truncated"] == same["truncated"]
        for number in ("score", "logprob"):
            assert row[number] == pytest.approx(same[number], rel=1e-4)


def test_predictions_that_cannot_be_written_are_refused_first(
    command, integers, tmp_path, monkeypatch
):
    (tmp_path / "a.jsonl").mkdir()
    file = f"--predictions={tmp_path / 'a.jsonl'}"
    result = command("eval", f"--workdir={integers}", file)
    assert result.code == 2 and result.err == f"s2sjax: {file}: this is a folder\n"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    file = f"--predictions={tmp_path / 'b.jsonl'}"
    result = command("eval", f"--workdir={integers}", file)
    assert result.code == 2 and f"{file}: its folder cannot be written" in result.err
    monkeypatch.undo()
    monkeypatch.setattr(os, "replace", lambda *names: no_space())
    result = command("eval", f"--workdir={integers}", file)
    assert result.code == 1 and f"{file}: No space left" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def no_space():
    raise OSError(28, "No space left on device")


def test_every_position_of_the_references_is_counted(command, integers, tmp_path):
    found, rows = predicted(command, integers, tmp_path / "rows.jsonl")
    longest = max(len(row["reference"]) for row in rows)
    assert list(found["by_position"]) == [str(p + 1) for p in range(longest)]
    for place in range(longest):
        there = [row for row in rows if len(row["reference"]) > place]
        right = sum(
            row["output"][place : place + 1] == [row["reference"][place]]
            for row in there
        )
        counted = found["by_position"][str(place + 1)]
        assert counted["count"] == len(there)
        assert counted["accuracy"] == pytest.approx(right / len(there))
    shown = command("eval", f"--workdir={integers}")
    assert "Token accuracy by position in the reference" in shown.out


def test_a_split_has_several_names(command, integers, tmp_path):
    valid, dev, val = (
        evaluated(command, integers, f"--split={name}")
        for name in ("valid", "dev", "val")
    )
    assert valid == dev == val and valid["split"] == "valid"
    bench = ("--strategy=greedy", "--batch_sizes=8", "--examples=8", "--repeats=1")
    result = command(
        *("bench", f"--workdir={integers}", *bench, "--split=val", "--json"),
        f"--out={tmp_path}",
    )
    assert json.loads(result.out)["plan"]["split"] == "valid"


def test_a_sample_of_an_endless_training_set(command, integers):
    found = evaluated(command, integers, "--split=train", "--examples=40")
    assert found["examples"] == 40 and found["unseen"] == 0  # the first that were drawn
    assert found == evaluated(command, integers, "--split=train", "--examples=40")
    refused = command("eval", f"--workdir={integers}", "--split=train", "--seed=3")
    assert refused.code == 2 and "--seed=3" in refused.err


def test_a_sample_of_a_training_set_in_a_file(command, text, tmp_path):
    config = json.loads((text / "config.json").read_text())
    lines = pathlib.Path(config["task"]["path"]).read_text("utf-8").splitlines()
    pairs = dict(line.split("\t") for line in lines)
    arguments = ("--split=train", "--examples=7")
    found, rows = predicted(command, text, tmp_path / "rows.jsonl", *arguments)
    assert found["examples"] == 7 and found["unseen"] == 0
    assert all(pairs[row["source"]] == row["reference"] for row in rows)
    _, fewer = predicted(
        command, text, tmp_path / "rows.jsonl", "--split=train", "--examples=4"
    )
    sources = {row["source"] for row in rows}
    assert {row["source"] for row in fewer} < sources
    every, rows = predicted(command, text, tmp_path / "rows.jsonl", "--split=train")
    trained = {row["source"] for row in rows}
    assert sources != set([source for source in pairs if source in trained][:7])
    held = sum(evaluated(command, text, f"--split={s}")["examples"] for s in HELD)
    assert every["examples"] == len(pairs) - held
    assert every["decode"] == "greedy" and every["split"] == "train"
    # Beside them stands how far one comes on training without a model.
    targets = Counter(pairs[source] for source in trained)
    often = targets.most_common(1)[0][1] / len(trained)
    assert every["baselines"]["most_frequent"]["exact"] == pytest.approx(often)
    assert set(every["baselines"]) == {"most_frequent", "copy", "unigram", "bigram"}


HELD = ("valid", "test")


def test_without_its_files_a_run_does_all_but_train(command, text, tmp_path):
    config = json.loads((text / "config.json").read_text())
    path = config["task"]["path"]
    before = command("eval", f"--workdir={text}", "--split=train", "--json")
    os.rename(path, f"{path}.away")
    bench = ("--strategy=greedy", "--batch_sizes=2", f"--out={tmp_path}")
    try:
        found = command("eval", f"--workdir={text}", "--split=train", "--json")
        measured = command("bench", f"--workdir={text}", "--split=train", *bench)
        finished = command("train", f"--workdir={text}")
        # A run of before kept no training pairs.
        run = shutil.copytree(text, tmp_path / "run")
        about = json_objects.read(run / "data" / "about.json", dict)
        files = {k: v for k, v in about["files"].items() if "train_" not in k}
        whole = json_objects.encode(about | {"files": files})
        (run / "data" / "about.json").write_text(whole)
        refused = command("eval", f"--workdir={run}", "--split=train")
    finally:
        os.rename(f"{path}.away", path)
    assert found.code == measured.code == 0 and found.out == before.out
    assert refused.code == 2 and refused.err.count("\n") == 1
    assert refused.err.startswith(f"s2sjax: --split=train: {path} does not exist; wh")
    # A run that needs no more training needs no training examples.
    assert finished.code == 0 and "all steps are done" in finished.out
    assert "best checkpoint" in finished.out and "\n\n\n" not in finished.out


def test_a_best_checkpoint_that_is_gone_is_told(command, integers, tmp_path):
    run = shutil.copytree(integers, tmp_path / "run")
    words = ("export", f"--workdir={run}", f"--out={tmp_path / 'out.safetensors'}")
    assert command(*words).err == ""
    best = json.loads((run / "test.json").read_text())["step"]
    shutil.rmtree(run / "checkpoints" / str(best))
    done = command(*words)
    assert done.code == 0 and f"of step {best}" not in done.out
    assert f"checkpoint {best}, the best when training ended, is gone" in done.err

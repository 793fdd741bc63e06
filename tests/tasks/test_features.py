"""Features beside a source, from the file to the picture of attention; EOS after it."""

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import s2sjax as s2s
from s2sjax import tasks
from s2sjax.cli import main
from s2sjax.config import base_config, resolve
from s2sjax.errors import UsageError
from s2sjax.inference import predict
from s2sjax.inference.predict import Query
from s2sjax.tasks.levels import Feature
from s2sjax.tasks.task import decode_source, encode_source
from s2sjax.types import EOS, SYMBOLS

TAGS = ("V;PST", "N PL", "V")


def lines(number: int) -> list[str]:
    words = [f"{'abc'[n % 3]}{'de'[n % 2]}{'abc'[n % 5 % 3]}" for n in range(number)]
    return [f"{word}\t{word}{n % 3}\t{TAGS[n % 3]}" for n, word in enumerate(words)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    (folder / "train.tsv").write_text("\n".join(lines(60)))
    (folder / "test.tsv").write_text("\n".join([*lines(6), "ab\tx\tV;DU"]))
    return folder


def config(folder: Path, **fields: Any) -> Any:
    made = base_config()
    made.task.name, made.task.features = "text", "3"
    made.task.train = str(folder / "train.tsv")
    made.task.test = str(folder / "test.tsv")
    made.model.cell, made.model.units, made.model.embedding = "gru", 4, 3
    made.model.attention = "bahdanau:units=3"
    made.train.steps = made.train.eval_every = made.train.save_every = 2
    made.train.batch_size = 8
    for name, value in fields.items():
        setattr(made.task, name, value)
    return made


@pytest.fixture(scope="module")
def run(folder: Path) -> s2s.Run:
    made = config(folder, reverse_source=True, source_eos=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes on the data, of which others ask
        return s2s.train(made, folder / "run", verbose=False)


def test_features_stand_before_each_source(folder: Path) -> None:
    task = tasks.create(resolve(config(folder)), None)
    vocabulary = task.source_vocabulary
    assert vocabulary.features == ("V", "N", "PL", "PST")  # by count, then by name
    assert len(vocabulary) == SYMBOLS + len(vocabulary.symbols) + 5
    assert not task.target_vocabulary.features
    (bucket,) = task.buckets["test"]
    batch = jax.device_get(bucket.fetch(bucket.store, np.arange(7)))
    found = {
        int(number): vocabulary.join(decode_source(task, row[:length].tolist()))
        for number, row, length in zip(
            batch.ids, batch.source, batch.source_lengths, strict=True
        )
    }
    assert found[60] == "[V] [PST] ada" and found[61] == "[N] [PL] beb"
    assert found[66] == "[V] [<unk>] ab"
    assert [note for note in task.notes if note.startswith("1 features of validation")]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_source_ends_with_eos(folder: Path, backwards: bool) -> None:
    fields = {"reverse_source": backwards, "source_eos": True}
    task = tasks.create(resolve(config(folder, **fields)), None)
    plain = dataclasses.replace(task, source_eos=False)
    for bucket in task.buckets["train"]:
        batch = jax.device_get(bucket.fetch(bucket.store, np.arange(bucket.size or 0)))
        assert batch.source.shape[1] == bucket.source_width
        rows = [
            row[:length].tolist()
            for row, length in zip(batch.source, batch.source_lengths, strict=True)
        ]
        assert task.unseen(rows, 1) == 0
        for row in rows:
            assert row[-1] == EOS and EOS not in row[:-1]
            symbols = decode_source(task, row)
            assert isinstance(symbols[0], Feature)
            assert encode_source(task, symbols)[0] == row
            assert encode_source(plain, symbols)[0] == row[:-1]
    assert task.unseen([[SYMBOLS, EOS]], 1) == 1


def test_an_input_has_its_features(run: s2s.Run) -> None:
    one = run.decode("ada", features="V;PST")
    again = run.decode("ada", features=["V", "PST"])
    assert one.input == ["a", "d", "a"] and one.features == ("V", "PST")
    ids, _ = encode_source(run.task, [Feature("V"), Feature("PST"), *"ada"])
    ((best,),) = predict.predict(run.trained.system, [Query(ids)])
    assert one.best.logprob == again.best.logprob == best.logprob
    other = run.decode("ada", features="N")
    assert other.best.logprob != one.best.logprob
    both = run.decode(["ada", "ada"], features=["V;PST", ["N"]])
    assert [each.features for each in both] == [("V", "PST"), ("N",)]
    assert both[1].best.logprob == pytest.approx(other.best.logprob, abs=1e-5)
    assert [each.features for each in run.decode(["a", "b"], features="V")] == [
        ("V",),
        ("V",),
    ]
    tokens = run.score("ada", one.output, features="V;PST").token_logprobs
    total = tokens[: len(one.output) + (not one.best.truncated)].sum()
    assert total == pytest.approx(one.best.logprob, abs=1e-5)


def test_what_is_strange_about_features_is_told(run: s2s.Run) -> None:
    with pytest.warns(UserWarning, match="features that training had not, .*: DU, X$"):
        run.decode("ada", features="DU;X")
    with pytest.warns(UserWarning, match="1 of 2 inputs have no features, and sources"):
        run.decode(["ada", "ada"], features=["V", ()])
    with pytest.raises(UsageError, match="inputs has 2 rows and features 1"):
        run.decode(["ada", "ada"], features=["V"])
    with pytest.raises(UsageError, match="features is 3; features are a text"):
        run.decode("ada", features=3)


def test_features_of_a_task_without_any_are_refused(run: s2s.Run) -> None:
    bare = dataclasses.replace(run.task.source_vocabulary, features=())
    task = dataclasses.replace(run.task, source_vocabulary=bare)
    with pytest.raises(UsageError, match="features V, PST mean nothing to this task"):
        encode_source(task, "ada", ("V", "PST"))


def test_an_evaluation_has_numbers_by_feature(run: s2s.Run) -> None:
    found = run.evaluate("test", predictions=True)
    by_feature = found["by_feature"]
    counts = {"V": 5, "PST": 2, "N": 2, "PL": 2, "<unk>": 1}
    assert {name: row["count"] for name, row in by_feature.items()} == counts
    assert next(iter(by_feature)) == "V"
    of_verbs = [row for row in found["predictions"] if "V" in row["features"]]
    right = sum(row["right"] for row in of_verbs) / len(of_verbs)
    assert by_feature["V"]["exact"] == right and len(of_verbs) == 5


def test_looking_at_data_tells_features_from_symbols(folder: Path) -> None:
    found = s2s.data(config(folder))["vocabulary"]["source"]
    assert (found["symbols"], found["features"]) == (5, 4)
    assert {symbol for symbol, _ in found["rarest"]} == set("abcde")


def test_attention_is_labelled_in_the_order_of_reading(run: s2s.Run) -> None:
    one = run.decode("ab", features="V;PST", attention=True)
    assert one.attention is not None
    assert one.attention.source == ["[V]", "[PST]", "a", "b", "<eos>"]
    ids, _ = encode_source(run.task, [Feature("V"), Feature("PST"), *"ab"])
    ((best,),) = predict.predict(run.trained.system, [Query(ids)], attention=True)
    assert best.attention is not None
    order = [3, 2, 1, 0, 4]  # the encoder read "ba", the tags backwards, and EOS
    assert one.attention.weights.tolist() == best.attention[:, order].tolist()
    memory = run.states([one])["memory_0"]
    assert len(memory) == 5


@pytest.mark.filterwarnings("ignore")
def test_commands_take_and_give_features(
    run: s2s.Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    workdir = f"--workdir={run.path}"
    capsys.readouterr()
    assert main(["decode", workdir, "--features=V;PST", "--json", "ada", "bd"]) == 0
    written = capsys.readouterr().out
    first, second = map(json.loads, written.splitlines())
    assert first["features"] == ["V", "PST"] and first["input"] == ["a", "d", "a"]
    again = tmp_path / "again.jsonl"
    again.write_text(written)
    assert main(["decode", workdir, f"--from_file={again}", "--json"]) == 0
    assert capsys.readouterr().out == written
    assert main(["score", workdir, f"--from_file={again}", "--json"]) == 0
    scored = json.loads(capsys.readouterr().out.splitlines()[1])
    assert scored["features"] == ["V", "PST"]
    written = second["token_logprobs"]
    assert scored["token_logprobs"][: len(written)] == pytest.approx(written, abs=1e-5)
    assert main(["decode", workdir, "--features=V", "ada"]) == 0
    assert "features  V\n" in capsys.readouterr().out
    assert main(["decode", workdir, "--features=V", f"--from_file={again}"]) == 2
    assert "--features=V is of SYMBOLS" in capsys.readouterr().err
    again.write_text('{"input": "a", "features": 3}\n')
    assert main(["decode", workdir, f"--from_file={again}"]) == 2
    assert "again.jsonl:1: 'features' is 3; features are a" in capsys.readouterr().err

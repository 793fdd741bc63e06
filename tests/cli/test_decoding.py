"""Strategies, wishes, ensembles and scores on the command line."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from s2sjax.cli import main, runs

ROW = [3, 1, 4, 1, 5, 9]


def lines(result):
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def written(path, *objects):
    path.write_text("\n".join(json.dumps(each) for each in objects), encoding="utf-8")
    return f"--from_file={path}"


@pytest.fixture(scope="session")
def other_seed(integers, tmp_path_factory):
    """The same experiment with another seed: a second member."""
    workdir = tmp_path_factory.mktemp("other") / "run"
    config = json.loads((integers / "config.json").read_text())
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps({**config, "seed": 7}))
    assert main(["train", f"--workdir={workdir}"]) == 0
    return workdir


def test_an_nbest_list_best_first(command, integers):
    arguments = (
        "decode",
        f"--workdir={integers}",
        "--strategy=beam:size=4,n=3,alpha=1",
    )
    (line,) = lines(command(*arguments, "--json", *ROW))
    assert all(
        {"output", "score", "logprob", "truncated"} <= set(row) for row in line["nbest"]
    )
    scores = [row["score"] for row in line["nbest"]]
    assert scores == sorted(scores, reverse=True)
    assert {name: line[name] for name in line["nbest"][0]} == line["nbest"][0]
    for row in line["nbest"]:
        length = len(row["output"]) + (not row["truncated"])
        assert row["score"] == pytest.approx(row["logprob"] / length, rel=1e-5)
    arguments = ("decode", f"--workdir={integers}", "--strategy=sample:n=3,top_k=2")
    (line,) = lines(command(*arguments, "--json", *ROW))
    assert len(line["nbest"]) == 3
    shown = command(*arguments, *ROW)
    assert shown.out.count("output") == 3 and "score" in shown.out
    (greedy,) = lines(command("decode", f"--workdir={integers}", "--json", *ROW))
    assert "nbest" not in greedy


def test_wishes_are_met(command, integers, tmp_path):
    wishes = [
        {"input": ROW},
        {"input": ROW, "prefix": [7, 7]},
        {"input": ROW, "required": [8, [2, 2]], "banned": [9, 5]},
    ]
    given = written(tmp_path / "wishes.jsonl", *wishes)
    arguments = ("decode", f"--workdir={integers}", "--json", given)
    for spec in ("greedy", "beam:size=6", "sample:seed=3"):
        free, begun, held = lines(command(*arguments, f"--strategy={spec}"))
        assert begun["output"][:2] == [7, 7]
        assert not {9, 5} & set(held["output"])
        if not held["truncated"]:
            assert 8 in held["output"]
            pairs = zip(held["output"], held["output"][1:], strict=False)
            assert (2, 2) in pairs
        assert free["input"] == ROW


def test_a_score_is_the_log_probability_of_what_was_decoded(
    command, integers, tmp_path
):
    inputs = [ROW, [2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]
    given = written(tmp_path / "inputs.jsonl", *({"input": row} for row in inputs))
    workdir = f"--workdir={integers}"
    decoded = lines(
        command("decode", workdir, "--json", "--strategy=beam:size=3", given)
    )
    pairs = written(
        tmp_path / "pairs.jsonl",
        *({"input": row["input"], "output": row["output"]} for row in decoded),
    )
    scored = lines(command("score", workdir, "--json", pairs))
    for one, other in zip(decoded, scored, strict=True):
        assert other["output"] == one["output"]
        assert len(other["token_logprobs"]) == len(one["output"]) + 1
        assert sum(other["token_logprobs"]) == pytest.approx(other["logprob"], abs=1e-4)
        if not one["truncated"]:
            assert other["logprob"] == pytest.approx(one["logprob"], abs=1e-4)
    shown = command("score", workdir, pairs)
    assert shown.code == 0 and "<eos>" in shown.out


def test_weights_and_tokens_in_the_lines_of_json(
    command, integers, tmp_path, monkeypatch
):
    arguments = ("decode", f"--workdir={integers}", "--json", "--strategy=beam:size=3")
    result = command(*arguments, "--attention=-", *ROW)
    (line,) = lines(result)
    for row in line["nbest"]:
        length = len(row["output"]) + (not row["truncated"])
        assert len(row["token_logprobs"]) == len(row["attention"]) == length
        assert sum(row["token_logprobs"]) == pytest.approx(row["logprob"], abs=1e-4)
        for weights in row["attention"]:
            assert len(weights) == len(ROW)
            assert sum(weights) == pytest.approx(1, abs=1e-5)
    given = tmp_path / "again.jsonl"
    given.write_text(result.out)
    (scored,) = lines(
        command("score", f"--workdir={integers}", "--json", f"--from_file={given}")
    )
    length = len(line["token_logprobs"])
    same = pytest.approx(line["token_logprobs"], abs=1e-4)
    assert scored["token_logprobs"][:length] == same
    (plain,) = lines(command(*arguments, *ROW))
    assert "attention" not in plain and plain["output"] == line["output"]


def test_arrays_are_in_the_order_of_the_input(command, integers, tmp_path, monkeypatch):
    """An encoder that reads backwards says the same of an input that is turned."""
    open_all, found = runs.open_all, []
    for backwards, row in ((False, ROW), (True, ROW[::-1])):

        def opened(*arguments, backwards=backwards):
            run = open_all(*arguments)
            task = dataclasses.replace(run.task, reverse_source=backwards)
            return dataclasses.replace(run, trained=run.trained._replace(task=task))

        monkeypatch.setattr(runs, "open_all", opened)
        file = tmp_path / "s.npz"
        decode = ("decode", f"--workdir={integers}", "--json", "--attention=-")
        (line,) = lines(command(*decode, f"--states={file}", *row))
        with np.load(file, allow_pickle=False) as arrays:
            found.append(({name: arrays[name] for name in arrays}, line))
    (arrays, line), (turned, other) = found
    assert line["output"] == other["output"]
    length = len(line["token_logprobs"])
    assert {name: array.shape for name, array in arrays.items()} == {
        "memory_0": (6, 8),
        "attention_0": (length, 6),
        **{f"decoder_0_0_{part}": (length, 8) for part in "hc"},
        **{f"state_0_forward_{part}": (1, 8) for part in "hc"},
    }
    for name, array in arrays.items():
        its = turned[name]
        if name == "memory_0":
            its = its[::-1]
        if name == "attention_0":
            np.testing.assert_allclose(array, line["attention"], rtol=1e-6)
            np.testing.assert_allclose(its, other["attention"], rtol=1e-6)
            its = its[:, ::-1]
        np.testing.assert_allclose(array, its, rtol=1e-5, atol=1e-6)


def test_states_without_attention(command, text, tmp_path):
    file = tmp_path / "s.npz"
    inputs = ("Hi To.", "Hi Tomo.")
    decode = ("decode", f"--workdir={text}", "--json", f"--states={file}")
    rows = lines(command(*decode, *inputs))
    with np.load(file, allow_pickle=False) as arrays:
        shapes = {name: arrays[name].shape for name in arrays}
    expected = {f"state_0_forward_{part}": (2, 16) for part in "hc"}
    for place, row in enumerate(rows):
        expected[f"memory_{place}"] = (len(inputs[place]), 16)
        for part in "hc":
            length = len(row["token_logprobs"])
            expected[f"decoder_{place}_0_{part}"] = (length, 16)
    assert shapes == expected


def test_an_ensemble_of_one_run_with_itself_is_that_run(command, integers, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(integers, copied)
    alone = lines(command("decode", f"--workdir={integers}", "--json", *ROW))
    for how in ("probability", "logprob"):
        together = lines(
            command(
                "decode",
                f"--ensemble={integers},{copied}",
                f"--combine={how}",
                "--json",
                *ROW,
            )
        )
        assert together[0]["output"] == alone[0]["output"]
        assert together[0]["logprob"] == pytest.approx(alone[0]["logprob"], abs=1e-3)


def test_an_ensemble_scores_between_its_members(
    command, integers, other_seed, tmp_path
):
    pairs = written(tmp_path / "p.jsonl", {"input": ROW, "output": ROW[::-1]})
    members = [
        lines(command("score", f"--workdir={run}", "--json", pairs))[0]
        for run in (integers, other_seed)
    ]
    both = lines(
        command(
            "score",
            f"--workdir={integers}",
            f"--ensemble={other_seed}",
            "--json",
            pairs,
        )
    )[0]
    for one, other, mean in zip(
        *(member["token_logprobs"] for member in members),
        both["token_logprobs"],
        strict=True,
    ):
        assert min(one, other) - 1e-4 <= mean <= max(one, other) + 1e-4
    assert members[0]["logprob"] != members[1]["logprob"]
    result = command(
        "eval", f"--ensemble={integers},{other_seed}", "--examples=20", "--json"
    )
    assert json.loads(result.out)["examples"] == 20


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            {"input": ROW, "required": [99]},
            "symbol 99 is not among the integers 0 to 9",
        ),
        ({"input": ROW, "banned": [99]}, "symbol 99 is not among"),
        ({"input": ROW, "prefix": [10]}, "symbol 10 is not among"),
        ({"input": ROW, "prefix": [3], "banned": [3]}, "3 is banned and asked for"),
        ({"input": ROW, "required": [[3, 4]], "banned": [4]}, "4 is banned and asked"),
        ({"input": ROW, "required": [[]]}, "empty phrase"),
        ({"input": ROW, "required": 3}, "'required' is 3; it is a list"),
        ({"input": ROW, "prefix": [1] * 40}, "prefix of 40 symbols leaves no room"),
        ({"input": ROW, "required": [[1] * 40]}, "phrase of 40 symbols does not fit"),
        ({"input": ROW, "requird": [3]}, "did you mean 'required'"),
        ({"prefix": [3]}, "has no field 'input'"),
        ({"input": {"a": 1}}, "'input' is {'a': 1}; it is a text or a list of"),
    ],
)
def test_wishes_that_cannot_be_met(command, integers, tmp_path, line, said):
    given = written(tmp_path / "wishes.jsonl", {"input": ROW}, line)
    result = command("decode", f"--workdir={integers}", given)
    assert result.code == 2 and said in result.err
    assert result.err.count("\n") == 1 and not result.out


def test_bad_lines_and_members(command, integers, text, tmp_path):
    for content, said in (
        ('{"input": [1]}\n[2]\n', ":2 is no JSON object"),
        ('{"input": [1]}\n{"input"\n', ":2 is not JSON"),
    ):
        bad = tmp_path / "bad.jsonl"
        bad.write_text(content)
        result = command("decode", f"--workdir={integers}", f"--from_file={bad}")
        assert result.code == 2 and said in result.err
    pairs = written(tmp_path / "pairs.jsonl", {"input": ROW})
    for argv, said in (
        (("score", f"--workdir={integers}", pairs), "no field 'output'"),
        (("score", f"--workdir={integers}"), "--from_file"),
        (("decode", *ROW), "--workdir=DIR is needed"),
        (("decode", f"--ensemble={integers},", *ROW), "empty directory"),
        (
            ("decode", f"--ensemble={integers},{text}", *ROW),
            "has another source vocabulary",
        ),
        (
            ("decode", f"--workdir={integers}", "--combine=logprob", *ROW),
            "needs --ensemble",
        ),
        (
            ("decode", f"--ensemble={integers},{text}", "--combine=mean", *ROW),
            "unknown --combine 'mean'",
        ),
        (
            ("eval", f"--workdir={integers}", "--strategy=beam:size=0"),
            "size=0 is not a number from 1 to 1000000",
        ),
        (
            ("decode", f"--workdir={integers}", "--strategy=beam:min_extra=50", *ROW),
            "more than the most",
        ),
        (
            ("decode", f"--workdir={text}", "--strategy=beam:coverage=1", "Hi."),
            "coverage",
        ),
    ):
        result = command(*argv)
        assert result.code == 2 and said in result.err, result.err
        assert result.err.count("\n") == 1

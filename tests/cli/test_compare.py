"""`compare`: runs and files on the same examples, as tables, JSON and a picture."""

import json

import pytest

import s2sjax as s2s


@pytest.fixture(scope="module")
def files(integers, tmp_path_factory):
    """Predictions of the integer run, greedy and by sampling."""
    folder = tmp_path_factory.mktemp("predictions")
    run = s2s.load(integers, say=print)
    for name, strategy in (("greedy", None), ("sampled", "sample:temperature=2")):
        rows = run.evaluate(strategy=strategy, predictions=True)["predictions"]
        lines = (json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder


def test_files_are_compared_as_runs_are(command, integers, files, tmp_path):
    greedy, sampled = files / "greedy.jsonl", files / "sampled.jsonl"
    picture = tmp_path / "lengths.svg"
    shown = command("compare", greedy, sampled, f"--out={picture}", "--differing=2")
    assert shown.code == 0, shown.err
    assert "examples" in shown.out and "greedy.jsonl" in shown.out
    assert shown.out.count("  source ") == 2
    assert picture.read_text().startswith("<?xml")
    found = json.loads(command("compare", greedy, sampled, "--json").out)
    assert (found["a"], found["b"]) == (str(greedy), str(sampled))
    assert found["examples"] == 32 and set(found["metrics"]) >= {"exact", "nll"}
    assert found["metrics"]["edit_distance"]["difference"] != 0
    assert len(found["differing"]) > 16
    mixed = json.loads(command("compare", integers, sampled, "--json").out)
    assert mixed["metrics"] == found["metrics"]
    alike = s2s.compare(str(integers), files / "greedy.jsonl", say=print)
    assert not alike.differing and alike.metrics["exact"].difference == 0
    test = json.loads((integers / "test.json").read_text())
    assert alike.metrics["exact"].a == test["exact"]
    assert alike.metrics["edit_distance"].a == test["edit_distance"]
    assert alike.metrics["nll"].a == pytest.approx(test["nll"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "takes A and B, runs or files of predictions; 0 came"),
        (["GREEDY"], "1 came"),
        (["GREEDY", "RUN", "--split=valid"], "--split=valid is for runs, and a="),
        (["RUN", "GREEDY", "--examples=4"], "--examples=4 is for runs, and b="),
        (["RUN", "nothing"], "path=nothing does not exist"),
        (["GREEDY", "TEXT"], "are not of the same examples"),
        (["GREEDY", "GREEDY", "--out=a.txt"], "--out=a.txt does not end with"),
        (["GREEDY", "GREEDY", "--split=tset"], "unknown split 'tset'"),
        (["GREEDY", "WRONG"], "wrong.jsonl has only what is wrong"),
    ],
)
def test_what_is_refused(command, integers, text, files, words, said):
    names = {"RUN": integers, "TEXT": text, "GREEDY": files / "greedy.jsonl"}
    if "WRONG" in words:
        names["WRONG"] = files / "wrong.jsonl"
        saved = f"--predictions={names['WRONG']}"
        assert command("eval", f"--workdir={integers}", saved, "--wrong").code == 0
    result = command("compare", *(names.get(word, word) for word in words))
    assert result.code == 2 and said in result.err
    assert [line for line in result.err.splitlines() if "s2sjax: " in line]

"""`s2sjax report`: what it prints, what it writes, and what it refuses."""

import csv
import json

import pytest

from s2sjax import json_objects
from tests.reporting import fake_sweep
from tests.reporting.fake_sweep import grid


@pytest.fixture
def sweep(tmp_path):
    overrides = fake_sweep.LENGTHS_AND_CARDINALITIES
    return fake_sweep.sweep(tmp_path / "sweep", overrides, {0: "failed"})


def test_tables_and_files(command, sweep):
    done = command("report", f"--workdir={sweep}")
    assert (done.code, done.err) == (0, "")
    assert "18 trials (17 done, 1 failed)" in done.out
    lines = done.out.splitlines()
    header = next(line for line in lines if line.startswith("task.length "))
    assert header.split() == [
        "task.length",
        "task.cardinality",
        *("validation", "exact", "match,", "%", "95", "%"),
        *("test", "exact", "match,", "%", "95", "%", "n"),
    ]
    assert "best: by validation exact match" in done.out
    assert "Best trial by validation: 0001-trial (exact match: validation " in done.out
    assert "over n trials (seed)" in done.out and "variance explained" in done.out
    assert f"  s2sjax train --config={sweep}/trials/" in done.out
    assert f" --workdir={sweep}-" in done.out
    names = sorted(path.name for path in (sweep / "report").iterdir())
    pictures = ["curves.png", "groups.csv", "heatmap.png", "index.html"]
    assert names == [*pictures, "sensitivity.png", "trials.csv"]


def test_a_run_has_its_curves_in_any_format(command, integers):
    for name in ("pdf", "svg"):
        done = command("report", f"--workdir={integers}", f"--format={name}")
        picture = integers / f"curves.{name}"
        assert (done.code, done.err) == (0, "")
        assert done.out == f"curves: {picture}\n" and picture.stat().st_size > 1000
        picture.unlink()


def test_json_is_one_object(command, sweep):
    done = command("report", f"--workdir={sweep}", "--json", "--metric=nll")
    found = json.loads(done.out)
    assert (found["metric"], found["beside"]) == ("valid_nll", "test_nll")
    assert found["status"] == {"done": 17, "failed": 1}
    assert len(found["groups"]) == 6 and found["groups"][0]["n"] == 2
    assert found["groups"][0]["levels"] == {
        "task.length": "5",
        "task.cardinality": "10",
    }
    assert found["sensitivity"][0]["field"] == "task.length"
    best = max(fake_sweep.LENGTHS_AND_CARDINALITIES[1:], key=fake_sweep.exact_of)
    assert found["best"]["overrides"] == best  # the lowest nll


def test_without_a_metric_it_is_that_of_the_trials(command, tmp_path):
    rows = [fake_sweep.row(i, {"seed": i}, exact=0.5, nll=2.0 - i) for i in range(2)]
    for one in rows:
        config = {"seed": one["index"], "train": {"metric": "nll", "steps": 9}}
        fake_sweep.launched(tmp_path, one, config)
    fake_sweep.write(tmp_path, rows)
    found = json.loads(command("report", f"--workdir={tmp_path}", "--json").out)
    assert found["metric"] == "valid_nll" and found["best"]["seed"] == 1
    done = command("report", f"--workdir={tmp_path}", "--json", "--metric=test_exact")
    assert json.loads(done.out)["metric"] == "test_exact"


def test_a_sweep_that_lacks_trials_does_not_look_finished(command, sweep):
    (sweep / "sweep.json").write_text(json_objects.encode({"asked": 20}))
    done = command("report", f"--workdir={sweep}")
    assert "18 trials of 20 that were asked for (17 done, 1 failed)" in done.out
    assert '"asked": 20' in (sweep / "report" / "index.html").read_text()
    done = command("report", f"--workdir={sweep}", "--json")
    assert json.loads(done.out)["asked"] == 20


def test_group_by_and_a_page_elsewhere(command, sweep, tmp_path):
    page = tmp_path / "page.html"
    arguments = (f"--workdir={sweep}", "--group_by=task.length", f"--html={page}")
    done = command("report", *arguments)
    assert done.code == 0 and f"page: {page}" in done.out
    assert "(task.cardinality, seed)" in done.out
    assert page.read_bytes() == (sweep / "report" / "index.html").read_bytes()
    with open(sweep / "report" / "groups.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["task.length"] for row in rows] == ["5", "10", "20"]


@pytest.mark.parametrize("format", ["pdf", "svg"])
def test_pictures_for_a_paper(command, sweep, format):
    assert command("report", f"--workdir={sweep}").code == 0
    assert command("report", f"--workdir={sweep}", f"--format={format}").code == 0
    endings = {path.suffix for path in (sweep / "report").iterdir()}
    assert endings == {".csv", ".html", f".{format}"}  # older pictures are gone


def test_a_style_that_is_not_there_is_refused(command, sweep, monkeypatch):
    monkeypatch.setenv("S2SJAX_STYLE", "nowhere.mplstyle")
    done = command("report", f"--workdir={sweep}")
    assert done.code == 2 and "S2SJAX_STYLE=nowhere.mplstyle" in done.err
    assert done.out == "" and not (sweep / "report").exists()


def test_again_gives_the_same_bytes(command, sweep):
    def written():
        assert command("report", f"--workdir={sweep}").code == 0
        return {p.name: p.read_bytes() for p in (sweep / "report").iterdir()}

    assert written() == written()


def test_a_row_that_cannot_be_read_is_a_warning(command, sweep):
    with open(sweep / "trials.jsonl", "a") as file:
        file.write('{"index": 9, "na')
    done = command("report", f"--workdir={sweep}", "--json")
    assert done.code == 0 and json.loads(done.out)["trials"] == 18
    assert done.err.count("\n") == 1 and "trials.jsonl:19 is left out" in done.err


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["--metric=exat"], "unknown metric 'exat'; did you mean 'exact'?"),
        (["--group_by=task.lenth"], "did you mean 'task.length'?"),
        (["--group_by=,"], "unknown field of group_by ''"),
        (["--html=nowhere/page.html"], "there is no folder 'nowhere'"),
        (["--html=."], "is a folder"),
        (["--format=pgf"], "unknown --format 'pgf'"),
        (["--config=x"], "takes no config"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(command, sweep, arguments, reason):
    done = command("report", f"--workdir={sweep}", *arguments)
    assert done.code == 2 and reason in done.err and done.err.count("\n") == 1
    assert not (sweep / "report").exists() and done.out == ""


def test_what_is_not_a_sweep_is_refused(command, tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        done = command("report", f"--workdir={path}")
        assert done.code == 2 and "s2sjax sweep" in done.err
    assert not any(tmp_path.iterdir())


def test_a_report_that_cannot_be_written(command, sweep):
    (sweep / "report").write_text("in the way")
    done = command("report", f"--workdir={sweep}")
    assert done.code == 2 and "report: File exists" in done.err
    assert "Best trial" in done.out  # the tables need no disk


def test_a_sweep_that_has_just_begun(command, tmp_path):
    overrides = grid(task__length=[5, 10])
    path = fake_sweep.sweep(tmp_path / "s", overrides, {0: "running", 1: "pending"})
    done = command("report", f"--workdir={path}")
    assert (done.code, done.err) == (0, "")
    assert "No trial with validation exact match is done yet." in done.out

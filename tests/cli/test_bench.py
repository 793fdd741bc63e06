"""`s2sjax bench`, from runs to files, and what a person can get wrong."""

import csv
import errno
import json
import math

import pytest

SMALL = ("--examples=20", "--repeats=2")


@pytest.fixture(scope="module")
def benchmark(integers, tmp_path_factory):
    """One benchmark of the integer run for all tests: its files."""
    from s2sjax.cli import main

    out = tmp_path_factory.mktemp("bench") / "new" / "folder"
    strategies = ("greedy", "beam:size=3", "beam(size=1)", "greedy")
    arguments = [f"--strategy={each}" for each in strategies]
    code = main(
        [
            *("bench", f"--workdir={integers}", *arguments, *SMALL),
            *("--batch_sizes=8,1", f"--out={out}", "--reference=beam:size=6"),
        ]
    )
    assert code == 0
    return out


def read(folder):
    return json.loads((folder / "bench.json").read_text())


def test_there_is_a_row_for_each_strategy_and_batch_size(benchmark):
    found = read(benchmark)["rows"]
    assert [(row["strategy"], row["batch_size"]) for row in found] == [
        (strategy, size)
        for strategy in ("greedy", "beam:size=3", "beam:size=1")
        for size in (1, 8)
    ]
    for row in found:
        assert row["examples"] == 20
        assert row["same_outputs"] == 1
        assert row["programs"] == row["compilations"] == 1
        assert row["sequences_per_second"] > 0 and row["compile_seconds"] > 0
        assert row["latency_median_ms"] <= row["latency_p90_ms"]
        assert row["resident_mib"] > 1
        assert 0 <= row["search_errors"] <= 1
        assert row["logprob"] < 0 and math.isfinite(row["target_logprob"])
        assert row["torch_ratio"] is None


def test_a_beam_of_one_is_greedy(benchmark):
    by_name = {row["strategy"]: row for row in read(benchmark)["rows"]}
    quality = ("exact", "edit_distance", "logprob", "search_errors", "length_ratio")
    for name in quality:
        assert by_name["greedy"][name] == by_name["beam:size=1"][name]


def test_the_files_agree(benchmark):
    whole = read(benchmark)
    with open(benchmark / "bench.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["strategy"] for line in lines] == [
        row["strategy"] for row in whole["rows"]
    ]
    assert float(lines[0]["exact"]) == whole["rows"][0]["exact"]
    assert {path.name for path in benchmark.iterdir()} == {
        *("bench.csv", "bench.json", "quality_speed.png", "beam_size.png")
    }
    assert whole["environment"]["versions"]["jax"] and whole["environment"]["date"]
    assert whole["runs"][0]["config_hash"] and whole["runs"][0]["step"] > 0


def test_the_numbers_are_those_of_eval(command, integers, benchmark):
    shown = command("eval", f"--workdir={integers}", "--examples=20", "--json")
    wanted = json.loads(shown.out)
    row = read(benchmark)["rows"][0]
    for name in ("exact", "token_accuracy", "edit_distance", "truncated"):
        assert row[name] == pytest.approx(wanted[name])


def test_different_tasks_and_text(command, integers, text, tmp_path):
    pytest.importorskip("torch")
    result = command(
        *("bench", f"--workdir={integers},{text}", "--strategy=beam:size=2"),
        *("--strategy=sample", "--examples=3", "--repeats=1", "--batch_sizes=2"),
        *("--peers", f"--out={tmp_path}", "--json"),
    )
    assert result.code == 0, result.err
    found = json.loads(result.out)
    whole = json.loads((tmp_path / "bench.json").read_text())
    assert found == whole
    integer, sampled, words, _ = found["rows"]
    assert integer["bleu"] is None and 0 <= words["bleu"] <= 100
    for name in ("torch", "torch_loop"):
        assert integer[f"{name}_ratio"] > 0 and integer[f"{name}_same_outputs"] == 1
        assert sampled[f"{name}_ratio"] is None
    notes = "\n".join(found["notes"])
    assert "torch a second: " in notes and "torch_loop a second: " in notes
    assert "different tasks" in notes and "no counterpart of sample" in notes


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--strategy=greedyy"], ["greedyy", "'greedy'"]),
        (["--strategy=beam:sise=3"], ["sise", "'size'"]),
        (["--strategy=beam:size=0"], ["size=0", "from 1"]),
        (["--strategy=greedy", "--strategy="], ["--strategy", "empty"]),
        (["--strategy=greedy:min_extra=90"], ["fewest", "90"]),
        (["--batch_sizes=0"], ["--batch_sizes", "'0'"]),
        (["--batch_sizes=1,,2"], ["--batch_sizes", "''"]),
        (["--split=tset"], ["tset", "'test'"]),
        (["--checkpoint=first"], ["first", "best"]),
        (["--repeats=0"], ["--repeats", "from 1"]),
        (["--examples=0"], ["--examples", "from 1"]),
        (["--reference=exakt"], ["exakt"]),
    ],
)
def test_bad_requests_start_nothing(command, integers, tmp_path, flags, words):
    result = command(
        "bench", f"--workdir={integers}", f"--out={tmp_path / 'out'}", *flags
    )
    assert result.code == 2
    line = result.err.splitlines()[-1]
    assert all(word in line for word in words), line
    assert not (tmp_path / "out").exists()


def test_directories_that_cannot_be(command, integers, tmp_path):
    missing = command("bench", f"--workdir={tmp_path / 'none'}")
    assert missing.code == 2 and "none" in missing.err
    empty = command("bench", f"--workdir={integers},")
    assert empty.code == 2 and "empty directory" in empty.err
    (tmp_path / "file").write_text("")
    taken = command("bench", f"--workdir={integers}", f"--out={tmp_path / 'file'}")
    assert taken.code == 2 and f"--out={tmp_path / 'file'}" in taken.err


def test_a_full_disk_is_said_in_one_line(
    command, integers, benchmark, tmp_path, monkeypatch
):
    from s2sjax.benchmark import run
    from s2sjax.benchmark.result import Result
    from s2sjax.runs import atomic

    rows = [Result(**row) for row in read(benchmark)["rows"]]
    found = run.Benchmark(rows, [], {})
    monkeypatch.setattr(run, "run", lambda *_: found)

    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "write_text", full)
    result = command(
        "bench", f"--workdir={integers}", "--strategy=greedy", f"--out={tmp_path}"
    )
    assert result.code == 1
    assert (
        result.err.splitlines()[-1]
        == f"s2sjax: --out={tmp_path}: No space left on device"
    )

"""`s2s.data` and `s2sjax data`: what is found, shown, and said before training."""

import json
import pathlib
import subprocess

import pytest

import s2sjax as s2s
from s2sjax.cli import main
from s2sjax.commands.data import KINDS
from s2sjax.reporting.data import page
from tests.reporting.fake_sweep import HOSTILE
from tests.reporting.test_sweep_page import BROWSER, needs_browser

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"
SMALL = {"model": {"units": 4, "embedding": 3}, "train": {"steps": 2}}


def planted(folder):
    """Pairs with one of each fault, in the training part."""
    pairs = [(f"say {n} {n % 3}", f"dire {n} {n % 3}") for n in range(100)]
    pairs[5] = pairs[4]
    pairs[7] = (pairs[6][0], "autre chose")
    pairs[9] = ("the same here", "the same here")
    pairs[11] = ("", "rien")
    pairs[13] = ("long", "x y " * 12)
    pairs[15] = ("say\u200b it", "dire\x07 cela")
    pairs[17] = ("dire " * 3, "say " * 3)
    pairs[99] = (pairs[4][0], "z " * 20)
    path = folder / "pairs.tsv"
    path.write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = planted(tmp_path_factory.mktemp("data"))
    task = {"name": "text", "path": str(path), "level": "word", "valid_share": 0.05}
    return {"task": task, **SMALL}


@pytest.fixture(scope="module")
def found(config):
    return s2s.data(config)


def test_each_fault_is_found_with_its_line(found):
    assert set(found["found"]) == set(KINDS)
    lines = {
        name: [
            int(example["where"].removeprefix("pairs.tsv:"))
            for each in kind["splits"].values()
            for example in each["examples"]
        ]
        for name, kind in found["found"].items()
    }
    wanted = {
        **{"repeated": 6, "ambiguous": 7, "copies": 10, "empty": 12, "unlike": 14},
        **{"steering": 16, "exchanged": 18, "known": 100},
    }
    for name, line in wanted.items():
        assert line in lines[name], name


def test_what_needs_no_model_stands_beside(found):
    trivial = found["baselines"]["test"]
    assert set(trivial) == {"most_frequent", "copy", "unigram", "bigram"}
    assert 0 < trivial["bigram"]["nll"] < trivial["unigram"]["nll"]


def test_a_line_warns_of_what_matters_and_says_what_to_do(found):
    text = "\n".join(found["warnings"])
    for words in (
        "cannot be written: references are longer than 2 x source + 10 tokens",
        "decode.length_extra=15",
        "1 pair of test (5.00%): source stands in training, e.g. pairs.tsv:100",
        "a side is empty, e.g. pairs.tsv:12",
        "control or invisible characters, e.g. pairs.tsv:16",
        "lengths are very unlike those of others, e.g. pairs.tsv:14",
    ):
        assert words in text
    assert "\n" not in "".join(found["warnings"])


def test_what_is_printed_is_what_the_library_returns(config, found, tmp_path, capsys):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    words = ["data", f"--config={file}", f"--html={tmp_path / 'page.html'}"]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    for each in (printed, told := json.loads(json.dumps(found))):
        for clock in ("flops_per_second", "step_seconds"):
            each["cost"].pop(clock)
    assert printed == told
    assert main(words) == 0
    shown = capsys.readouterr().out
    for words in (
        "Pairs",
        "How far one comes on test",
        "Symbols of the target",
        "What stands out",
        "padding",
    ):
        assert words in shown
    assert "warning: " in shown and "█" in shown and "\x07" not in shown
    assert not (tmp_path / "runs").exists()


def test_training_says_the_same_before_it_begins(config, found, tmp_path):
    with pytest.warns(UserWarning) as said:
        s2s.train(config, tmp_path / "run")
    lines = [str(each.message) for each in said]
    assert [line for line in found["warnings"] if line not in lines] == []


@pytest.mark.parametrize("name", ["reversed_prefix", "digits_to_words"])
def test_generated_tasks_are_looked_at_on_draws(name):
    found = s2s.data({"task": {"name": name}, **SMALL})
    assert found["warnings"] == [] and found["files"] == []
    assert found["splits"]["train"]["drawn"] == (name != "digits_to_words")
    known = found["found"]["known"]["splits"]
    assert bool(known) == (name == "digits_to_words")


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")
def test_most_of_scans_long_commands_cannot_be_written():
    folder = SHARED / "scan" / "length_split"
    task = {
        "name": "text",
        "level": "word",
        "train": str(folder / "tasks_train_length.txt"),
        "test": str(folder / "tasks_test_length.txt"),
    }
    found = s2s.data({"task": task, **SMALL})
    (line,) = found["warnings"]
    assert line.startswith("85.10% of test cannot be written") and "ratio=4.3" in line
    assert found["unreachable"]["test"]["length_extra"] == 31
    target = found["splits"]["test"]["target"]
    assert target["longest"] == 48
    assert target["longest_rows"][0]["where"].startswith("tasks_test_length.txt:")


def test_text_on_the_page_is_text(found, tmp_path):
    hostile = json.loads(json.dumps(found)) | {"warnings": [HOSTILE, "{{style}}"]}
    hostile["splits"]["train"]["source"]["longest_rows"][0]["source"] = HOSTILE
    page.write_page(hostile, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert HOSTILE not in text and "<script" not in text and "{{style}}" in text
    assert "default-src 'none'" in text and "http" not in text.split("</head>")[1]


@needs_browser
def test_a_browser_shows_the_page(found, tmp_path):
    page.write_page(found, tmp_path / "page.html")
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            f"--user-data-dir={tmp_path / 'profile'}",
            (tmp_path / "page.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert "What stands out" in done.stdout and done.stdout.count("<table") >= 8
    assert "pairs.tsv:16" in done.stdout

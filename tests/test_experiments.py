"""Every experiment, end to end through the command line, in its smoke variant."""

import json
import pathlib
import shlex

import missing
import numpy as np
import pytest
import verbs

from s2sjax import experiment, json_objects
from s2sjax.cli import main
from s2sjax.sweeps import trials as definition

ROOT = pathlib.Path(__file__).parents[1]
NUMBERS = ("adding", "series_missing", "series_probabilistic")
EXPERIMENTS = sorted(
    {path.stem for path in (ROOT / "experiments").glob("*.py")} - {*NUMBERS}
)
PAIRS = [
    (f"{greeting} {name}.", f"{bonjour} {name} !")
    for greeting, bonjour in [("Hi", "Salut"), ("Go", "Va"), ("See", "Vois")]
    for name in ["Tom", "Ann", "Jim", "Eve", "Bob", "Sue", "Max", "Kim", "Leo", "Ida"]
]
SWEEPS = [
    ("length_cardinality", "", [], 144),
    ("length_cardinality", "small", [], 72),
    ("length_cardinality", "smoke", [], 12),
    ("length_generalisation", "", [], 18),
    ("length_generalisation", "small", [], 18),
    ("buckets", "", [], 15),
    ("data_size", "", [], 36),
    ("data_size", "small", [], 36),
    ("data_size", "smoke", ["sweep", "units"], 45),
    ("scan", "small", [], 21),
    ("g2p", "small", [], 3),
    ("adding", "", [], 36),
    ("adding", "small", [], 36),
    ("series_missing", "small", [], 9),
    ("series_probabilistic", "small", [], 12),
    ("trivial", "", [], 9),
    ("tagging", "", [], 9),
    ("sequence_classification", "", [], 9),
]
KEYS = {
    *("examples", "exact", "token_accuracy", "edit_distance", "nll", "unseen"),
    *("forced_token_accuracy", "by_length", "by_symbol"),
}


@pytest.fixture
def corpora(tmp_path):
    """The flags that name files, of each experiment that takes some."""
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"{e}\t{f}\n" for e, f in PAIRS), encoding="utf-8")
    folder = tmp_path / "parallel"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, count in (("train", 60), ("dev", 8), ("test", 8)):
        rows = [rng.integers(0, 10, rng.integers(1, 6)).tolist() for _ in range(count)]
        for ending, step in (("src", 1), ("trg", -1)):
            lines = [" ".join(map(str, row[::step])) for row in rows]
            (folder / f"{split}.{ending}").write_text("\n".join(lines) + "\n")
    for split, count in (("train", 60), ("test", 8)):
        words = [["walk", "run"][n % 2] for n in range(count)]
        lines = [
            f"IN: {word} {n} OUT: {f'I_{word.upper()} ' * 2}"
            for n, word in enumerate(words)
        ]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    scan = [f"--config.task.{s}={tmp_path / s}.txt" for s in ("train", "test")]
    verbs.write(tmp_path / "verbs", count=15, seed=0)
    path = f"--config.task.path={pairs}"
    return {
        "buckets": [path],
        "fra_eng": [path],
        "fra_eng_words": [path],
        "g2p": [path],
        "inflection": [f"--config.task.path={tmp_path / 'verbs'}"],
        "joeynmt_reverse": [f"--config.task.path={folder}"],
        "scan": scan,
        "text": [path],
    }


def run(capsys, *argv):
    """The exit code, standard output and standard error of a command."""
    code = main([str(word) for word in argv])
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.compat] * (name == "reversed"))
        for name in EXPERIMENTS
    ],
)
def test_trains_evaluates_and_decodes(name, corpora, tmp_path, capsys):
    workdir = f"--workdir={tmp_path / 'run'}"
    config = f"--config={ROOT / 'experiments' / name}.py:smoke"
    files = corpora.get(name, ())

    code, out, err = run(capsys, "train", config, *files, workdir)
    assert code == 0, err
    assert "test examples" in out and "s2sjax decode" in out and "\x1b" not in out
    for file in ("config.json", "metrics.jsonl", "curves.png", "test.json"):
        assert (tmp_path / "run" / file).stat().st_size > 0

    code, out, err = run(capsys, "train", workdir)
    assert code == 0 and "is finished" in out, err

    code, out, err = run(capsys, "eval", workdir, "--json", "--confusion")
    assert code == 0, err
    result = json.loads(out)
    tested = json_objects.read(tmp_path / "run" / "test.json", dict)
    assert tested.items() <= result.items()
    assert result.keys() >= KEYS | {"confusion"}
    assert 0 <= result["exact"] <= result["token_accuracy"] <= 1
    assert (
        sum(row["count"] for row in result["by_length"].values())
        == (result["examples"])
    )
    if name == "length_generalisation":  # trained to 10
        assert max(map(int, result["by_length"])) > 20
    assert (
        ("bleu" in result)
        == ("chrf" in result)
        == (name in corpora or name in ("addition", "digits_to_words"))
    )

    # The command that training named last is one that works.
    words = _last_command(run(capsys, "train", workdir)[1])
    inputs = words[words.index("decode") + 2 :]
    code, out, err = run(capsys, "decode", workdir, "--json", *inputs)
    assert code == 0, err
    (line,) = [json.loads(line) for line in out.splitlines()]
    assert line.keys() >= {"input", "output", "logprob", "truncated"}
    assert line["logprob"] < 0


@pytest.mark.parametrize("name", NUMBERS)
def test_forecasts_of_numbers_are_trained_and_evaluated(name, tmp_path, capsys):
    workdir = f"--workdir={tmp_path / 'run'}"
    missing.write(tmp_path, series=3, steps=150, seed=0)
    file = f"--config.task.path={tmp_path / 'missing_30.csv'}"
    files = [file] if name == "series_missing" else []
    config = f"--config={ROOT / 'experiments' / name}.py:smoke"
    code, _, err = run(capsys, "train", config, *files, workdir)
    assert code == 0, err
    picture = tmp_path / "fans.png"
    code, out, err = run(capsys, "eval", workdir, "--json", f"--picture={picture}")
    assert code == 0, err
    result = json.loads(out)
    assert picture.is_file() and "predictions" not in result
    sure = picture.with_stem("fans_calibration")
    assert sure.is_file() == (name != "adding")
    worse = [n for n, b in result["baselines"].items() if b["mae"] < result["mae"]]
    assert ("without a model" in err) == bool(worse)
    assert result.keys() >= {"mae", "rmse", "smape", "by_step", "by_number"}
    assert ("crps" in result) == ("coverage_90" in result) == (name != "adding")
    assert result["baselines"] and 0 < result["mae"] <= result["rmse"]


def _last_command(out):
    return shlex.split(out.strip().splitlines()[-1])


@pytest.mark.parametrize(("name", "variant", "sweeps", "count"), SWEEPS)
def test_sweeps_have_the_trials_that_their_file_states(name, variant, sweeps, count):
    file = f"{ROOT / 'experiments' / name}.py:{variant}"
    trials = definition.define(file, experiment.load_config(file), sweeps)
    assert len(trials) == count  # and define refuses two that are the same
    text = (ROOT / "experiments" / f"{name}.py").read_text()
    assert variant or f"{count} trials" in text

"""What a released version wrote is read, and goes on; see `data/make.py`."""

import json
import pathlib
import shutil

import pytest

import s2sjax as s2s
from s2sjax.cli import main
from s2sjax.sweeps import trial_files

DATA = pathlib.Path(__file__).parent / "data"
CONFIG = f"--config={DATA / 'config.py'}"


@pytest.fixture(params=["v3"])
def kept(request, tmp_path):
    """Copies of a run and of a sweep, and what they gave when they were made."""
    for name in ("run", "sweep"):
        shutil.copytree(DATA / f"{name}_{request.param}", tmp_path / name)
    expected = json.loads((DATA / f"expected_{request.param}.json").read_text())
    return tmp_path / "run", tmp_path / "sweep", expected


def same(found, expected):
    """Whether the numbers are those of then; other compilers round otherwise."""
    numbers = {k: v for k, v in expected.items() if isinstance(v, int | float)}
    assert {k: found[k] for k in numbers} == pytest.approx(numbers, rel=1e-3)
    assert len(numbers) > 5
    return True


@pytest.mark.filterwarnings("ignore:.*was started in another environment")
def test_a_run_is_evaluated_decoded_scored_and_goes_on(kept):
    path, _, expected = kept
    with pytest.warns(UserWarning, match=r"mine\.py \(SHA-256 .*\) is executed"):
        run = s2s.load(path)
    assert same(run.evaluate("test"), expected["eval"])
    for line in expected["decode"]:
        found = run.decode("".join(line["input"]))
        assert found.output == line["output"]
        assert found.best.logprob == pytest.approx(line["logprob"], rel=1e-3)
        scored = run.score("".join(line["input"]), found.output)
        assert scored.logprob == pytest.approx(line["logprob"], rel=1e-3)
    # Its files lie elsewhere by now: their bytes count.
    places = {
        "task.path": str(DATA / "pairs.tsv"),
        "train.objective": f"{DATA / 'mine.py'}:mine",
    }
    longer = s2s.train(path, path, overrides=places | {"train.steps": 12})
    assert same(longer.evaluate("test"), expected["continued"])
    lines = (path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines if '"train"' in line] == [
        *(4, 8, 12)
    ]
    assert main(["report", f"--workdir={path}"]) == 0


def test_a_launch_that_finds_all_done_reads_each_trial_once(kept, monkeypatch):
    _, path, _ = kept
    reads, read = [], trial_files.read

    def counted(directory):
        reads.append(directory.name)
        return read(directory)

    monkeypatch.setattr(trial_files, "read", counted)
    assert main(["sweep", f"--workdir={path}", "--json"]) == 0
    assert sorted(reads) == sorted(each.name for each in (path / "trials").iterdir())


def test_a_sweep_is_reported_and_goes_on(kept, capsys):
    _, path, expected = kept
    table = s2s.trials(path)
    assert [row["status"] for row in table] == ["done", "done"]
    assert [row["train.learning_rate"] for row in table] == [0.01, 0.03]
    folders = sorted((path / "trials").iterdir())
    for row, folder, then in zip(table, folders, expected["trials"], strict=True):
        assert row["test_nll"] == then["nll"] and row["seconds"] > 0
        assert same(s2s.load(folder).evaluate("test"), then)
    assert main(["report", f"--workdir={path}"]) == 0
    assert (path / "report" / "index.html").is_file()
    # The program goes on from its checkpoint, and tests the trial anew.
    before = json.loads((folders[0] / "result.json").read_text())
    (folders[0] / "result.json").unlink()
    capsys.readouterr()
    assert main(["sweep", CONFIG, f"--workdir={path}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 2
    again = json.loads((folders[0] / "result.json").read_text())
    for split in ("test", "valid"):  # of which later versions say more
        found = {name: again[split][name] for name in before[split]}
        assert found == pytest.approx(before[split], rel=1e-3)

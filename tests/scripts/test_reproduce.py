"""The page of reproductions says what the runs came to, and nothing else changes."""

import json
import re

import pytest
import reproduce

from s2sjax import config as configs
from s2sjax import experiment, json_objects

PAGE = """# Page

Words of a person.

<!-- scan -->
Not measured yet.
<!-- /scan -->

<!-- g2p -->
Not measured yet.
<!-- /g2p -->
"""


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def write(monkeypatch, page, *words):
    """The page after the script has run; `rows` of it are its cells."""
    monkeypatch.setattr("sys.argv", ["reproduce.py", f"--page={page}", *words])
    reproduce.main()
    return page.read_text()


def rows(text):
    """The cells of all tables, by the first and what is measured."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if "|" in line]
    table = [[cell.strip() for cell in line] for line in lines]
    return {(cells[0], cells[1].partition(",")[0]): cells[2:] for cells in table}


def a_run(path, exact, file="scan.py", **overrides):
    """What a run leaves that has ended; where `exact` is None, one that has not."""
    source = str(reproduce.ROOT / "experiments" / f"{file}:small")
    path.mkdir(parents=True)
    config = experiment.load_config(source, overrides)
    (path / "config.json").write_text(configs.canonical_json(config))
    record = {"versions": {"jax": "0.1"}, "device": "abacus"}
    record |= {"format_version": 3, "identity": ""}
    (path / "run.json").write_text(json_objects.encode(record))
    lines = [{"step": 3125, "kind": "train", "seconds": 90.0, "loss": 1.0}]
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))
    if exact is not None:
        test = {"examples": 4182, "step": 7, "exact": exact}
        test |= {"sequence_error": 1 - exact, "per": 0.1}
        (path / "test.json").write_text(json_objects.encode(test))


def a_sweep(folder):
    jump = {"task.train": "x/add_prim_split/tasks_train_addprim_jump.txt"}
    a_run(folder / "trials" / "0", 0.001, **jump)
    a_run(folder / "trials" / "1", 0.92)
    a_run(folder / "trials" / "2", 0.94, seed=2)
    a_run(folder / "trials" / "3", 0.96, seed=1)
    a_run(folder / "trials" / "4", None, seed=4)


def test_a_table_has_every_seed_beside_what_was_published(
    tmp_path, page, monkeypatch, capsys
):
    a_sweep(tmp_path / "sweep")
    text = write(monkeypatch, page, f"scan={tmp_path / 'sweep'}")
    found = rows(text)
    assert found["simple", "exact match"] == [
        *("99.7", "92.00, 96.00, 94.00", "94.00 ± 2.00", "100,000", "1.5")
    ]
    assert found["jump", "exact match"][:3] == ["0.08", "0.10", "0.10"]
    assert "4 runs, jax 0.1 on abacus." in text
    assert "`train.batch_size` 32 for 1" in text and "task.train" not in text
    assert "has not ended: left out" in capsys.readouterr().err
    # All else is as it was, and the same runs give the same page.
    assert re.sub(r"(?s)\| runs.*?(?=\n<!-- /)", "Not measured yet.", text) == PAGE
    assert write(monkeypatch, page, f"scan={tmp_path / 'sweep'}") == text


def test_minutes_of_replicas_are_those_of_their_program(tmp_path, page, monkeypatch):
    a_sweep(tmp_path / "sweep")
    for trial in (tmp_path / "sweep" / "trials").iterdir():
        (trial / "replica.json").write_text("{}")
    text = write(monkeypatch, page, f"scan={tmp_path / 'sweep'}")
    assert "| 100,000 | 1.5 in one program |" in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["scam=sweep"], "scam=sweep is not SECTION=DIR; one of scan"),
        (["scan=swep"], "swep does not exist"),
        (["scan=page.md"], "is not a directory"),
        (["scan=sweep/trials/4"], "no run has ended"),
        (["scan=sweep,sweep"], "differ in nothing, seed=0 either"),
        (["scan=sweep,other"], "differ in model.units"),
        (["prefix=sweep/trials/1"], "no marks <!-- prefix -->"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, page, monkeypatch, capsys, words, line):
    a_sweep(tmp_path / "sweep")
    a_run(tmp_path / "other" / "a", 0.5, **{"model.units": 3, "seed": 9})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        write(monkeypatch, page, *words)
    assert ended.value.code == 2
    assert line in capsys.readouterr().err
    assert page.read_text() == PAGE


class Loaded:
    """Stands for runs that are open: numbers that tell which they are, and how."""

    def __init__(self, paths):
        self.weight = sum(int(path.name) for path in paths)

    def evaluate(self, strategy="greedy", oracle_length=False):
        share = self.weight / 100 + 0.001 * (strategy == "beam:size=5")
        share += 0.002 * oracle_length
        return {"exact": share, "sequence_error": share, "per": 2 * share}


def test_other_ways_to_decode_are_evaluated(tmp_path, page, monkeypatch):
    def load(path):
        return Loaded([path] if not isinstance(path, list) else path)

    monkeypatch.setattr(reproduce.s2s, "load", load)
    length = {"task.train": "x/length_split/tasks_train_length.txt"}
    for seed in (1, 2):
        a_run(tmp_path / "scan" / str(seed), 0.2, seed=seed, **length)
        a_run(tmp_path / "g2p" / str(seed), 0.6, "g2p.py", seed=seed)
    text = write(
        monkeypatch, page, f"scan={tmp_path / 'scan'}", f"g2p={tmp_path / 'g2p'}"
    )
    found = {name: cells[:2] for name, cells in rows(text).items()}
    assert found["length", "exact match"] == ["13.8", "20.00, 20.00"]
    assert found["length, told the length", "exact match"] == ["23.6", "1.20, 2.20"]
    assert found["2 x 64, greedy", "WER"] == ["about 39.6", "40.0, 40.0"]
    assert found["2 x 64, beam of 5", "WER"] == ["", "1.1, 2.1"]
    assert found["2 x 64, beam of 5", "PER"] == ["", "2.2, 4.2"]
    both = "2 x 64, the 2 together"
    assert found[f"{both}, greedy", "WER"] == ["", "3.0"]
    assert found[f"{both}, beam of 5", "WER"] == ["", "3.1"]


def test_each_section_has_a_place_on_the_page():
    text = reproduce.PAGE.read_text(encoding="utf-8")
    for name in reproduce.SECTIONS:
        assert reproduce.replaced(text, name, "")
    assert text.count("<!-- /") == len(reproduce.SECTIONS)

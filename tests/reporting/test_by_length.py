"""Exact match by length: read from trials, joined in groups, drawn and written."""

import csv

import numpy as np
import pytest
from matplotlib.image import imread

from s2sjax import json_objects
from s2sjax.reporting import figure
from s2sjax.reporting.measure import measure
from s2sjax.reporting.sweep import curves_by_group, trial_files
from s2sjax.reporting.sweep import table as sweep_table
from s2sjax.reporting.sweep.csv import write_csv
from s2sjax.reporting.sweep.curves_by_group import Band, CurvePanel, draw_bands
from s2sjax.reporting.sweep.findings import find
from s2sjax.reporting.sweep.groups import estimate
from s2sjax.reporting.sweep.page import page_data
from s2sjax.reporting.sweep.pictures import draw_pictures, length_panels
from s2sjax.reporting.sweep.trial_files import ByLength, read_all
from tests.reporting import fake_sweep
from tests.reporting.fake_sweep import grid

OVERRIDES = grid(model__cell=["lstm", "gru"], model__attention=["none"], seed=[0, 1])


def tried(path, exact_of, overrides=OVERRIDES, statuses=(), **task):
    """A sweep whose trials have a test; `exact_of(overrides)` maps length to exact."""
    fake_sweep.sweep(path, overrides, statuses)
    for index, one in enumerate(overrides):
        folder = path / "trials" / f"{index:04d}-trial"
        rows = {
            str(length): {"count": 10, "exact": exact}
            for length, exact in exact_of(one).items()
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "test.json").write_text(json_objects.encode({"by_length": rows}))
        kept = {"config": {"task": task}}
        (folder / "trial.json").write_text(json_objects.encode(kept))
    table = sweep_table.read(str(path))
    (path / "report").mkdir(exist_ok=True)
    return find(table, "exact"), read_all(table)


def falling(overrides):
    """From 1 at length 2 downwards, out of order, by seed."""
    return {10: 0.25 * overrides["seed"], 2: 1.0, 5: 0.5 + 0.25 * overrides["seed"]}


def test_a_trial_has_its_lengths_in_order(tmp_path):
    _, files = tried(tmp_path, falling, name="copy", length=5, test_length=10)
    test = files[1].by_length
    assert test.lengths.tolist() == [2, 5, 10]
    assert test.exact.tolist() == [1.0, 0.75, 0.25]
    assert test.trained == 5
    assert trial_files.trained([one.by_length for one in files]) == 5


@pytest.mark.parametrize(
    ("task", "trained"),
    [
        ({"name": "copy", "length": 5}, None),
        ({"name": "copy", "length": 5, "test_length": None}, None),
        ({"name": "addition", "length": 5, "test_length": 9}, None),
        ({}, None),
    ],
)
def test_no_mark_where_the_test_is_not_longer(tmp_path, task, trained):
    _, files = tried(tmp_path, falling, **task)
    assert files[0].by_length.trained is trained


def test_numbers_have_no_lengths_and_are_not_damaged(tmp_path):
    text = json_objects.encode({"mae": 1.0, "by_step": {}})
    (tmp_path / "test.json").write_text(text)
    said = []
    assert trial_files.read(tmp_path, said.append) is trial_files.NOTHING and not said


@pytest.mark.parametrize(
    "text", ["", "[]", '{"by_length": 3}', '{"by_length": {"x": {"exact": 1}}}', "{"]
)
def test_what_is_damaged_is_left_out(tmp_path, text):
    (tmp_path / "test.json").write_text(text)
    assert not len(trial_files.read(tmp_path).lengths)


def test_a_picture_and_a_table_of_the_groups(tmp_path):
    statuses = {3: "failed"}
    found, files = tried(tmp_path, falling, statuses=statuses, length=5, test_length=9)
    (panel,) = length_panels(found, files)
    assert len(panel.bands) == 2
    lstm = panel.bands[1]
    np.testing.assert_array_equal(lstm.steps, [2, 5, 10])
    np.testing.assert_array_equal(lstm.mean, [1, 0.625, 0.125])
    wanted = [estimate(two, 1.0, 20) for two in ((1, 1), (0.5, 0.75), (0, 0.25))]
    np.testing.assert_allclose(lstm.low, [each.low for each in wanted])
    np.testing.assert_allclose(lstm.high, [each.high for each in wanted])
    assert lstm.trials == 2 and lstm.examples.tolist() == [20, 20, 20]

    drawn = draw_pictures(found, files, tmp_path / "report")
    assert "by_length.png" in [path.name for path in drawn]
    assert imread(tmp_path / "report" / "by_length.png").std() > 0.01

    lengths = [trial["lengths"] for trial in page_data(found, files)["trials"]]
    assert lengths[1] == [(2, 1, 10), (5, 0.75, 10), (10, 0.25, 10)]

    write_csv(found, tmp_path / "report", files)
    with open(tmp_path / "report" / "by_length.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model.cell"], row["length"], row["n"]) for row in rows] == [
        *(("gru", length, "1") for length in ("2", "5", "10")),  # the other failed
        *(("lstm", length, "2") for length in ("2", "5", "10")),
    ]
    values = [float(rows[4][name]) for name in ("test_exact", "least", "largest")]
    assert values == [0.625, 0.5, 0.75] and rows[4]["test_examples"] == "20"
    assert float(rows[4]["test_exact_low"]) == wanted[1].low
    assert {row["interval"] for row in rows} == {"score interval at 95 %"}


def test_a_length_with_few_examples_is_drawn_as_such(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(figure, "save", lambda drawn, path: figures.append(drawn))
    few, many = (np.array([number], float) for number in (3, 123))
    test = ByLength(np.array([2.0, 5.0]), np.ones(2), np.concatenate([few, many]))
    rows = trial_files.joined([test])
    assert rows[0].estimate.low < 0.5 < 0.95 < rows[1].estimate.low
    columns = [(row.length, *row.estimate[:3], row.examples) for row in rows]
    lengths, mean, low, high, examples = np.array(columns, float).T
    panel = CurvePanel((), {0: Band(lengths, mean, low, high, 1, examples)})
    draw_bands([panel], None, measure("exact"), tmp_path / "a.png", axis=LENGTHS)
    (dots,) = [c for c in figures[0].axes[0].collections if len(c.get_sizes())][-1:]
    assert dots.get_sizes()[1] > 5 * dots.get_sizes()[0]
    said = figures[0].texts[-1].get_text().replace("\n", " ")
    assert said == "line: mean of n = 1; band: interval; marker: 3 to 123 examples"


LENGTHS = curves_by_group.Axis("symbols", "test", "interval")


def test_nothing_is_drawn_of_tests_with_one_length(tmp_path):
    found, files = tried(tmp_path, falling, length=5, test_length=9)
    draw_pictures(found, files, tmp_path / "report")
    write_csv(found, tmp_path / "report", files)
    found, files = tried(tmp_path, lambda one: {5: 0.5})
    names = [path.name for path in draw_pictures(found, files, tmp_path / "report")]
    assert "by_length.png" not in names
    assert not (tmp_path / "report" / "by_length.png").exists()  # the older one goes
    written = write_csv(found, tmp_path / "report", files)
    assert [path.name for path in written] == ["trials.csv", "groups.csv"]
    assert not (tmp_path / "report" / "by_length.csv").exists()

"""The pictures of a sweep: colours and lines that follow the data, whole files."""

import csv
import math

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from s2sjax.errors import RunError
from s2sjax.reporting.measure import measure
from s2sjax.reporting.sweep import table as sweep_table
from s2sjax.reporting.sweep.csv import write_csv
from s2sjax.reporting.sweep.curves_by_group import Curve, band
from s2sjax.reporting.sweep.findings import find
from s2sjax.reporting.sweep.groups import Estimate
from s2sjax.reporting.sweep.heatmap import Cell, Panel, scale_of
from s2sjax.reporting.sweep.pictures import curve_panels, draw_pictures
from s2sjax.reporting.sweep.report import show_findings
from s2sjax.reporting.sweep.trial_files import read_all
from tests.reporting import fake_sweep
from tests.reporting.fake_sweep import grid, row, write


def draw(path, overrides, statuses=(), metric="exact", **options):
    table = sweep_table.read(str(fake_sweep.sweep(path, overrides, statuses)))
    found, files = find(table, metric), read_all(table)
    (path / "report").mkdir(exist_ok=True)
    drawn = draw_pictures(found, files, path / "report", **options)
    return [picture.name for picture in drawn]


@pytest.mark.parametrize("kind", fake_sweep.EVERY_KIND)
@pytest.mark.parametrize("metric", ["exact", "nll"])
def test_every_kind_of_sweep_is_drawn(tmp_path, kind, metric):
    overrides, statuses = fake_sweep.EVERY_KIND[kind]
    if kind in ("none done", "all failed") and metric == "nll":
        pytest.skip("no trial has it yet")
    names = draw(tmp_path, overrides, statuses, metric)
    fields = {field for one in overrides for field in one} - {"seed"}
    values = [{str(one.get(field)) for one in overrides} for field in fields]
    factors = sum(len(its) > 1 for its in values)
    some = len(statuses) < len(overrides)
    assert ("heatmap.png" in names) == (factors > 1 and some)
    assert ("levels.png" in names) == (factors == 1 and some)
    assert "curves.png" in names
    assert sorted(names) == sorted(p.name for p in (tmp_path / "report").iterdir())
    for name in names:
        assert imread(tmp_path / "report" / name).std() > 0.01


def test_cells_have_the_colours_of_their_means(tmp_path):
    overrides = grid(task__length=[5, 10, 20], task__cardinality=[10, 50])
    draw(tmp_path, overrides)
    picture = imread(tmp_path / "report" / "heatmap.png")[..., :3]
    found = [fake_sweep.exact_of(one) for one in overrides]
    low, high = min(found), max(found)  # the colours tell apart what is there
    centres = {}
    for one in overrides:
        place = (fake_sweep.exact_of(one) - low) / (high - low)
        wanted = matplotlib.colormaps["viridis"](place)[:3]
        close = np.abs(picture - np.array(wanted)).max(-1) < 0.012
        close[:, int(0.8 * picture.shape[1]) :] = False  # the colour bar
        assert close.sum() > 3000, one
        place = np.median(np.argwhere(close), axis=0)
        centres[one["task.length"], one["task.cardinality"]] = place
    for cardinality in (10, 50):  # longer is farther right
        columns = [centres[length, cardinality][1] for length in (5, 10, 20)]
        assert columns == sorted(columns)
    for length in (5, 10, 20):  # more symbols are higher up
        assert centres[length, 50][0] < centres[length, 10][0]


def test_shares_that_are_near_have_colours_far_apart(tmp_path):
    def scale(*means):
        cells = {
            (0, place): Cell(Estimate(mean, mean, mean, 1), ("done",))
            for place, mean in enumerate(means)
        }
        return scale_of(measure("exact"), [Panel((), cells)])

    assert scale(0.88, 0.97) == (0.88, 0.97)
    # What hardly differs is no hill, and no colour stands for more than all.
    np.testing.assert_allclose(scale(0.5, 0.501), (0.4905, 0.5105))
    np.testing.assert_allclose(scale(1.0, 1.0), (0.98, 1.0))


def test_many_panels_go_to_several_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr("s2sjax.reporting.sweep.heatmap.PANELS", 2)
    fields = {"task__length": [5, 10], "task__cardinality": [10, 50]}
    overrides = grid(**fields, model__units=[8, 16, 32])
    names = draw(tmp_path, overrides)
    assert [name for name in names if name.startswith("heatmap")] == [
        "heatmap.png",
        "heatmap-2.png",
    ]
    again = draw(tmp_path, grid(task__length=[5, 10]))
    assert again == ["levels.png", "curves.png", "sensitivity.png"]
    assert len(list((tmp_path / "report").iterdir())) == 3  # the older ones are gone


def test_too_many_panels_are_left_out_with_a_word(tmp_path, monkeypatch):
    monkeypatch.setattr("s2sjax.reporting.sweep.pictures.PAGES", 1)
    monkeypatch.setattr("s2sjax.reporting.sweep.curves_by_group.PANELS", 2)
    said = []
    overrides = grid(task__length=[5, 10], task__cardinality=[1, 2, 3, 4, 5])
    assert draw(tmp_path, overrides, say=said.append).count("curves.png") == 1
    assert said == ["curves: 3 panels are not drawn; index.html has them"]


def test_a_band_is_the_mean_least_and_largest_at_every_step():
    rng = np.random.default_rng(0)
    steps = np.arange(10.0, 60.0, 10)
    values = rng.uniform(size=(3, 5))
    found = band([Curve(steps, row, over=True) for row in values])
    np.testing.assert_array_equal(found.steps, steps)
    np.testing.assert_allclose(found.mean, values.mean(0))
    np.testing.assert_allclose(found.low, values.min(0))
    np.testing.assert_allclose(found.high, values.max(0))


def test_a_trial_that_stopped_early_keeps_its_last_value():
    steps = np.array([1.0, 2.0, 3.0])
    longer = Curve(steps, np.array([0.0, 0.5, 1.0]), over=True)
    for over, expected in ((True, [0.1, 0.4, 0.65]), (False, [0.1, 0.4, 1.0])):
        shorter = Curve(steps[:2], np.array([0.2, 0.3]), over)
        np.testing.assert_allclose(band([longer, shorter]).mean, expected)
    # One that begins later does not count before.
    later = Curve(steps[1:], np.array([0.3, 0.4]), over=True)
    np.testing.assert_allclose(band([longer, later]).mean, [0.0, 0.4, 0.7])
    assert (
        len(band([]).steps) == len(band([Curve(*[np.zeros(0)] * 2, True)]).steps) == 0
    )


def test_curves_are_told_apart_by_group(tmp_path):
    overrides = fake_sweep.LENGTHS_AND_CARDINALITIES
    table = sweep_table.read(str(fake_sweep.sweep(tmp_path, overrides)))
    panels = curve_panels(find(table, "exact"), read_all(table))
    assert [panel.title for panel in panels] == [
        ("cardinality = 10",),
        ("cardinality = 50",),
    ]
    for panel, cardinality in zip(panels, (10, 50), strict=True):
        for level, length in enumerate((5, 10, 20)):
            last = [
                fake_sweep.exact_of(o)
                for o in overrides
                if (o["task.length"], o["task.cardinality"]) == (length, cardinality)
            ]
            np.testing.assert_allclose(panel.bands[level].mean[-1], np.mean(last))
            np.testing.assert_allclose(panel.bands[level].low[-1], np.min(last))


def test_a_damaged_journal_is_told_and_the_other_lines_are_drawn(tmp_path):
    overrides = grid(task__length=[5, 10])
    fake_sweep.sweep(tmp_path, overrides)
    journal = tmp_path / "trials" / "0000-trial" / "metrics.jsonl"
    journal.write_text("{\n" + journal.read_text())
    said = []
    table = sweep_table.read(str(tmp_path))
    files = read_all(table, said.append)
    assert len(files[0].valid) == len(files[1].valid) > 0
    assert len(said) == 1 and "1 of 8 lines are damaged or missing" in said[0]


@pytest.mark.parametrize("samples", [None, [], "abc", [1], [["a"]], [["a", 1, None]]])
def test_odd_samples_are_left_out_or_made_text(tmp_path, samples):
    line = {"step": 9, "kind": "samples", "samples": samples}
    entries = [*fake_sweep.journal(0.5, samples=False), line]
    write(tmp_path, [row(0, {}, exact=0.5)], {0: entries})
    (files,) = read_all(sweep_table.read(str(tmp_path)))
    assert all(isinstance(part, str) for sample in files.samples for part in sample)
    assert len(files.samples) == (samples == [["a", 1, None]])


def test_a_share_is_rounded_but_never_to_all_or_nothing():
    exact = measure("exact")
    assert [exact.text(v) for v in (0.0, 0.001, 0.5, 0.994, 0.9999, 1.0)] == [
        *("0", "<1", "50", "99", ">99", "100")
    ]


def test_files_have_what_the_table_has(tmp_path):
    overrides = fake_sweep.LENGTHS_AND_CARDINALITIES
    path = fake_sweep.sweep(tmp_path, overrides, {0: "failed"})
    found = find(sweep_table.read(str(path)), "exact")
    write_csv(found, tmp_path)
    trials = np.genfromtxt(
        tmp_path / "trials.csv", delimiter=",", names=True, dtype=None, encoding="utf-8"
    )
    assert len(trials) == 18 and math.isnan(trials["valid_exact"][0])
    assert trials["seed"].tolist() == [0, 1, 2] * 6
    assert set(trials["best_step"][1:].tolist()) == {100}
    expected = [fake_sweep.exact_of(one) for one in overrides[1:]]
    for split in ("valid", "test"):
        np.testing.assert_allclose(trials[f"{split}_exact"][1:], expected)
    grouped = np.genfromtxt(tmp_path / "groups.csv", delimiter=",", names=True)
    means = [group.estimate.mean for group in found.groups]
    np.testing.assert_allclose(grouped["valid_exact"], means)
    for split in ("valid", "test"):
        assert grouped[f"{split}_exact_n"].tolist() == [2, 3, 3, 3, 3, 3]
    lows = [group.estimate.low for group in found.groups]
    np.testing.assert_allclose(grouped["valid_exact_low"], lows)
    assert (grouped["valid_exact_low"] >= 0).all()
    assert (grouped["test_exact_high"] <= 1).all()
    with open(tmp_path / "groups.csv") as file:
        kinds = {row["interval"] for row in csv.DictReader(file)}
    assert kinds == {"score interval at 95 %"}


def test_a_folder_that_is_not_there_is_a_run_error(tmp_path):
    table = sweep_table.read(str(fake_sweep.sweep(tmp_path, grid(seed=[0]))))
    with pytest.raises(RunError, match="No such file"):
        write_csv(find(table, "exact"), tmp_path / "nowhere")


class Lines(list):
    """A screen that keeps its lines."""

    terminal, unicode, columns = False, True, 100

    def line(self, text):
        self.append(str(text))


@pytest.mark.parametrize("kind", fake_sweep.EVERY_KIND)
def test_every_kind_of_sweep_is_told(tmp_path, kind):
    overrides, statuses = fake_sweep.EVERY_KIND[kind]
    table = sweep_table.read(str(fake_sweep.sweep(tmp_path, overrides, statuses)))
    screen = Lines()
    show_findings(find(table, "exact"), screen)
    noun = "trial" if len(overrides) == 1 else "trials"
    assert f": {len(overrides)} {noun} (" in screen[0]
    done = len(statuses) < len(overrides)
    last = screen[-1]
    # The best is trained again where nothing is yet.
    command = f"  s2sjax train --config={tmp_path}"
    assert last.startswith(command if done else "No trial with")
    if "failed" in dict(statuses).values():
        assert any("diverged </script>" in line for line in screen)

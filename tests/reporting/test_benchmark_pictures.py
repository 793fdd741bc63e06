"""The Pareto front against a plain loop, and pictures of strategies."""

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Annotation

from s2sjax.benchmark.result import COLUMNS, Result, as_csv
from s2sjax.errors import RunError
from s2sjax.reporting import figure
from s2sjax.reporting.benchmark.pareto import (
    Panel,
    Point,
    draw_quality_speed,
    pareto_front,
)
from s2sjax.reporting.benchmark.report import draw_benchmark, show_benchmark
from s2sjax.reporting.screen import Screen

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30)


@given(POINTS)
def test_the_front_is_what_no_point_beats(points):
    wanted = set()
    for point in points:
        beaten = any(
            other != point and other[0] >= point[0] and other[1] >= point[1]
            for other in points
        )
        if not beaten:
            wanted.add(point)
    front = pareto_front(points)
    assert [points[place] for place in front] == sorted(wanted)
    assert all(points.index(points[place]) == place for place in front)


def row(strategy, batch_size, speed, exact, **changes):
    given = dict.fromkeys(COLUMNS, 0.5) | {
        "run": "run",
        "strategy": strategy,
        "batch_size": batch_size,
        "examples": 100,
        "exact": exact,
        "sequences_per_second": speed,
        "programs": 1,
        "bleu": None,
        "chrf": None,
        "search_reference": "best known",
        **{name: None for name in COLUMNS if name.startswith("torch_")},
    }
    return Result(**(given | changes))


def rows():
    strategies = ("greedy", "beam:size=2", "beam:size=5", "beam:size=10", "sample")
    return [
        row(
            strategy,
            batch,
            100 * batch**0.7 / (1 + place),
            0.9 + 0.002 * min(place, 3) - 0.3 * (strategy == "sample"),
            search_errors=0.2 / (1 + place),
            logprob=-2 + 0.1 * place,
        )
        for place, strategy in enumerate(strategies)
        for batch in (1, 32, 256)
    ]


@pytest.fixture
def kept(monkeypatch):
    """The figures that would have been saved."""
    figures = []
    monkeypatch.setattr(figure, "save", lambda drawn, path: figures.append(drawn))
    return figures


def test_names_of_the_front_cover_nothing(tmp_path, kept):
    points = [
        Point(each.strategy, f"batch {each.batch_size}", each.sequences_per_second, q)
        for each, q in zip(rows(), np.linspace(1, 0.98, 15), strict=True)
    ]
    panel = Panel("", "exact match, %", points)
    draw_quality_speed([panel], tmp_path / "picture.png", "title")
    (figure,) = kept
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    annotations = [child for child in axes.texts if isinstance(child, Annotation)]
    names = [child for child in annotations if child.get_text()]  # not a line
    boxes = [name.get_window_extent() for name in names]
    assert len(names) == len(pareto_front([(p.speed, p.quality) for p in points]))
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place])
        for x, y in axes.transData.transform([(p.speed, p.quality) for p in points]):
            assert not box.contains(x, y)


def test_pictures_are_drawn_where_there_is_something_to_see(tmp_path):
    drawn = draw_benchmark(rows()[:6], [["run"]], tmp_path, "title")
    assert [path.name for path in drawn] == ["quality_speed.png", "beam_size.png"]
    assert all(imread(path).std() > 0.05 for path in drawn)
    drawn = draw_benchmark(rows()[:6], [["run"]], tmp_path, "title", "svg")
    assert [path.name for path in drawn] == ["quality_speed.svg", "beam_size.svg"]


def test_an_axis_ends_where_numbers_can(tmp_path, kept):
    sure = [
        dataclasses.replace(each, logprob=-1e-4 * place, exact=1.0, search_errors=1.0)
        for place, each in enumerate(rows())
    ]
    draw_benchmark(sure, [["run"]], tmp_path, "title")
    quality, errors, probability = kept[1].axes
    assert probability.get_ylim()[1] == 0.0  # of log p
    assert quality.get_ylim()[1] == errors.get_ylim()[1] == 100.0
    assert kept[0].axes[0].get_ylim()[1] == 100.0


def test_one_size_of_beam_is_no_curve(tmp_path, kept):
    alone = [each for each in rows() if each.strategy == "beam:size=5"]
    assert len(draw_benchmark(alone, [["run"]], tmp_path, "title")) == 1
    assert len(kept) == 1


def test_runs_of_different_tasks_have_panels_of_their_own(tmp_path, kept):
    other = [dataclasses.replace(each, run="other", bleu=50.0) for each in rows()]
    draw_benchmark([*rows(), *other], [["run"], ["other"]], tmp_path, "title")
    assert len(kept[0].axes) == 2


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(RunError, match="cannot write"):
        draw_benchmark(rows()[:1], [["run"]], tmp_path / "missing", "title")


def test_the_tables_say_quality_once_and_speed_each_time(capsys):
    show_benchmark(rows(), ["a note"], Screen(), "valid")
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("beam:size=10") for line in lines) == 1 + 3
    assert "a note" in lines and any("valid examples of each run" in x for x in lines)
    assert not any("PyTorch" in line or "BLEU" in line for line in lines)


def test_the_csv_has_a_line_for_each_row_and_nothing_for_none():
    header, *lines = as_csv(rows()).splitlines()
    assert header.split(",") == list(COLUMNS)
    assert len(lines) == len(rows())
    assert lines[0].split(",")[COLUMNS.index("bleu")] == ""


@pytest.mark.parametrize(
    ("at_once", "said"), [(2, "with 2 batches at once"), (1, "batch by batch")]
)
def test_the_table_says_what_its_columns_are(at_once, said):
    file = io.StringIO()
    rows = [row("greedy", 1, 90.0, 0.5, batches_at_once=at_once)]
    show_benchmark(rows, [], Screen(file, width=100), "test")
    shown = " ".join(file.getvalue().split())
    assert "length ratio" in shown and "length ratio: output over reference" in shown
    assert f"seq/s and tokens/s: {said}; ms: of a batch alone" in shown

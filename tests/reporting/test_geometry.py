"""The geometry of every picture: nothing is cut, nothing overlaps, all data is seen.

What a person would see by looking is asked of matplotlib: the boxes of all texts,
legends and panels, and the places of all data, in the pixels of the saved file.
"""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from s2sjax import json_objects
from s2sjax.forecasts import LEVELS, Forecasts
from s2sjax.reporting.alignment import Alignment, draw_alignments
from s2sjax.reporting.benchmark.report import draw_benchmark
from s2sjax.reporting.calibration import draw_calibration
from s2sjax.reporting.curves import draw_curves
from s2sjax.reporting.fan_chart import Fan, draw_fans
from s2sjax.reporting.sweep import table as sweep_table
from s2sjax.reporting.sweep.findings import find
from s2sjax.reporting.sweep.pictures import draw_pictures
from s2sjax.reporting.sweep.trial_files import read_all
from tests.reporting import fake_sweep
from tests.reporting.fake_sweep import grid
from tests.reporting.test_benchmark_pictures import rows

SLACK = 1.0  # pixels


def faults(figure):
    """What is wrong with the geometry of a figure, a line each."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    canvas, axes = figure.bbox, [one for one in figure.axes if one.axison]
    texts = [(text, corners(text, renderer)) for text in shown_texts(figure)]
    panels = [(one, one.get_window_extent(renderer)) for one in axes]
    legends = [*figure.legends, *(one.get_legend() for one in axes)]
    found = []
    for text, points in texts:
        if not holds(canvas, points):
            found.append(f"'{text.get_text()}' is outside the canvas")
    for legend in filter(None, legends):
        box = legend.get_window_extent(renderer)
        if not holds(canvas, box.corners()):
            found.append("a legend is outside the canvas")
        for panel, inside in panels:
            if covers(box, inside):
                found.append(f"a legend covers the panel '{panel.get_title()}'")
    for panel, inside in panels:
        if not holds(canvas, inside.corners()):
            found.append(f"the panel '{panel.get_title()}' is outside the canvas")
        for artist, points in data_of(panel):
            if not holds(inside, points):
                found.append(f"{artist} leaves the panel '{panel.get_title()}'")
        for text, points in texts:
            if text.axes is not panel and overlap(points, inside.corners()):
                found.append(f"'{text.get_text()}' lies in another panel")
    folded = {line for text, _ in texts for line in text.get_text().splitlines()}
    found += [f"'{part}' is part of a word" for part in folded & {"sour", "outp"}]
    for (one, its), (other, others) in itertools.combinations(texts, 2):
        if overlap(its, others):
            found.append(f"'{one.get_text()}' and '{other.get_text()}' overlap")
    return found


def shown_texts(figure):
    hidden = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in hidden_labels(axis)
    }
    off = {id(text) for axes in figure.axes if not axes.axison for text in texts(axes)}
    return [
        text
        for text in texts(figure)
        if text.get_visible()
        and text.get_text().strip()
        and id(text) not in hidden
        and id(text) not in off
    ]


def texts(artist):
    return artist.findobj(Text)


def hidden_labels(axis: Axis):
    """Labels of ticks beyond the ends of the axis, which nobody draws."""
    low, high = sorted(axis.get_view_interval())
    room = 1e-9 * (high - low)
    for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
        if not low - room <= tick.get_loc() <= high + room:
            yield from (tick.label1, tick.label2)


def corners(text, renderer):
    """The corners of a text's own rectangle, which may be turned."""
    turned = text.get_rotation()
    box = text.get_window_extent(renderer)
    text.set_rotation(0)
    straight = text.get_window_extent(renderer)
    text.set_rotation(turned)
    half = np.array([straight.width, straight.height]) / 2 - SLACK / 2
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    c, s = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    centre = (box.min + box.max) / 2
    return centre + (signs * np.maximum(half, 0)) @ np.array([[c, s], [-s, c]])


def holds(box, points):
    return (points >= box.min - SLACK).all() and (points <= box.max + SLACK).all()


def covers(one, other):
    both = Bbox.intersection(one, other)
    return both is not None and min(both.width, both.height) > SLACK


def overlap(one, other):
    """Whether two rectangles share more than an edge, by the separating axes."""
    for points in (one, other):
        for place in (0, 1):
            edge = points[place + 1] - points[place]
            if not edge.any():
                return False
            across = np.array([-edge[1], edge[0]]) / np.linalg.norm(edge)
            a, b = one @ across, other @ across
            if min(a.max(), b.max()) - max(a.min(), b.min()) <= SLACK:
                return False
    return True


def data_of(axes):
    """The artists that stand for data, each with its points in pixels."""
    for artist in axes.get_children():
        if not artist.get_visible() or not artist.get_transform().contains_branch(
            axes.transData
        ):
            whole = isinstance(artist, Collection) and (
                artist.get_offset_transform().contains_branch(axes.transData)
            )
            if not whole:
                continue
        if isinstance(artist, Line2D):
            if not all(
                artist.get_transform().contains_branch_seperately(axes.transData)
            ):
                continue  # a mark across the whole panel
            points = artist.get_xydata()
        elif isinstance(artist, AxesImage):
            left, right, bottom, top = artist.get_extent()
            points = np.array([(left, bottom), (right, top)])
        elif isinstance(artist, Collection):
            paths = [path.vertices for path in artist.get_paths()]
            offsets = artist.get_offsets()
            moved = artist.get_offset_transform().contains_branch(axes.transData)
            points = (
                offsets if moved and len(offsets) else np.concatenate(paths or [[]])
            )
        else:
            continue
        points = np.asarray(points, float).reshape(-1, 2)
        points = points[np.isfinite(points).all(1)]
        if len(points):
            yield artist, axes.transData.transform(points)


@pytest.fixture
def saved(monkeypatch):
    """The figures that were saved, each with the name of its file."""
    figures = {}
    save = Figure.savefig

    def kept(figure, *args, **options):
        save(figure, *args, **options)
        figures[f"{len(figures)}"] = faults(figure)

    monkeypatch.setattr(Figure, "savefig", kept)
    return figures


LONG = "adamw(weight_decay=0.01, nesterov=true, "
KINDS = {
    "wide labels": grid(
        train__optimizer=[LONG + "b1=0.9)", LONG + "b1=0.95)", "sgd"],
        model__cell_with_a_name_that_goes_on_and_on=["lstm of " + "l" * 40, "gru"],
        seed=[0, 1],
    ),
    "one trial": [{"task.length": 5, "seed": 1}],
    "40 trials": grid(
        task__length=[*range(5, 55, 5)], task__cardinality=[10, 50], seed=[0, 1]
    ),
    "40 levels": grid(task__name=[f"pattern_{i}.py:name_{i}" for i in range(40)]),
    "40 rates": [{"train.learning_rate": 1.1e-4 * 1.2**i} for i in range(40)],
    "one factor": grid(model__cell=["lstm", "gru", "rnn"], seed=[0, 1, 2]),
    "four factors": grid(
        task__length=[5, 10],
        model__attention=["none", "bahdanau"],
        model__layers=[1, 2],
        train__learning_rate=[1e-4, 3e-4, 1e-3],
    ),
}


def sweep(path, overrides, metric="exact"):
    """Draws a sweep whose trials differ in how long they trained and were tested."""
    fake_sweep.sweep(path, overrides)
    for index, one in enumerate(overrides):
        folder = path / "trials" / f"{index:04d}-trial"
        last = 1000 if index % 3 == 2 else 300
        entries = fake_sweep.journal(
            fake_sweep.exact_of(one), range(last // 10, last + 1, last // 10)
        )
        text = "".join(f"{json.dumps(entry)}\n" for entry in entries)
        (folder / "metrics.jsonl").write_text(text)
        longest = 40 if index % 3 == 2 else 20
        by_length = {
            str(length): {"count": max(3, 123 - 6 * length), "exact": 2 / length}
            for length in range(2, longest + 1, 2)
        }
        (folder / "test.json").write_text(json_objects.encode({"by_length": by_length}))
    table = sweep_table.read(str(path))
    (path / "report").mkdir(exist_ok=True)
    return draw_pictures(find(table, metric), read_all(table), path / "report")


@pytest.mark.parametrize(
    "kind, metric", [*((kind, "exact") for kind in KINDS), ("40 trials", "nll")]
)
def test_pictures_of_a_sweep(tmp_path, saved, kind, metric):
    paths = sweep(tmp_path / "a_sweep_with_a_name", KINDS[kind], metric)
    assert len(saved) == len(paths) >= 2
    wrong = {path.name: f for path, f in zip(paths, saved.values(), strict=True) if f}
    assert not wrong


def run(steps, loss=3.0, exact=0.9):
    entries = []
    for step in steps:
        entries.append({"kind": "train", "step": step, "loss": loss / step})
        share = exact * step / max(steps)
        shares = {
            "exact": share,
            "token_accuracy": share**0.5,
            "forced_token_accuracy": share**0.3,
        }
        entries.append(
            {"kind": "valid", "step": step, "nll": 1.2 * loss / step, **shares}
        )
    return entries


@pytest.mark.parametrize(
    "entries",
    [
        run(range(10, 1001, 10)),
        run(range(10, 41, 10), loss=3e6),
        run(range(10_000, 1_000_001, 10_000), loss=1e-7, exact=1.0),
        run([1]),
        run(range(10, 101, 10), exact=0.0),
        run(range(10, 101, 10))[::2],
    ],
    ids=["usual", "wide labels", "long", "one step", "nothing right", "no valid"],
)
def test_pictures_of_a_run(tmp_path, saved, entries):
    name = "a run whose name is rather long, as those with a date and a host are " * 2
    draw_curves(entries, tmp_path / "curves.png", name)
    assert saved == {"0": []}


def alignment(source, target, title=""):
    weights = np.random.default_rng(0).dirichlet(np.ones(source), target + 1)
    symbols = ["漢", "ab", "zwölf", "x"]
    words = [symbols[i % 4] for i in range(max(source, target))]
    return Alignment(weights, words[:source], words[:target], title)


@pytest.mark.parametrize(
    "shapes",
    [
        [(10, 10)],
        [(1, 1)],
        [(1, 0)],
        [(2, 1)],
        [(1, 1), (2, 2), (1, 1)],
        [(60, 60)],
        [(40, 3), (3, 40)],
        [(3, 4), (10, 9), (5, 12), (8, 8), (2, 2)],
        [(10, 10)] * 7,
    ],
)
def test_pictures_of_attention(tmp_path, saved, shapes):
    drawn = [alignment(*shape) for shape in shapes]
    draw_alignments(drawn, tmp_path / "attention.png")
    assert saved == {"0": []}


@pytest.mark.parametrize("several", [False, True])
def test_pictures_of_a_benchmark(tmp_path, saved, several):
    measured = rows()
    groups = [["run"]]
    if several:
        name = "a run with a long name"
        measured += [dataclasses.replace(row, run=name) for row in rows()]
        groups.append([name])
    draw_benchmark(measured, groups, tmp_path, "a title " * 12)
    assert [*saved.values()] == [[], []]


def fan(history, steps, size=1.0, gaps=0.0, intervals=True):
    random = np.random.default_rng(0)
    observed = random.normal(size=history + steps) * size
    observed[random.uniform(size=len(observed)) < gaps] = np.nan
    median = np.linspace(-1, 1, steps) * size
    spread = (np.array(LEVELS) - 0.5) * size
    quantiles = median[:, None] + spread if intervals else None
    title = "a series whose name is rather long, as some are, and its start"
    return Fan(observed[:history], observed[history:], median, quantiles, title)


@pytest.mark.parametrize(
    "fans",
    [
        [fan(48, 24)],
        [fan(1, 1)],
        [fan(0, 5)],
        [fan(500, 2, size=1e7), fan(9, 30, size=1e-7)],
        [fan(20, 10, gaps=0.6), fan(20, 10, gaps=1.0), fan(8, 8, intervals=False)],
        [fan(24, 12)] * 7,
    ],
    ids=["usual", "one step", "no history", "wide labels", "gaps", "many"],
)
def test_pictures_of_forecasts(tmp_path, saved, fans):
    draw_fans(fans, tmp_path / "fans.png")
    assert saved == {"0": []}


@pytest.mark.parametrize("steps", [1, 12])
def test_the_picture_of_their_calibration(tmp_path, saved, steps):
    y = np.random.default_rng(0).normal(size=(50, steps, 1))
    quantiles = np.broadcast_to(np.linspace(-1, 1, len(LEVELS)), (*y.shape, 13))
    series = np.zeros(50, int)
    found = Forecasts(y, y, y, y[:, 0], series, quantiles)
    draw_calibration(found, tmp_path / "calibration.png")
    assert saved == {"0": []}

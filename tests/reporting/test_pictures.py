"""Pictures: files that are whole, and pixels that follow the data."""

import errno
import itertools
import math
import os

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.image import imread

from s2sjax.errors import RunError
from s2sjax.forecasts import LEVELS, Forecasts
from s2sjax.reporting import alignment, figure, fonts
from s2sjax.reporting.alignment import Alignment, draw_alignments
from s2sjax.reporting.calibration import draw_calibration
from s2sjax.reporting.curves import draw_curves
from s2sjax.reporting.fan_chart import Fan, draw_fans
from s2sjax.reporting.figure import look, style


def journal(exact=0.5, steps=(10, 20, 30)):
    entries = []
    for step in steps:
        entries.append({"kind": "train", "step": step, "loss": 3 / step})
        values = {"exact": exact, "token_accuracy": 0.7, "forced_token_accuracy": 0.8}
        entries.append({"kind": "valid", "step": step, "nll": 4 / step, **values})
    return entries


def coloured(path, colour):
    """The rows and columns of the pixels that are nearly of a colour."""
    wanted = np.array(matplotlib.colors.to_rgb(colour))
    return np.nonzero(np.abs(imread(path)[..., :3] - wanted).max(-1) < 0.05)


def test_curves_follow_the_data(tmp_path):
    heights = {}
    for exact in (0.1, 0.9):
        draw_curves(journal(exact), tmp_path / "curves.png", "title")
        rows, columns = coloured(tmp_path / "curves.png", "#009E73")
        width = imread(tmp_path / "curves.png").shape[1]
        heights[exact] = np.median(rows[columns > 0.75 * width])
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert heights[0.1] - heights[0.9] > 200  # higher is nearer to row 0


def test_a_picture_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    draw_curves(journal(), path, "title")
    before = path.read_bytes()

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(RunError, match="No space left"):
            draw_curves([], path, "title")
    assert path.read_bytes() == before
    draw_curves([], path, "title")
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


def test_the_best_step_is_marked(tmp_path):
    pictures = []
    for step in (10, 30):
        draw_curves(journal(), tmp_path / "curves.png", "title", best_step=step)
        pictures.append(imread(tmp_path / "curves.png"))
    assert pictures[0].shape == pictures[1].shape
    assert (pictures[0] != pictures[1]).any()


@pytest.mark.parametrize(
    "entries",
    [
        [],
        journal(steps=(7,)),
        [{"kind": "train", "step": 5, "loss": None}],
        [{"kind": "valid", "step": 5, "exact": math.nan, "nll": math.inf}],
        [*journal(), {"kind": "train", "step": 40, "loss": None}, {"step": 1}],
        [{"kind": "train", "step": 0, "loss": 0.0}],
        [{"kind": "train", "step": s, "loss": (-1) ** s} for s in range(5)],
    ],
)
def test_odd_journals_are_drawn(tmp_path, entries):
    draw_curves(entries, tmp_path / "curves.png", "odd $\\frac{$ 漢 \x1b")
    assert imread(tmp_path / "curves.png").std() > 0.01


def test_long_journals_are_drawn(tmp_path):
    draw_curves(journal(steps=range(10, 50_000, 10)), tmp_path / "curves.png", "long")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_drawing_changes_no_settings(tmp_path):
    before = dict(matplotlib.rcParams)
    draw_curves(journal(), tmp_path / "curves.png", "title")
    assert dict(matplotlib.rcParams) == before


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(RunError, match=r"cannot write .*curves\.png: No such file"):
        draw_curves([], tmp_path / "nowhere" / "curves.png", "")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(RunError, match="Is a directory"):
        draw_curves([], tmp_path / "folder.png", "")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_fonts_are_in_the_file(tmp_path):
    draw_curves(journal(), tmp_path / "curves.pdf", "title")
    written = (tmp_path / "curves.pdf").read_bytes()
    assert b"/FontFile2" in written and b"/Type3" not in written
    draw_curves(journal(), tmp_path / "curves.svg", "title")
    assert "<text" not in (tmp_path / "curves.svg").read_text()  # outlines


def test_a_style_of_ones_own(tmp_path, monkeypatch):
    own = tmp_path / "own.mplstyle"
    monkeypatch.setenv("S2SJAX_STYLE", str(own))
    own.write_text("figure.facecolor: black\n")
    draw_curves(journal(), tmp_path / "curves.png", "title")
    assert not imread(tmp_path / "curves.png")[0, 0, :3].any()
    for text, reason in (
        ("figure.facecolour: black", "Bad key figure.facecolour in file"),
        ("figure.facecolor: blakc", "blakc"),
        ("figure.facecolor", "Missing colon in file"),
    ):
        own.write_text(text)
        with pytest.raises(RunError, match=f"S2SJAX_STYLE=.*{reason}"):
            draw_curves(journal(), tmp_path / "other.png", "title")
    own.unlink()
    with pytest.raises(RunError, match="there is no such file"):
        draw_curves(journal(), tmp_path / "other.png", "title")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_lines_differ_without_their_colours_too():
    with style():
        looks = [look(place) for place in range(7)]
    for name in ("color", "marker"):
        assert len({one[name] for one in looks}) == 7
    lines = [one["linestyle"] for one in looks]
    assert all(a != b for a, b in itertools.pairwise(lines))


@pytest.fixture
def devanagari(tmp_path, monkeypatch):
    """An installed font that has one letter of Devanagari, KA."""
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "ka"])
    builder.setupCharacterMap({0x915: "ka"})
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 900), (900, 900), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "ka": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "ka": (1000, 0)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "One Letter", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "one.ttf")
    manager = font_manager.fontManager
    monkeypatch.setattr(manager, "ttflist", [*manager.ttflist])
    fonts._characters.cache_clear()
    manager.addfont(tmp_path / "one.ttf")
    yield
    fonts._characters.cache_clear()


def test_a_font_is_asked_for_that_has_the_characters(tmp_path, capsys, devanagari):
    symbols = ["a", "\u0915"]
    Alignment(np.eye(2), symbols, symbols).save(tmp_path / "map.png")
    assert capsys.readouterr().err == ""
    rows, _ = coloured(tmp_path / "map.png", "#262626")
    assert len(rows) > 2 * 20 * 20  # its letter is a full square, twice


def test_what_no_font_has_is_told_in_one_line(tmp_path, capsys):
    symbols = ["a", "\u0915", "\u0916", "\u1780", "\U0001f9ff"]
    Alignment(np.eye(5), symbols, symbols).save(tmp_path / "map.png")
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.isascii()
    assert "Devanagari (U+0915), Khmer (U+1780)" in said and "symbols (" in said


@pytest.mark.parametrize("ending,start", [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_other_formats_by_the_ending(tmp_path, ending, start):
    draw_curves(journal(), tmp_path / f"curves.{ending}", "title")
    assert (tmp_path / f"curves.{ending}").read_bytes().startswith(start)


def test_an_alignment_is_dark_where_the_weight_is(tmp_path):
    size = 8
    falling, column = np.eye(size), np.eye(size)[np.full(size, 2)]
    spreads = []
    for weights in (falling, falling[::-1], column):
        Alignment(weights, range(size), range(size)).save(tmp_path / "map.png")
        rows, columns = coloured(
            tmp_path / "map.png", matplotlib.colormaps["Blues"](1.0)
        )
        # The dark end of the colour bar is on the right.
        middle = columns < 0.8 * imread(tmp_path / "map.png").shape[1]
        spreads.append(np.cov(rows[middle], columns[middle]))
    assert spreads[0][0, 1] > 0.9 * spreads[0][0, 0]
    assert spreads[1][0, 1] < -0.9 * spreads[1][0, 0]
    assert spreads[2][0, 0] > 20 * spreads[2][1, 1]


SYMBOLS = [
    "漢",
    "ж",
    "ا",
    "$\\frac{$",
    "\\frac{",
    " ",
    "\t",
    "\u0301",
    "",
    "\x1b",
    "aujourd'hui",
]


@pytest.mark.parametrize(
    "source,output,end",
    [
        (["a"], ["b"], True),
        (["a"], [], True),
        ([], [], True),
        ([], ["b"], False),
        ([], [], False),
        (SYMBOLS, SYMBOLS[::-1], True),
        (["<unk>"] * 2, ["a very long word that nobody would write"] * 30, True),
    ],
)
def test_any_symbols_are_drawn(tmp_path, source, output, end):
    shape = (len(output) + end, len(source))
    weights = np.full(shape, 1 / max(len(source), 1))
    Alignment(weights, source, output, " ".join(source)).save(tmp_path / "map.png")
    assert imread(tmp_path / "map.png").std() > 0.01


def test_sixty_symbols_are_drawn(tmp_path):
    symbols = ["ab c"[i % 4] for i in range(60)]
    Alignment(np.eye(61, 60), symbols, symbols).save(tmp_path / "map.png")
    assert max(imread(tmp_path / "map.png").shape) < 4000


def test_cells_have_one_size_in_all_panels(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(figure, "save", lambda drawn, path: figures.append(drawn))
    shapes = [(3, 4), (10, 9), (5, 12), (8, 8), (2, 2)]
    drawn = [
        Alignment(np.ones(shape), "x" * shape[1], "x" * shape[0]) for shape in shapes
    ]
    draw_alignments(drawn, tmp_path / "map.png")
    (picture,) = figures
    cells = [
        axes.transData.transform([(1, 1)]) - axes.transData.transform([(0, 0)])
        for axes in picture.axes
        if axes.axison and axes.images
    ]
    assert len(cells) == 5
    inches = np.abs(np.concatenate(cells)) / picture.dpi
    np.testing.assert_allclose(inches, alignment._CELL, atol=0.02)  # and square
    assert "■ its end" not in picture.axes[0].get_ylabel()  # as none is drawn


def test_a_notebook_shows_an_alignment():
    found = Alignment(np.eye(2), "ab", "ab")
    assert found._repr_png_().startswith(b"\x89PNG") and "(2, 2)" in repr(found)


def test_several_alignments_share_a_figure(tmp_path):
    one = Alignment(np.eye(4), "abcd", "abc", "one")
    widths = []
    for count in (1, 3):
        assert draw_alignments([one] * count, tmp_path / "map.png") == count
        widths.append(imread(tmp_path / "map.png").shape[1])
    assert widths[1] > 2 * widths[0]
    assert draw_alignments([one] * 9, tmp_path / "map.png", panels=5) == 5


@pytest.mark.parametrize("shape", [(3, 4), (6, 4), (4, 3), (4,)])
def test_weights_of_another_shape_are_refused(tmp_path, shape):
    with pytest.raises(ValueError, match="do not belong to 4 output and 4 source"):
        Alignment(np.ones(shape), "abcd", "abcd").save(tmp_path / "map.png")
    assert not list(tmp_path.iterdir())


def test_no_alignments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no alignment"):
        draw_alignments([], tmp_path / "map.png")


def test_a_fan_is_as_wide_as_the_intervals_and_shows_what_came(tmp_path):
    heights = {}
    for spread in (0.2, 1.0):
        quantiles = np.tile(spread * (np.array(LEVELS) - 0.5), (6, 1))
        shown = Fan(np.linspace(-1, 1, 12), np.ones(6), np.zeros(6), quantiles)
        assert draw_fans([shown], tmp_path / "fan.png") == 1
        rows, columns = coloured(tmp_path / "fan.png", "#D1E3F0")  # 18 % of the blue
        inside = columns > 0.75 * imread(tmp_path / "fan.png").shape[1]
        inside &= rows > 0.3 * imread(tmp_path / "fan.png").shape[0]
        heights[spread] = np.ptp(rows[inside])
    assert heights[1.0] > 3 * heights[0.2] > 0
    with pytest.raises(ValueError, match="no forecast"):
        draw_fans([], tmp_path / "fan.png")


def test_a_curve_of_calibration_is_above_the_diagonal_of_forecasts_too_high(tmp_path):
    y = np.random.default_rng(0).normal(size=(400, 1, 1))
    places = {}
    for shift in (-1.0, 1.0):
        levels = np.quantile(y, LEVELS) + shift
        found = Forecasts(
            *(y, y, y, y[:, 0], np.zeros(400, int)),
            np.broadcast_to(levels, (*y.shape, len(LEVELS))),
        )
        draw_calibration(found, tmp_path / "calibration.png")
        rows, _ = coloured(tmp_path / "calibration.png", look(0)["color"])
        places[shift] = np.median(rows)
    assert places[1.0] < places[-1.0] - 100  # row 0 is above
    with pytest.raises(ValueError, match="no quantiles"):
        draw_calibration(found._replace(quantiles=None), tmp_path / "none.png")

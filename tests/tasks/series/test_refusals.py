"""What a file of series cannot be, each in one line that says where."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2sjax.cli import main
from s2sjax.errors import UsageError
from s2sjax.tasks import check, create
from tests.tasks.series import files

Rows = list[dict[str, Any]]


def cell(row: int, name: str, value: Any) -> Callable[[Rows], Rows]:
    def changed(rows: Rows) -> Rows:
        rows[row][name] = value
        return rows

    return changed


def column(name: str, value: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [row | {name: value} for row in rows]


def as_it_is(rows: Rows) -> Rows:
    return rows


# What is done to the rows (row n stands on line n + 2), fields, and the message.
REFUSED: list[tuple[Callable[[Rows], Rows], dict[str, Any], str]] = [
    (cell(7, "sales", "many"), {}, r"a\.csv:9, column sales: 'many' is not a number"),
    (cell(7, "promo", "yes"), {}, r"a\.csv:9, column promo: 'yes' is not a number"),
    (cell(9, "price", "inf"), {}, r"a\.csv:11, column price: inf is not a finite"),
    (
        cell(9, "stock", "-1e39"),
        {},
        r"a\.csv:11, column stock: -1e\+39 is not a finite",
    ),
    (cell(6, "day", ""), {}, r"a\.csv:8, column day: '' is not a time"),
    (cell(6, "day", "May"), {}, r"a\.csv:8, column day: 'May' is not a time"),
    (cell(6, "shop", " "), {}, r"a\.csv:8, column shop is empty"),
    (cell(6, "kind", ""), {}, r"a\.csv:8, column kind is empty"),
    (cell(6, "size", ""), {}, r"a\.csv:8, column size is empty"),
    (
        cell(6, "day", "2024-01-02"),
        {},
        r"a\.csv:8, column day: 2024-01-02T\S* stands there already",
    ),
    (
        cell(6, "day", "2023-01-01"),
        {},
        r"a\.csv:8, column day: 2023-01-01T\S* comes after 2024-01-02",
    ),
    (as_it_is, {"id": "", "static": ""}, r"a\.csv:3, column day: .* task\.id tells"),
    (cell(6, "kind", "tiny"), {}, r"a\.csv:8, column kind: tiny was small before"),
    (cell(6, "size", 3), {}, r"a\.csv:8, column size: 3\.0 was 0\.0 before"),
    (
        lambda rows: [
            row for row in rows if row["shop"] != "east" or row["day"] < "2024-01-08"
        ],
        {},
        r"a\.csv: series east has 7 rows, fewer than \S+context=6 \+ \S+horizon=3",
    ),
    (column("stock", 4), {}, r"column stock is 4 all through the training part"),
    (column("sales", ""), {}, r"column sales has no number in the training part"),
    (as_it_is, {"targets": ""}, r"task\.targets is not set"),
    (as_it_is, {"targets": "sales,sales"}, r"task\.targets names column sales twice"),
    (
        as_it_is,
        {"past": "sales"},
        r"task\.targets and task\.past both name column sales",
    ),
    (as_it_is, {"time": "shop"}, r"task\.id and task\.time both name column shop"),
    (
        as_it_is,
        {"targets": "sale"},
        r"a\.csv:1: unknown column 'sale'; did you mean 'sales'",
    ),
    (as_it_is, {"valid_from": "soon"}, r"task\.valid_from=soon is neither a time"),
    (
        as_it_is,
        {"valid_from": "0.8", "test_from": "0.5"},
        r"task\.test_from=0\.5 is before \S+valid_from=0\.8",
    ),
    (
        as_it_is,
        {"valid_from": "2024-01-02"},
        r"task\.valid_from=2024-01-02 leaves no window with a target to train",
    ),
    (
        as_it_is,
        {"test_from": "2024-02-08"},
        r"task\.test_from=2024-02-08 leaves no window with a target to test",
    ),
    (
        as_it_is,
        {"valid_from": "0.7", "test_from": "0.71"},
        r"leave no window with a target to valid",
    ),
    (as_it_is, {"scaling": "window"}, r"unknown task\.scaling 'window'"),
    (as_it_is, {"level": "word"}, r"task\.level=word means nothing to the task series"),
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment, to be told its data by flags."""
    path = tmp_path_factory.mktemp("config") / "series.py"
    path.write_text(
        "from s2sjax.config import base_config\n\n\n"
        "def get_config(arg=None):\n"
        "    config = base_config()\n"
        "    config.task.name, config.train.steps = 'series', 2\n"
        "    return config\n"
    )
    return path


@pytest.mark.parametrize(("change", "fields", "message"), REFUSED)
def test_a_file_that_cannot_be_is_refused_and_leaves_nothing(
    change: Callable[[Rows], Rows],
    fields: dict[str, Any],
    message: str,
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = files.write(tmp_path / "a.csv", change(files.rows()))
    named = files.ROLES | {"path": str(path)} | fields
    flags = [f"--config.task.{name}={value}" for name, value in named.items()]
    folder = tmp_path / "run"
    assert main(["train", f"--config={config}", f"--workdir={folder}", *flags]) == 2
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.strip()]
    assert re.search(message, error), error
    assert len([line for line in lines if re.search(message, line)]) == 1
    assert "Traceback" not in error
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.csv"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a.csv is empty"),
        ("day,sales\n", "has a first line and no rows"),
        ("day,sales\n1,2\n2,3,4\n", r"a\.csv:3 has 3 columns; the first line has 2"),
        ("day,sales,sales\n1,2,2\n", "a.csv:1: column sales stands there 2 times"),
        ('day,sales\n1,"2\n', r"a\.csv:2: a quotation begins and does not end"),
        ("day,sales\n1,2\nx,3\n", r"a\.csv:3, column day: 'x' is not a number, as"),
    ],
)
def test_a_table_that_cannot_be_says_where(
    content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    fields = {"targets": "sales", "past": "", "future": "", "static": "", "id": ""}
    with pytest.raises(UsageError, match=message):
        files.made(path, **fields)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("b.csv", r"task\.path: .*b\.csv does not exist \(did you mean .*a\.csv"),
        ("folder", "is a folder; a series is a file"),
        ("a.txt", r"is of no known form; a file of series ends with \.csv, "),
    ],
)
def test_what_is_no_file_of_series_is_said_before_it_is_read(
    name: str, message: str, tmp_path: Path
) -> None:
    for there in ("a.csv", "a.txt"):
        (tmp_path / there).write_text("y\n1\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=message):
        check(files.config(tmp_path / name))


@pytest.mark.parametrize(
    ("sales", "fields", "message"),
    [
        (2.5, {}, r"a\.csv: sales: some are fractions or below 0, and \S+negative_bin"),
        (-1, {}, r"a\.csv: sales: some are fractions or below 0"),
        (3, {"scaling": "standard"}, r"task\.scaling=standard shifts numbers"),
        (3, {"scaling": "minmax"}, r"task\.scaling=minmax shifts numbers"),
    ],
)
def test_what_is_no_count_is_not_written_as_one(
    sales: float,
    fields: dict[str, Any],
    message: str,
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [row | {"sales": n % 7} for n, row in enumerate(files.rows())]
    path = files.write(tmp_path / "a.csv", cell(9, "sales", sales)(rows))
    named = files.ROLES | {"targets": "sales", "scaling": "none", "path": path}
    flags = [f"--config.task.{name}={v}" for name, v in (named | fields).items()]
    flags.append("--config.model.output=negative_binomial")
    folder = tmp_path / "run"
    assert main(["train", f"--config={config}", f"--workdir={folder}", *flags]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and "Traceback" not in error, error
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]


def arrays(**changes: Any) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    found = {
        "source": draw.normal(size=(20, 5, 2)),
        "target": draw.normal(size=(20, 3, 1)),
        "lengths": np.full(20, 5),
    }
    return found | changes


@pytest.mark.parametrize(
    ("changes", "fields", "message"),
    [
        (
            {"source": np.zeros((20, 5))},
            {},
            r"source has shape \(20, 5\); it has three",
        ),
        ({"target": np.full((20, 3, 1), "a")}, {}, "target is of <U1, not of numbers"),
        ({"target": np.zeros((19, 3, 1))}, {}, "target has 19 rows and source 20"),
        ({"lengths": np.full(20, 6)}, {}, r"lengths\[0\] is 6; it is from 0 to 5"),
        ({"lengths": np.full(20, 0.5)}, {}, "lengths is not a whole number a row"),
        ({"known": np.zeros((20, 2, 1))}, {}, "known has 2 steps and target 3"),
        ({"target": np.zeros((20, 3, 1))}, {}, "column target_0 is 0 all through"),
        (
            {"source": np.full((20, 5, 2), np.inf)},
            {},
            r"source\[0, 0, 0\] is inf, not a finite number",
        ),
        ({}, {"context": 4}, "task.context=4 means nothing to a file with the arrays"),
        ({}, {"targets": "y"}, "task.targets=y means nothing to a file with"),
        ({}, {"scaling": "window_mean"}, "takes the past of targets"),
        ({}, {"test_from": "1"}, "task.test_from=1 is before task.valid_from=0.7"),
        ({}, {"test_from": "20"}, "leave no row with a target to test"),
    ],
)
def test_arrays_that_cannot_be_examples_are_refused(
    changes: dict[str, Any], fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays(**changes))
    with pytest.raises(UsageError, match=message):
        create(files.of_arrays(path, **fields))

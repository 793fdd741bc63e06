"""Files of every form are read alike, and what a run keeps of them is enough."""

import datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import s2sjax as s2s
from s2sjax import tasks
from s2sjax.config import Config, TaskConfig
from s2sjax.errors import UsageError
from s2sjax.tasks.series import baselines
from s2sjax.tasks.series.ahead import ahead
from s2sjax.tasks.task import SPLITS, Task
from tests.tasks.series import files


def same(one: Task, other: Task, splits: tuple[str, ...] = SPLITS) -> None:
    """Whether two tasks have the same examples, to the bit."""
    assert one.source_vocabulary == other.source_vocabulary
    assert one.target_vocabulary == other.target_vocabulary
    for split in splits:
        (a,), (b,) = one.buckets[split], other.buckets[split]
        assert a.fetch == b.fetch
        jax.tree.map(np.testing.assert_array_equal, files.every(a), files.every(b))
        for x, y in zip(a.references, b.references, strict=True):
            np.testing.assert_array_equal(x, y)
        if split != "train":
            assert one.baselines(split) == other.baselines(split)


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the others are made of."""
    return files.write(tmp_path_factory.mktemp("shops") / "shops.csv", files.rows())


@pytest.fixture(scope="module")
def of_csv(shops: Path) -> Task:
    """What is made of it."""
    return files.made(shops)


def columns(**changed: Any) -> dict[str, Any]:
    """The columns of the file, numbers as such and None where one is missing."""
    rows = files.rows()
    found: dict[str, Any] = {}
    for name in files.COLUMNS:
        cells = [row[name] for row in rows]
        is_number = name in ("sales", "stock", "price", "promo", "size")
        found[name] = [None if c == "" else c for c in cells] if is_number else cells
    found["day"] = np.array(found["day"], "datetime64[ns]")
    return found | changed


def test_parquet_is_read_as_csv_is(of_csv: Task, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "shops.parquet"
    parquet.write_table(arrow.table(columns()), path)
    same(files.made(path), of_csv)
    days = [datetime.date.fromisoformat(row["day"]) for row in files.rows()]
    zoned = [
        datetime.datetime(*day.timetuple()[:3], tzinfo=datetime.UTC) for day in days
    ]
    for moments in (days, zoned):
        parquet.write_table(arrow.table(columns(day=moments)), path)
        same(files.made(path), of_csv)
    cells = [str(row["sales"]) for row in files.rows()]
    parquet.write_table(arrow.table(columns(sales=cells)), path)
    same(files.made(path), of_csv)
    cells[4] = "many"
    parquet.write_table(arrow.table(columns(sales=cells)), path)
    with pytest.raises(UsageError, match=r"shops\.parquet:5, column sales: 'many'"):
        files.made(path)


@pytest.mark.parametrize("kind", ["dict", "pandas", "pyarrow", "to a path"])
def test_a_frame_is_read_as_a_file_is(kind: str, of_csv: Task, tmp_path: Path) -> None:
    data: Any = columns()
    path = tmp_path / "kept.npz" if kind == "to a path" else None
    if kind == "pandas":
        data = pytest.importorskip("pandas").DataFrame(data)
    if kind == "pyarrow":
        data = pytest.importorskip("pyarrow").table(data)
    roles: dict[str, Any] = {
        name: files.ROLES[name].split(",")
        for name in ("targets", "past", "future", "static")
    }
    rest = {name: value for name, value in files.ROLES.items() if name not in roles}
    task = s2s.series(data, path=path, **roles, **rest)
    same(tasks.create(Config(task=TaskConfig(**task))), of_csv)
    assert path is None or task["path"] == str(path)
    with pytest.raises(UsageError, match="data: unknown column 'sale'"):
        s2s.series(data, targets=["sale"])
    with pytest.raises(UsageError, match=r'targets="sales" is a text'):
        s2s.series(data, targets="sales")
    with pytest.raises(UsageError, match=r"unknown field of task 'horizons'"):
        s2s.series(data, targets=["sales"], horizons=2)


def test_a_run_needs_no_file_once_it_has_begun(
    of_csv: Task, shops: Path, tmp_path: Path
) -> None:
    path = tmp_path / "shops.csv"
    path.write_bytes(shops.read_bytes())
    config, kept = files.config(path), tmp_path / "data"
    same(tasks.create(config, kept), of_csv)
    with_file = tasks.create(config, kept)
    path.write_bytes(shops.read_bytes() + b"\n")
    with pytest.raises(UsageError, match=r"shops\.csv is not the file that this run"):
        tasks.create(config, kept)
    path.unlink()
    again = tasks.create(config, kept)
    same(again, of_csv)
    same(with_file, of_csv)
    held_out = tasks.load(config, kept)
    assert held_out.buckets.keys() == {"valid", "test"}
    same(held_out, of_csv, ("valid", "test"))
    same(tasks.load_all(config, kept), of_csv)
    assert again.notes == of_csv.notes
    with pytest.raises(UsageError, match="does not exist"):
        tasks.create(config)
    (kept / "held_out.npz").write_bytes(b"")
    with pytest.raises(UsageError, match=r"held_out\.npz is damaged"):
        tasks.load(config, kept)


def test_examples_of_arrays_are_what_numpy_makes_of_them(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    source = draw.normal(3, 2, (20, 5, 2))
    target = draw.normal(-1, 4, (20, 3, 1))
    known = draw.normal(size=(20, 3, 1))
    lengths = draw.integers(1, 6, 20)
    source[2, 0, 1] = target[4, 1, 0] = np.nan
    target[5] = target[19] = np.nan
    path = tmp_path / "a.npz"
    np.savez(path, source=source, target=target, known=known, lengths=lengths)
    config = files.of_arrays(path, valid_from="0.5", test_from="15")
    task = tasks.create(config, tmp_path / "data")
    within = np.arange(5) < lengths[:10, None]
    mean = [np.nanmean(source[:10][within][:, n]) for n in range(2)]
    deviation = [np.nanstd(source[:10][within][:, n]) for n in range(2)]
    scaled = np.nan_to_num((source - mean) / deviation)
    masks = ~np.isnan(source[..., 1:])
    wanted = np.concatenate([scaled, masks], axis=-1)
    wanted *= (np.arange(5) < lengths[:, None])[..., None]
    parts = {"train": [0, 1, 2, 3, 4, 6, 7, 8, 9], "valid": [*range(10, 15)]}
    parts["test"] = [15, 16, 17, 18]
    for split, rows in parts.items():
        batch = files.every(task.buckets[split][0])
        assert batch.ids.tolist() == rows
        np.testing.assert_allclose(batch.source, wanted[rows], atol=1e-5)
        assert batch.source_lengths.tolist() == lengths[rows].tolist()
        a, b = np.nanmean(target[:10]), np.nanstd(target[:10])
        np.testing.assert_allclose(batch.target, (target[rows] - a) / b, atol=1e-5)
        np.testing.assert_allclose(batch.given.shift, np.full((len(rows), 1), a))
        k = known[:10]
        np.testing.assert_allclose(
            batch.given.known, (known[rows] - k.mean()) / k.std(), atol=1e-5
        )
        assert not batch.given.first.any()
    assert "1 rows of train are left out: no target is there" in task.notes
    same(tasks.load_all(config, tmp_path / "data"), task)
    assert task.baselines("test").keys() == {"mean", "ridge"}


def test_what_needs_no_model_by_hand(tmp_path: Path) -> None:
    """Of a series of 0, 1, .. that falls to 0 every 4 steps, and of one that runs."""
    path = tmp_path / "a.csv"
    lines = [f"{step},{step % 4},{2 * step}" for step in range(60)]
    path.write_text("t,saw,line\n" + "\n".join(lines) + "\n")
    named: dict[str, Any] = {"past": "", "future": "", "static": "", "id": ""}
    task = files.made(
        path, **named, targets="saw,line", time="t", season=4, scaling="minmax"
    )
    (bucket,) = task.buckets["test"]
    batch = files.every(bucket)
    found = task.forecasts(batch)
    assert list(found) == ["last", "seasonal", "mean", "ridge"]
    first = int(bucket.references.times[0])
    ahead_ = np.arange(first, first + 3)
    np.testing.assert_allclose(
        found["last"][0], [[(first - 1) % 4, 2 * (first - 1)]] * 3, atol=1e-4
    )
    np.testing.assert_allclose(
        found["seasonal"][0], np.stack([ahead_ % 4, 2 * (ahead_ - 4)], 1), atol=1e-4
    )
    read = np.arange(first - 6, first)
    np.testing.assert_allclose(
        found["mean"][0], [[(read % 4).mean(), 2 * read.mean()]] * 3, atol=1e-4
    )
    errors = task.baselines("test")
    assert errors["seasonal"]["mae"] == pytest.approx(4, abs=1e-4)  # 0 and 8
    assert errors["last"]["mae"] > errors["ridge"]["mae"]
    # In training the saw is as it was a season before, and the line 8 more.
    sizes = bucket.references.seasonal[0]
    assert np.isnan(sizes[0]) and sizes[1] == 8


def test_a_regression_finds_what_is_linear() -> None:
    draw = np.random.default_rng(0)
    inputs = np.concatenate([draw.normal(size=(4000, 5)), np.ones((4000, 1))], 1)
    weights = draw.normal(size=(6, 3))
    target = inputs @ weights
    found = baselines._ridge(inputs, target)
    np.testing.assert_allclose(found, weights, atol=2e-3)
    wanted = np.linalg.solve(
        inputs.T @ inputs + np.diag([1.0] * 5 + [0]), inputs.T @ target
    )
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    target[::3, 1] = np.nan
    some = baselines._ridge(inputs, target)
    np.testing.assert_allclose(some[:, [0, 2]], found[:, [0, 2]])
    np.testing.assert_allclose(some[:, 1], weights[:, 1], atol=2e-3)


def test_a_season_steps_back_over_what_is_missing(tmp_path: Path) -> None:
    own = np.array([[[0.0], [1], [2], [3], [np.nan], [5]]])
    batch = type("B", (), {})()
    batch.source_lengths = np.array([6])
    batch.target = np.zeros((1, 4, 1))
    batch.given = type("G", (), {"first": np.array([[5.0]])})()
    assert baselines._seasonal(own, batch, 2)[0, :, 0].tolist() == [2, 5, 2, 5]
    assert baselines._seasonal(own, batch, 9)[0, :, 0].tolist() == [5, 5, 5, 0]


def test_what_follows_the_end_of_a_file(of_csv: Task, tmp_path: Path) -> None:
    rows = [row for row in files.rows() if row["shop"] != "east"]
    config, kept = files.config(files.write(tmp_path / "a.csv", files.rows())), "data"
    tasks.create(config, tmp_path / kept)
    for row in rows:  # the last three rows of each say what is known ahead alone
        if row["day"] > {"north": "2024-02-06", "south": "2024-01-30"}[row["shop"]]:
            row |= {"sales": "", "stock": "", "price": ""}
    path = files.write(tmp_path / "new.csv", rows)
    found = ahead(config.task, tmp_path / kept, path)
    assert found.bucket.references.series.tolist() == ["north", "south"]
    assert [str(day)[:10] for day in found.times[:, 0]] == ["2024-02-07", "2024-01-31"]
    batch = files.every(found.bucket)
    assert np.isnan(batch.target).all() and batch.target.shape == (2, 3, 2)
    # They are the windows that the file had there.
    ends = [("test", "north", "2024-02-07"), ("valid", "south", "2024-01-31")]
    for row, (split, *end) in enumerate(ends):
        (bucket,) = of_csv.buckets[split]
        whole = files.every(bucket)
        days = [str(day)[:10] for day in bucket.references.times]
        pairs = zip(bucket.references.series.tolist(), days, strict=True)
        place = list(map(list, pairs)).index(end)
        np.testing.assert_array_equal(batch.source[row], whole.source[place])
        np.testing.assert_array_equal(batch.given.known[row], whole.given.known[place])
    with pytest.raises(UsageError, match=r"has 3 rows after its last target; what is"):
        ahead(config.task, tmp_path / kept, path, horizon=5)
    short = files.write(tmp_path / "short.csv", rows[:8])
    with pytest.raises(UsageError, match=r"has 4 rows up to its last target; this run"):
        ahead(config.task, tmp_path / kept, short)


def test_a_page_says_what_windows_hold(shops: Path) -> None:
    from s2sjax.commands import data as command

    config = files.config(shops)
    task = tasks.create(config)
    found = command.summary.split(task, "test")
    assert found["windows"] == task.buckets["test"][0].size and not found["drawn"]
    assert found["series"] == 1 and found["read"] == [6, 6]
    assert found["from"] == "2024-02-04" and found["to"] == "2024-02-07"
    rows = {row["name"]: row for row in command.summary.numbers(task)}
    assert {name: row["role"] for name, row in rows.items()} == {
        **{"sales": "forecast", "stock": "forecast", "price": "read"},
        **{"promo": "known ahead", "size": "known ahead"},
        **{"kind=big": "known ahead", "kind=small": "known ahead"},
    }
    assert rows["size"]["splits"]["train"] == pytest.approx(
        {"least": 0, "mean": rows["size"]["splits"]["train"]["mean"], "most": 20}
        | {"missing": 0},
        abs=1e-5,
    )
    prices = [row["price"] for row in files.rows()]
    there = [price for price in prices if price != ""]
    part = rows["price"]["splits"]["train"]
    assert min(there) - 1e-5 <= part["least"] < 0.2 and 0.8 < part["most"] <= 1
    assert part["missing"] == pytest.approx(1 - len(there) / len(prices), abs=0.1)

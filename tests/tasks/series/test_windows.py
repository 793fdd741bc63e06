"""Windows, splits and scales, each against plain Python on the same rows."""

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from s2sjax.tasks.task import SPLITS
from tests.tasks.series import files

SCALINGS = ("none", "standard", "minmax", "window_mean")


def by_shop(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["shop"], []).append(row)
    return found


def scaler(rows: list[dict[str, Any]], name: str, kind: str) -> tuple[float, float]:
    values = np.array([files.number(row[name]) for row in rows])
    values = values[~np.isnan(values)]
    if kind == "none":
        return 0.0, 1.0
    if kind == "minmax":
        return values.min(), values.max() - values.min()
    return values.mean(), values.std()


def plain_windows(
    rows: list[dict[str, Any]], split: str, kind: str, stride: int
) -> list[dict[str, Any]]:
    """What the windows of a split are, by loops over rows."""
    context, horizon = files.ROLES["context"], files.ROLES["horizon"]
    first, second = "2024-01-19", "2024-01-26"
    part = {"train": (":", first), "valid": (first, second), "test": (second, "~")}
    low, high = part[split]
    low = "" if low == ":" else low
    training = [row for row in rows if row["day"] < first]
    of_others = "standard" if kind == "window_mean" else kind
    targets, others = ("sales", "stock"), ("price", "promo")
    kinds = dict.fromkeys(targets, "none" if kind == "window_mean" else kind)
    kinds |= dict.fromkeys(others, of_others)
    scales = {name: scaler(training, name, own) for name, own in kinds.items()}
    sizes = np.array([10.0 * number for number in range(3)])
    size = {
        "none": (0.0, 1.0),
        "minmax": (sizes.min(), sizes.max() - sizes.min()),
        "standard": (sizes.mean(), sizes.std()),
    }[of_others]
    found = []
    for shop, own in by_shop(rows).items():
        origin = None
        for place in range(context, len(own) - horizon + 1):
            if not low <= own[place]["day"]:
                continue
            if origin is None:
                origin = place
            if (place - origin) % stride or own[place + horizon - 1]["day"] >= high:
                continue
            read, ahead = own[place - context : place], own[place : place + horizon]
            window: dict[str, Any] = {"shop": shop, "day": own[place]["day"]}
            shift, scale = {}, {}
            for name, (a, b) in scales.items():
                shift[name], scale[name] = a, b
                if kind == "window_mean" and name in targets:
                    there = [abs(files.number(row[name])) for row in read]
                    there = [value for value in there if not math.isnan(value)]
                    mean = sum(there) / len(there) if there else 0
                    scale[name] = mean or 1.0

            def entering(
                row: dict[str, Any], name: str, a: Any = shift, b: Any = scale
            ) -> float:
                return (files.number(row[name]) - a[name]) / b[name]

            static = [(own[0]["size"] - size[0]) / size[1]]
            static += [float(own[0]["kind"] == each) for each in ("big", "small")]
            window["source"] = [
                [
                    *(np.nan_to_num(entering(row, n)) for n in (*targets, *others)),
                    *(float(row[n] != "") for n in ("sales", "price")),
                    *static,
                ]
                for row in read
            ]
            window["known"] = [[entering(row, "promo"), *static] for row in ahead]
            window["target"] = [[entering(row, n) for n in targets] for row in ahead]
            lasts = [[entering(r, n) for r in read if r[n] != ""] for n in targets]
            window["first"] = [values[-1] if values else 0.0 for values in lasts]
            window["shift"] = [shift[name] for name in targets]
            window["scale"] = [scale[name] for name in targets]
            if not np.isnan(window["target"]).all():
                found.append(window)
    return found


@pytest.mark.parametrize("kind", SCALINGS)
def test_windows_are_those_of_plain_python(kind: str, tmp_path: Path) -> None:
    rows = files.rows()
    path = files.write(tmp_path / "shops.csv", rows)
    stride = 2 if kind == "none" else 1
    cuts = {"valid_from": "2024-01-19", "test_from": "2024-01-26"}
    task = files.made(path, scaling=kind, stride=stride, **cuts)
    assert task.source_vocabulary.names == (  # type: ignore[attr-defined]
        *("sales", "stock", "price", "promo", "sales is there", "price is there"),
        *("size", "kind=big", "kind=small"),
    )
    ids = []
    for split in SPLITS:
        (bucket,) = task.buckets[split]
        batch, wanted = files.every(bucket), plain_windows(rows, split, kind, stride)
        assert len(wanted) == bucket.size
        assert bucket.references.series.tolist() == [each["shop"] for each in wanted]
        days = [str(time)[:10] for time in bucket.references.times]
        assert days == [each["day"] for each in wanted]
        found = {
            "source": batch.source,
            "target": batch.target,
            **batch.given._asdict(),
        }
        for name, own in found.items():
            np.testing.assert_allclose(
                own, np.array([each[name] for each in wanted]), rtol=2e-5, atol=2e-5
            )
        assert set(batch.source_lengths.tolist()) == {6}
        assert set(batch.target_lengths.tolist()) == {3}
        ids += batch.ids.tolist()
    assert ids == list(range(len(ids)))


def test_filler_is_zeros_and_leaves_others_alone(tmp_path: Path) -> None:
    task = files.made(files.write(tmp_path / "a.csv", files.rows()))
    (bucket,) = task.buckets["train"]
    batch = bucket.fetch(bucket.store, np.array([4, -1, 0], np.int32))
    whole = files.every(bucket)
    for name in ("source", "target", "ids", "weights", "source_lengths"):
        own = np.asarray(getattr(batch, name))
        np.testing.assert_array_equal(own[[0, 2]], getattr(whole, name)[[4, 0]])
        assert not own[1].any()
    assert np.isfinite(batch.source).all() and (batch.given.scale > 0).all()
    some = bucket.taken(np.array([4, 0]))
    jax.tree.map(
        np.testing.assert_array_equal,
        files.every(some),
        jax.tree.map(lambda leaf: leaf[np.array([4, 0])], whole),
    )
    assert some.references.times.tolist() == bucket.references.times[[4, 0]].tolist()


@pytest.mark.parametrize("kind", SCALINGS)
def test_nothing_before_knows_of_what_comes_after(kind: str, tmp_path: Path) -> None:
    """What stands after the end of a part changes nothing that is made before it."""
    rows = files.rows()
    path = files.write(tmp_path / "shops.csv", rows)
    cuts = {"valid_from": "2024-01-19", "test_from": "2024-01-26", "scaling": kind}
    before = files.made(path, **cuts)
    for day, same in (("2024-01-19", ["train"]), ("2024-01-26", ["train", "valid"])):
        changed = [
            row
            if row["day"] < day
            else row | {"sales": 1e6, "stock": "", "price": -3, "promo": 77}
            for row in rows
        ]
        after = files.made(files.write(tmp_path / "other.csv", changed), **cuts)
        assert after.source_vocabulary == before.source_vocabulary
        for split in same:
            one, other = before.buckets[split][0], after.buckets[split][0]
            jax.tree.map(
                np.testing.assert_array_equal, files.every(one), files.every(other)
            )
            np.testing.assert_array_equal(
                one.references.seasonal, other.references.seasonal
            )
        if "valid" in same:
            assert before.baselines("valid") == after.baselines("valid")
        assert files.every(after.buckets["test"][0]).source.max() > 70


def test_shares_cut_all_series_at_one_time(tmp_path: Path) -> None:
    rows = files.rows()
    path = files.write(tmp_path / "shops.csv", rows)
    days = sorted({row["day"] for row in rows})
    one = files.made(path, valid_from="0.5", test_from="0.75", horizon=2)
    other = files.made(path, valid_from=days[20], test_from=days[30], horizon=2)
    for split in SPLITS:
        jax.tree.map(
            np.testing.assert_array_equal,
            *(files.every(task.buckets[split][0]) for task in (one, other)),
        )


def test_without_times_rows_are_steps_and_shares_are_of_each_series(
    tmp_path: Path,
) -> None:
    rows = files.rows()
    path = files.write(tmp_path / "shops.csv", rows)
    fields: dict[str, Any] = {"time": "", "context": 3, "horizon": 2}
    task = files.made(path, valid_from="0.5", test_from="0.75", **fields)
    for shop, length in files.SHOPS.items():
        half, late = math.floor(length * 0.5), math.floor(length * 0.75)
        origins = [
            [
                int(time)
                for name, time in zip(
                    *task.buckets[split][0].references[:2], strict=True
                )
                if name == shop
            ]
            for split in SPLITS
        ]
        assert min(origins[0]) == 3 and max(origins[0]) <= half - 2
        assert min(origins[1]) >= half and max(origins[1]) <= late - 2
        assert min(origins[2]) >= late and max(origins[2]) <= length - 2
    by_step = files.made(path, valid_from="12", test_from="19", **fields)
    assert min(by_step.buckets["test"][0].references.times) == 19


def test_missing_values_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    values = "1,2,nan,4,0,0,,,,5,6,7,,,9,8,7,6,5,4,3,2,1,2,3,4"
    lines = [f"{step},{cell}" for step, cell in enumerate(values.split(","))]
    path.write_text("t,y\n" + "\n".join(lines) + "\n")
    fields = {"targets": "y", "past": "", "future": "", "static": "", "id": ""}
    task = files.made(
        path,
        **fields,
        time="t",
        context=2,
        horizon=2,
        scaling="window_mean",
        valid_from="14",
        test_from="20",
    )
    batch = files.every(task.buckets["train"][0])
    starts = task.buckets["train"][0].references.times.tolist()
    # Steps 6 to 8 and 12, 13 are not there: what forecasts two of them is left out.
    assert starts == [2, 3, 4, 5, 8, 9, 10, 11]
    assert "3 windows of train are left out: no target is there" in task.notes
    rows = {int(start): row for row, start in enumerate(starts)}
    read = {t: batch.source[row].tolist() for t, row in rows.items()}
    scale = {t: batch.given.scale[row, 0] for t, row in rows.items()}
    first = {t: batch.given.first[row, 0] for t, row in rows.items()}
    assert read[2] == pytest.approx(np.array([[1 / 1.5, 1], [2 / 1.5, 1]]))
    assert read[3] == pytest.approx(np.array([[1, 1], [0, 0]])) and scale[3] == 2
    assert read[4] == pytest.approx(np.array([[0, 0], [1, 1]])) and scale[4] == 4
    assert scale[8] == 1 and read[8] == [[0, 0], [0, 0]] and first[8] == 0
    assert scale[5] == 2 and first[3] == 1 and first[4] == 1 and first[5] == 0
    target = batch.target[rows[5], :, 0]
    assert target[0] == 0 and np.isnan(target[1])
    # A context of zeros alone divides by 1.
    assert files.every(task.buckets["train"][0]).given.scale.min() == 1


def test_a_category_that_training_has_not_is_zeros_and_is_said(tmp_path: Path) -> None:
    rows = files.rows()
    for row in rows:
        if row["shop"] == "east":
            row["kind"] = "odd"
            row["day"] = row["day"].replace("2024", "2025")
    path = files.write(tmp_path / "a.csv", rows)
    task = files.made(path, valid_from="2024-01-25", test_from="2024-02-02")
    assert any("'odd' is not in the training part" in note for note in task.notes)
    (bucket,) = task.buckets["test"]
    east = bucket.references.series == "east"
    batch = files.every(bucket)
    assert east.any() and not east.all()
    assert not batch.source[east][..., -2:].any()
    assert (batch.source[~east][..., -2:].sum(-1) == 1).all()
    # Its series has no training part: nothing says how much it changes.
    assert np.isnan(bucket.references.seasonal[east]).all()


def test_numbers_that_are_names_are_categories(tmp_path: Path) -> None:
    path = files.write(tmp_path / "a.csv", files.rows())
    task = files.made(path, static="size:category")
    assert task.target_vocabulary.known == (  # type: ignore[attr-defined]
        *("promo", "size=0", "size=10", "size=20"),
    )

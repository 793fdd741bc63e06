"""Files of series for tests, and what stands in them."""

import csv
import datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np

from s2sjax import tasks
from s2sjax.config import Config, TaskConfig
from s2sjax.tasks.task import Bucket, Task
from s2sjax.types import Batch

SHOPS = {"north": 40, "south": 33, "east": 26}  # rows of each
COLUMNS = ("shop", "day", "sales", "stock", "price", "promo", "size", "kind")
ROLES: dict[str, Any] = {
    "targets": "sales,stock",
    "past": "price",
    "future": "promo",
    "static": "size,kind",
    "id": "shop",
    "time": "day",
    "context": 6,
    "horizon": 3,
}


def rows(seed: int = 0) -> list[dict[str, Any]]:
    """Rows of three shops, among one another, some cells missing."""
    draw = np.random.default_rng(seed)
    found = []
    for day in range(max(SHOPS.values())):
        for number, (shop, days) in enumerate(SHOPS.items()):
            if day >= days:
                continue
            row = {
                "shop": shop,
                "day": str(datetime.date(2024, 1, 1) + datetime.timedelta(days=day)),
                "sales": round(10 + 5 * number + draw.normal(), 3),
                "stock": int(draw.integers(0, 9)),
                "price": round(draw.random(), 3),
                "promo": int(draw.integers(0, 2)),
                "size": 10 * number,
                "kind": "big" if number else "small",
            }
            for name in ("sales", "price"):
                if draw.random() < 0.2:
                    row[name] = ""
            found.append(row)
    return found


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A CSV file of rows."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def config(path: Path, **fields: Any) -> Config:
    """A config that reads the file with `ROLES`, or others."""
    return Config(task=TaskConfig(name="series", path=str(path), **ROLES | fields))


def made(path: Path, **fields: Any) -> Task:
    """The task of a file."""
    return tasks.create(config(path, **fields))


def every(bucket: Bucket) -> Batch:
    """All examples of a bucket, as numpy has them."""
    assert bucket.size is not None
    numbers = np.arange(bucket.size, dtype=np.int32)
    found = jax.jit(bucket.fetch)(bucket.store, numbers)
    batch: Batch = jax.tree.map(np.asarray, found)
    return batch


def number(cell: Any) -> float:
    """A cell as a number."""
    return float("nan") if cell == "" else float(cell)

"""Writes series of which much is missing, for experiments/series_missing.py.

    python scripts/missing.py DIR [--series=20] [--steps=400] [--seed=0]

DIR gets missing_0.csv, missing_30.csv and missing_60.csv with the columns id and value:
the same series, with so many percent of the values empty. A value is

    level + a sin(2 pi (t / 24 + p)) + b sin(2 pi (t / 168 + q)) + 0.3 e

with level, a, b, p and q drawn for each series, and e for each step.
"""

import argparse
import csv
import pathlib

import numpy as np

SHARES = (0, 30, 60)
NOISE = 0.3


def write(folder: pathlib.Path, series: int, steps: int, seed: int) -> None:
    """Writes the three files."""
    random = np.random.default_rng(seed)
    t = np.arange(steps)

    def wave(period: int) -> np.ndarray:
        size, phase = (
            random.uniform(0.5, 1.5, (series, 1)),
            random.uniform(size=(series, 1)),
        )
        return size * np.sin(2 * np.pi * (t / period + phase))

    level = random.normal(0, 2, (series, 1))
    values = level + wave(24) + wave(168) + NOISE * random.normal(size=(series, steps))
    drawn = random.uniform(size=values.shape)
    folder.mkdir(parents=True, exist_ok=True)
    for share in SHARES:
        path = folder / f"missing_{share}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["id", "value"])
            for number, own in enumerate(values):
                for value, place in zip(own, drawn[number], strict=True):
                    there = place >= share / 100
                    rows.writerow([f"s{number}", f"{value:.4f}" if there else ""])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--series", type=int, default=20)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write(given.folder, given.series, given.steps, given.seed)

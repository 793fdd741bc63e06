"""Writes the test commands of SCAN's sizes: all commands but those of training.

python scripts/scan_sizes.py DIR

DIR is a checkout of SCAN; beside each tasks_train_simple_pN.txt of its size variations,
N being 1, 2 or 4, a tasks_test_simple_pN.txt is written.
"""

import argparse
from pathlib import Path

SIMPLE, SIZES = "simple_split", "size_variations"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder / SIMPLE
    every = dict.fromkeys(
        line
        for split in ("train", "test")
        for line in (folder / f"tasks_{split}_simple.txt").read_text().splitlines()
    )
    for size in ("p1", "p2", "p4"):
        training = folder / SIZES / f"tasks_train_simple_{size}.txt"
        known = set(training.read_text().splitlines())
        rest = [f"{line}\n" for line in every if line not in known]
        (folder / SIZES / f"tasks_test_simple_{size}.txt").write_text("".join(rest))


if __name__ == "__main__":
    main()

"""Measures the memory and time of building the text task from a large file.

    python scripts/benchmark_corpus.py [--pairs=1000000] [--characters=100]

Writes a tab-separated file of random sentences to a temporary folder, builds the task
in a fresh process, and prints that process's peak resident memory and seconds.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def write_corpus(path: Path, pairs: int, characters: int) -> None:
    """Random sentences whose longer side has up to `characters` characters."""
    draw = random.Random(0)
    words = [
        "".join(draw.choices("abcdefghijklmnopqrstuvwxyzéèàç", k=draw.randint(1, 9)))
        for _ in range(20_000)
    ]

    def sentence() -> str:
        longest = draw.randint(characters // 4, characters)
        text = " ".join(draw.choices(words, k=1 + longest // 4))
        return text[:longest]

    with path.open("w", encoding="utf-8") as file:
        for _ in range(pairs):
            file.write(f"{sentence()}\t{sentence()}\n")


def build(path: Path, level: str) -> dict[str, object]:
    """Builds the task in this process and says what it took."""
    from s2sjax import tasks
    from s2sjax.config import Config, TaskConfig

    start = time.perf_counter()
    task = tasks.create(
        Config(task=TaskConfig(name="text", path=str(path), level=level)),
        path.parent / f"data_{level}",
    )
    examples = {
        split: sum(bucket.size or 0 for bucket in buckets)
        for split, buckets in task.buckets.items()
    }
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "level": level,
        "examples": examples,
        "vocabularies": [len(task.source_vocabulary), len(task.target_vocabulary)],
        "seconds": round(seconds, 1),
        "peak_resident_gib": round(peak, 3),
    }


def main() -> None:
    """Parses the arguments, writes the file and measures both levels."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--characters", type=int, default=100)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--level", default="char", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        print(json.dumps(build(arguments.build, arguments.level)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.tsv"
        write_corpus(path, arguments.pairs, arguments.characters)
        print(f"{arguments.pairs} pairs, {path.stat().st_size / 2**20:.0f} MiB")
        for level in ("char", "word"):
            command = [sys.executable, __file__, f"--build={path}", f"--level={level}"]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()

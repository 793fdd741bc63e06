"""Two checkouts of s2sjax against one another: is the newer one slower anywhere?

    python scripts/benchmark_versions.py OLD NEW [--rounds=5] [--only=NAME,...] \
        [--corpus=FILE.tsv] [--json]

OLD and NEW are folders with a package `s2sjax` in them. Every measurement is a process
of its own that runs a command of each, in turn: OLD NEW OLD NEW ... Printed are the
medians over the rounds, and the ratio of the new to the old, the median of the rounds'
own ratios. Below 1 is faster. Use an idle machine.

Milliseconds per training step come from the journal of the run, between its first and
last line, so that neither the start nor the first compilation counts.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
QUIET = (
    "--config.train.eval_every=1000000",
    "--config.train.save_every=1000000",
)
FEW = ("--config.task.num_test=8", "--config.task.num_valid=8")
ATTENTION = (
    f"--config={EXPERIMENTS / 'reversed.py'}",
    "--config.task.length=19",
    "--config.task.min_length=19",
    "--config.task.cardinality=50",
    "--config.model.cell=lstm",
    "--config.model.units=256",
    "--config.model.embedding=64",
    "--config.model.attention=bahdanau",
    "--config.train.batch_size=128",
)
PREFIX = (f"--config={EXPERIMENTS / 'reversed_prefix.py'}",)
SWEEP = """
from s2sjax.config import base_config
from s2sjax.sweeps import grid, product, seeds

def get_config(arg=None):
    config = base_config()
    config.task.name = "reversed"
    config.task.num_valid = config.task.num_test = 64
    config.model.units = 32
    config.train.steps = 200
    config.train.eval_every = config.train.save_every = 100
    return config

def sweep(config):
    rates = {"train.learning_rate": (1e-3, 2e-3, 4e-3, 8e-3)}
    return product(grid(rates), seeds(8))
"""

Measure = Callable[[Path, Path], float]  # of a checkout, in an empty folder


def run(tree: Path, *arguments: str) -> str:
    """A command of this checkout; what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-m", "s2sjax", *arguments]
    done = subprocess.run(command, env=environment, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{tree}: {' '.join(arguments)}: {done.stderr[-2000:]}")
    return done.stdout


def wall(tree: Path, *arguments: str) -> float:
    """Seconds that a command takes."""
    begin = time.perf_counter()
    run(tree, *arguments)
    return time.perf_counter() - begin


def step_ms(steps: int, *arguments: str) -> Measure:
    """Milliseconds of a training step, over the last two thirds of so many steps."""

    def measure(tree: Path, folder: Path) -> float:
        sizes = (f"--config.train.steps={steps}",)
        logs = (f"--config.train.log_every={steps // 3}",)
        run(tree, "train", *arguments, *QUIET, *sizes, *logs, f"--workdir={folder}/run")
        lines = map(json.loads, (folder / "run" / "metrics.jsonl").open())
        told = [line for line in lines if line["kind"] == "train"]
        took = told[-1]["seconds"] - told[0]["seconds"]
        return 1000 * took / (told[-1]["step"] - told[0]["step"])

    return measure


def decoding_ms(strategy: str, batch: int) -> Measure:
    """Milliseconds of a sequence that is decoded, by a model hardly trained."""

    def measure(tree: Path, folder: Path) -> float:
        workdir = f"--workdir={folder}/run"
        examples = ("--config.task.num_test=2000", "--config.train.steps=2")
        run(tree, "train", *ATTENTION, *QUIET, *examples, workdir)
        told = run(
            tree,
            *("bench", workdir, f"--strategy={strategy}", f"--batch_sizes={batch}"),
            *("--examples=2000", "--repeats=5", "--json"),
        )
        (row,) = json.loads(told)["rows"]
        return 1000 / row["sequences_per_second"]

    return measure


def sweep_seconds(tree: Path, folder: Path) -> float:
    """Seconds of a sweep of 32 trials in one program."""
    (folder / "sweep.py").write_text(SWEEP)
    config, workdir = f"--config={folder}/sweep.py", f"--workdir={folder}/sweep"
    return wall(tree, "sweep", config, workdir, "--backend=batched")


def help_seconds(tree: Path, folder: Path) -> float:
    """Seconds of `s2sjax --help`."""
    return wall(tree, "--help")


def first_step_seconds(tree: Path, folder: Path) -> float:
    """Seconds to a run of one step whose programs were compiled before."""
    once = ("train", *PREFIX, *QUIET, *FEW, "--config.train.steps=1")
    run(tree, *once, f"--workdir={folder}/warm")
    return wall(tree, *once, f"--workdir={folder}/run")


def measures(corpus: str | None) -> dict[str, tuple[str, Measure]]:
    """What is measured: its unit and how."""
    feeding = (*FEW, "--config.train.feeding=argmax")
    found: dict[str, tuple[str, Measure]] = {
        "reversed_prefix": ("ms/step", step_ms(6000, *PREFIX, *FEW)),
        "attention": ("ms/step", step_ms(60, *ATTENTION, *FEW)),
        "argmax": ("ms/step", step_ms(3000, *PREFIX, *feeding)),
        "attention_argmax": ("ms/step", step_ms(60, *ATTENTION, *feeding)),
        "greedy": ("ms/sequence", decoding_ms("greedy", 256)),
        "beam": ("ms/sequence", decoding_ms("beam:size=5", 100)),
        "sweep": ("s", sweep_seconds),
        "help": ("s", help_seconds),
        "first_step": ("s", first_step_seconds),
    }
    if corpus:
        text = (f"--config={EXPERIMENTS / 'fra_eng.py'}",)
        path = f"--config.task.path={Path(corpus).resolve()}"
        found["fra_eng"] = ("ms/step", step_ms(120, *text, path))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="names of measurements")
    parser.add_argument("--corpus", help="tab-separated pairs, for fra_eng")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    every = measures(given.corpus)
    wanted = given.only.split(",") if given.only else list(every)
    unknown = [name for name in wanted if name not in every]
    if unknown:
        parser.error(f"--only={unknown[0]}: choose from {', '.join(every)}")
    for name in wanted:
        unit, measure = every[name]
        taken: tuple[list[float], list[float]] = ([], [])
        for _ in range(given.rounds):
            for tree, values in zip((given.old, given.new), taken, strict=True):
                folder = Path(tempfile.mkdtemp(prefix="s2sjax-versions-"))
                try:
                    values.append(measure(tree.resolve(), folder))
                finally:
                    shutil.rmtree(folder)
        old, new = map(statistics.median, taken)
        ratios = [b / a for a, b in zip(*taken, strict=True)]
        ratio = statistics.median(ratios)
        if given.json:
            row = {"name": name, "unit": unit, "old": taken[0], "new": taken[1]}
            print(json.dumps(row | {"ratio": ratio}), flush=True)
        else:
            spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
            print(
                f"{name:22} {unit:12} {old:9.4g} {new:9.4g}   "
                f"new/old {ratio:.3f} ({spread})",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Measures sweeps: many trials in one program, against a process for each.

    python scripts/benchmark_sweep.py [--parts=batched,once,alone,processes,overhead]

32 trials (reversed, lengths 1 to 10, LSTM 64 with attention, batch 32, four learning
rates and eight seeds) of 1,000 steps, a validation on 1,000 examples and a test on
1,000. Every command starts without compiled programs. The parts:

    batched   `s2sjax sweep --backend=batched`, on all cores
    once      the same on one device of the CPU: one process that compiles once
    alone     fresh `s2sjax train` processes, one after another; --alone=N of the 32
              are measured, spread over them, and the rest is extrapolated
    processes eight trials of eight sizes of model, which share no program, with
              `--backend=processes` on all cores; and one worker that has one core
    overhead  seconds per trial of 1,000 trials of one step of the smallest model,
              less the seconds of a sweep of ten of them
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SWEEP = """
from s2sjax.config import base_config, parse_arg
from s2sjax.sweeps import grid, product, seeds


def get_config(arg=None):
    variant = parse_arg(arg, tiny=False)
    config = base_config()
    config.task.name = "reversed"
    config.task.length, config.task.min_length = 10, 1
    config.task.num_valid = config.task.num_test = 1000
    config.model.units = config.model.embedding = 64
    config.model.attention = "bahdanau"
    config.train.batch_size, config.train.steps = 32, 1000
    config.train.threads = 1
    if variant.tiny:
        config.task.length = config.task.min_length = 2
        config.task.num_valid = config.task.num_test = 1
        config.model.attention = "none"
        config.model.units = config.model.embedding = 2
        config.train.batch_size = config.train.steps = 1
    return config


def sweep(config):
    if config.train.steps == 1:
        return seeds(1000)
    rates = (1e-3, 2e-3, 4e-3, 8e-3)
    return product(grid({"train.learning_rate": rates}), seeds(8))


def sweep_units(config):
    return grid({"model.units": [60, 61, 62, 63, 64, 65, 66, 67]})
"""
RATES, SEEDS = (1e-3, 2e-3, 4e-3, 8e-3), range(8)
ONE_DEVICE = "--xla_force_host_platform_device_count=1"


def seconds(*arguments: str, flags: str = "", cores: int | None = None) -> float:
    """The wall clock of a command of s2sjax that ends well, on so many cores."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("JAX_COMPILATION") and name != "XLA_FLAGS"
    }
    found = os.sched_getaffinity(0)
    # Each command compiles anew, whatever is kept from others.
    with tempfile.TemporaryDirectory() as cache:
        environ |= {"XDG_CACHE_HOME": cache}
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "s2sjax", *arguments],
            env=environ | ({"XLA_FLAGS": flags} if flags else {}),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, sorted(found)[:cores]),
        )
        return time.perf_counter() - begun


def sweep(
    folder: Path,
    config: str,
    *rest: str,
    backend: str = "batched",
    flags: str = "",
    cores: int | None = None,
) -> float:
    """Seconds of a sweep in a new directory."""
    workdir = tempfile.mkdtemp(dir=folder)
    os.rmdir(workdir)
    words = (f"--config={config}", f"--workdir={workdir}", f"--backend={backend}")
    return seconds("sweep", *words, *rest, flags=flags, cores=cores)


def alone(folder: Path, config: str, count: int) -> list[float]:
    """Seconds of some of the trials, each in a process of its own."""
    trials = [(rate, seed) for rate in RATES for seed in SEEDS]
    chosen = [trials[place * len(trials) // count] for place in range(count)]
    return [
        seconds(
            "train",
            f"--config={config}",
            f"--config.train.learning_rate={rate}",
            f"--config.seed={seed}",
            f"--workdir={folder / f'alone-{rate}-{seed}'}",
        )
        for rate, seed in chosen
    ]


def main() -> None:
    """Prints a JSON object with what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", default="batched,once,alone,processes,overhead")
    parser.add_argument("--alone", type=int, default=4, help="processes to measure")
    chosen = parser.parse_args()
    parts = chosen.parts.split(",")
    found: dict[str, object] = {"cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "sweep.py"
        config.write_text(SWEEP)
        if "batched" in parts:
            found["batched"] = sweep(folder, str(config))
        if "once" in parts:
            found["once"] = sweep(folder, str(config), flags=ONE_DEVICE)
        if "alone" in parts:
            each = alone(folder, str(config), chosen.alone)
            found["alone_measured"] = each
            found["alone"] = sum(each) / len(each) * len(RATES) * len(SEEDS)
        if "processes" in parts:
            words = (str(config), "--sweep=units")
            both = sweep(folder, *words, backend="processes")
            one = sweep(folder, *words, "--workers=1", backend="processes", cores=1)
            found |= {"processes": both, "one_worker": one}
            found["one_worker / processes"] = one / both
        if "overhead" in parts:
            few = sweep(folder, f"{config}:tiny", "--max_trials=10")
            many = sweep(folder, f"{config}:tiny")
            found["overhead"] = (many - few) / 990
            found["overhead_measured"] = [few, many]
    batched = found.get("batched")
    if isinstance(batched, float):
        for part in ("once", "alone"):
            other = found.get(part)
            if isinstance(other, float):
                found[f"{part} / batched"] = other / batched
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

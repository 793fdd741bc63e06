"""Measures training: sequences and tokens per second, compilation, memory, peak share.

    python scripts/benchmark_training.py [--workload=attention] [--peers] [--json]

With `--peers` the same model and data run in Keras 3 and PyTorch (`pip install
'.[peers]'`), in turn with s2sjax, each in its own process; see docs/benchmarks.md for
what is compared with what. `--peers=torch` names some.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from benchmark_worker import (
    OURS,
    PEERS,
    JaxDevice,
    Measured,
    Worker,
    in_turn,
    serve,
    start_all,
)
from benchmark_workload import WORKLOADS, Workload, workload

DEFAULT_PEERS = {
    "reversed_prefix": [name for name in PEERS if name != "torch_plain"],
    "attention": ["torch", "torch_one_thread", "torch_plain"],
}


class OurTraining(JaxDevice):
    """Training as the loop does it: dispatches of many steps, waited for one by one."""

    def __init__(self, workload: Workload, steps: int):
        from s2sjax import tasks
        from s2sjax.models.architectures import build_model
        from s2sjax.models.seq2seq import parameter_count
        from s2sjax.training import state
        from s2sjax.training.cadence import total_steps
        from s2sjax.training.order import Order
        from s2sjax.training.recipe import recipe

        config = workload.config
        self.config, self.steps = config, steps
        task = tasks.create(config)
        self.model = build_model(
            config, len(task.source_vocabulary), len(task.target_vocabulary)
        )
        self.bucket = task.buckets["train"][0]
        self.order = Order.of(config, task)
        self.total = total_steps(config, self.order)
        self.numbers = state.numbers(config)
        self.recipe = recipe(config.train, self.total)
        self.state = state.first_state(self.model, self.recipe, self.numbers)
        self.parameters = parameter_count(self.state.params)
        self.step = 0
        self.pace: float | None = None

    def about(self) -> dict[str, Any]:
        """See `benchmark_worker.Measured`."""
        import s2sjax

        return {
            "s2sjax": s2sjax.__version__,
            **self.describe(),
            "parameters": self.parameters,
        }

    def first(self) -> None:
        """Compiles and takes one step."""
        self._dispatch(1)

    def round(self) -> dict[str, Any]:
        """See `benchmark_worker.Measured`."""
        start = time.perf_counter()
        done = 0
        while done < self.steps:
            count, loss = self._dispatch(self.steps - done)
            done += count
        seconds = time.perf_counter() - start
        return {"steps": self.steps, "seconds": seconds, "loss": loss}

    def _dispatch(self, most: int) -> tuple[int, float]:
        import jax
        import jax.numpy as jnp
        import numpy as np

        from s2sjax.training.cadence import DISPATCH_SECONDS
        from s2sjax.training.step import Program, Work, run_steps

        train = self.config.train
        start = time.perf_counter()
        chunk = self.order.chunk(self.step, train.steps_per_dispatch).rows
        paced = 1 if self.pace is None else max(1, int(DISPATCH_SECONDS / self.pace))
        count = min(len(chunk), most, paced)
        rows = np.full((train.steps_per_dispatch, train.batch_size), -1, np.int32)
        rows[:count] = chunk[:count]
        self.state, reported, _ = run_steps(
            Program(self.model, self.recipe, self.bucket.fetch),
            self.state,
            Work(self.numbers, self.bucket.store, jnp.asarray(rows), jnp.int32(count)),
        )
        jax.block_until_ready(reported)
        if self.step:
            self.pace = (time.perf_counter() - start) / count
        self.step += count
        last = count - 1
        return count, float(reported.loss[last] / reported.tokens[last])


def create(name: str, chosen: Workload, steps: int, device: str) -> Measured:
    """What a worker of this name measures."""
    if name == OURS:
        return OurTraining(chosen, steps)
    if name.startswith("torch"):
        from benchmark_torch import TorchTraining

        return TorchTraining(chosen, steps, device, plain=name == "torch_plain")
    from benchmark_keras import KerasTraining

    return KerasTraining(chosen, steps, device)


def report(worker: Worker, chosen: Workload) -> dict[str, Any]:
    """The numbers of a worker: medians over its rounds."""
    seconds = worker.median("seconds") / worker.rounds[0]["steps"]
    peak = worker.peak_flops()
    floor = chosen.training_flops() / peak
    about = dict(worker.about)
    first = about.pop("first_seconds")
    return {
        "framework": worker.name,
        "workload": chosen.name,
        "sequences_per_second": chosen.batch / seconds,
        "tokens_per_second": chosen.tokens / seconds,
        "milliseconds_per_step": 1000 * seconds,
        "floor_milliseconds_per_step": 1000 * floor,
        "share_of_peak": floor / seconds,
        "peak_gflops": peak / 1e9,
        "compile_seconds": max(0.0, first - seconds),
        "peak_resident_mib": about.pop("peak_resident_mib"),
        "device_peak_mib": about.pop("device_peak_mib"),
        "parameters": about.pop("parameters"),
        "last_loss": worker.rounds[-1]["loss"],
        "rounds_milliseconds_per_step": [
            1000 * each["seconds"] / each["steps"] for each in worker.rounds
        ],
        "about": about,
    }


COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "framework": lambda row: row["framework"],
    "seq/s": lambda row: f"{row['sequences_per_second']:,.0f}",
    "tokens/s": lambda row: f"{row['tokens_per_second']:,.0f}",
    "ms/step": lambda row: f"{row['milliseconds_per_step']:.2f}",
    "floor": lambda row: f"{row['floor_milliseconds_per_step']:.2f}",
    "share": lambda row: f"{row['share_of_peak']:.0%}",
    "GFLOP/s": lambda row: f"{row['peak_gflops']:.0f}",
    "compile s": lambda row: f"{row['compile_seconds']:.1f}",
    "MiB": lambda row: f"{row['peak_resident_mib']:.0f}",
    "parameters": lambda row: f"{row['parameters']:,}",
    "s2sjax is": lambda row: f"{row['ratio']:.2f} x" if "ratio" in row else "",
}


def show(rows: list[dict[str, Any]], columns: dict[str, Callable[..., str]]) -> None:
    """Prints a table, and below it what each framework says about itself."""
    cells = [list(columns)]
    cells += [[column(row) for column in columns.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        pairs = zip(line, widths, strict=True)
        print("  ".join(text.rjust(width) for text, width in pairs))
    for row in rows:
        about = ", ".join(f"{key} {value}" for key, value in row["about"].items())
        print(f"{row['framework']}: {about}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that both benchmarks share."""
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument(
        "--threads", type=int, choices=(0, 1), help="train.threads of s2sjax, if other"
    )
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--worker", help=argparse.SUPPRESS)


def measure(name: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures one workload in every framework asked for."""
    chosen = workload(name)
    steps = arguments.steps or chosen.steps
    peers: list[str] = []
    if arguments.peers is not None:
        peers = list(filter(None, arguments.peers.split(","))) or DEFAULT_PEERS[name]
    passed = [
        f"--workload={name}",
        f"--steps={steps}",
        f"--device={arguments.device}",
    ]
    threads = chosen.config.train.threads
    if arguments.threads is not None:
        threads = arguments.threads
    workers = start_all([OURS, *peers], passed, arguments.device, threads)
    try:
        in_turn(workers, arguments.rounds)
        rows = [report(worker, chosen) for worker in workers]
    finally:
        for worker in workers:
            worker.stop()
    for row in rows[1:]:
        row["ratio"] = rows[0]["sequences_per_second"] / row["sequences_per_second"]
    return rows


def main() -> None:
    """Parses the arguments and measures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workload", choices=list(WORKLOADS), help="both unless said")
    parser.add_argument("--steps", type=int, help="training steps in a round")
    parser.add_argument(
        "--peers", nargs="?", const="", metavar=",".join(PEERS), help="some, or all"
    )
    add_arguments(parser)
    arguments = parser.parse_args()
    if arguments.worker:
        chosen = workload(arguments.workload)
        steps = arguments.steps
        serve(lambda: create(arguments.worker, chosen, steps, arguments.device))
        return
    for name, least in (("rounds", 1), ("steps", 1)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            parser.error(f"--{name}={value}: at least {least}")
    names = [arguments.workload] if arguments.workload else list(WORKLOADS)
    for name in names:
        unknown = set(filter(None, (arguments.peers or "").split(",")))
        unknown -= set(DEFAULT_PEERS[name])
        if unknown:
            parser.error(
                f"--peers={','.join(sorted(unknown))}: {name} runs in "
                f"{', '.join(DEFAULT_PEERS[name])}"
            )
    for name in names:
        rows = measure(name, arguments)
        if arguments.json:
            for row in rows:
                print(json.dumps(row))
        else:
            print(f"\n{name}: batch {workload(name).batch}, {arguments.rounds} rounds")
            show(rows, COLUMNS)


if __name__ == "__main__":
    main()

"""Measures greedy decoding: sequences and tokens per second, compilation, memory.

    python scripts/benchmark_decoding.py [--batch=100] [--peers] [--json]

Decodes 1,000 sources of 20 symbols with the attention model of benchmark_training.py
at random weights. EOS is lowered out of reach, so that each output has exactly 20
tokens; on a CPU a batch for each core at the same time. With `--peers` a PyTorch greedy
loop does the same with the same weights, with its own choice of threads, with one, and
with one for each of several batches at the same time; it is timed only if every token
agrees. See docs/benchmarks.md.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_training import add_arguments, show
from benchmark_worker import OURS, JaxDevice, Measured, Worker, in_turn, serve
from benchmark_worker import start_all as start
from benchmark_workload import SPECIALS, Workload, workload

SEQUENCES = 1000
BATCHES = (100, 256)
TORCH = ("torch", "torch_one_thread", "torch_batches")
LIMIT = 20  # tokens of every output
EOS = 2
OUT_OF_REACH = -1e9  # the logit of EOS on both sides
SHARPNESS = 8.0  # on the output kernel: random weights barely tell tokens apart


def sources(chosen: Workload) -> np.ndarray:
    """Token ids [1000, 20]."""
    draw = np.random.default_rng(0)
    shape = (SEQUENCES, chosen.source)
    return draw.integers(SPECIALS, chosen.vocabulary, shape, dtype=np.int32)


def _save(path: Path, params: Any) -> None:
    flat: dict[str, np.ndarray] = {}

    def walk(node: Any, prefix: str) -> None:
        for name, value in node.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}/")
            else:
                flat[prefix + name] = np.asarray(value)

    walk(params, "")
    np.savez(path, allow_pickle=False, **flat)


def _load(path: Path) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    with np.load(path) as flat:
        for key, value in flat.items():
            *parents, name = key.split("/")
            node = nested
            for parent in parents:
                node = node.setdefault(parent, {})
            node[name] = value
    return nested


class OurDecoding(JaxDevice):
    """`system.decode`, what `eval` and `decode` call, on as many batches at once."""

    def __init__(self, chosen: Workload, batch: int, folder: Path):
        import jax
        import jax.numpy as jnp

        from s2sjax.inference.system import System
        from s2sjax.models.architectures import build_model
        from s2sjax.models.seq2seq import parameter_count

        self.config, self.batch, self.folder = chosen.config, batch, folder
        self.model = build_model(chosen.config, chosen.vocabulary, chosen.vocabulary)
        params = jax.jit(self.model.init)(jax.random.key(0))
        decoder = params["decoder"]
        decoder["output_kernel"] = SHARPNESS * decoder["output_kernel"]
        decoder["output_bias"] = decoder["output_bias"].at[EOS].set(OUT_OF_REACH)
        self.system = System.of(self.model, self.config, params)
        self.parameters = parameter_count(params)
        _save(folder / "params.npz", params)
        rows = sources(chosen)
        filler = -len(rows) % batch
        rows = np.concatenate([rows, np.repeat(rows[-1:], filler, axis=0)])
        # The last batch is filled up, so that one program serves all of them.
        self.batches = jnp.asarray(rows.reshape(-1, batch, chosen.source))
        self.lengths = jnp.full(batch, chosen.source)
        self.ids = jnp.arange(batch)

    def about(self) -> dict[str, Any]:
        """See `benchmark_worker.Measured`."""
        np.save(self.folder / f"{OURS}.npy", self._decode(len(self.batches)))
        return {**self.describe(), "parameters": self.parameters}

    def first(self) -> None:
        """Compiles, and decodes a batch."""
        self._decode(1)

    def round(self) -> dict[str, Any]:
        """See `benchmark_worker.Measured`."""
        begin = time.perf_counter()
        self._decode(len(self.batches))
        return {"seconds": time.perf_counter() - begin}

    def _decode(self, batches: int) -> np.ndarray:
        from s2sjax.inference.batches import at_once
        from s2sjax.inference.system import decode

        def of_batch(index: int) -> np.ndarray:
            hypotheses = decode(
                self.system, self.batches[index], self.lengths, self.ids
            )
            return np.asarray(hypotheses.tokens[:, 0])

        with ThreadPoolExecutor(at_once()) as pool:
            tokens = list(pool.map(of_batch, range(batches)))
        return np.concatenate(tokens)[:SEQUENCES]


def _torch(
    name: str, chosen: Workload, batch: int, folder: Path, device: str
) -> Measured:
    import torch
    from benchmark_torch import Attention, TorchDevice, load

    class TorchDecoding(TorchDevice):
        """A greedy loop in `inference_mode`; it returns the tokens alone."""

        def __init__(self) -> None:
            super().__init__(device)
            if name == "torch_batches":
                torch.set_num_threads(1)
            model = Attention(chosen)
            load(model, _load(folder / "params.npz"))
            self.model = model.to(self.device).eval()
            rows = torch.from_numpy(sources(chosen)).long().T.contiguous()
            self.batches = [
                each.contiguous().to(self.device) for each in rows.split(batch, dim=1)
            ]

        def about(self) -> dict[str, Any]:
            """See `benchmark_worker.Measured`."""
            np.save(folder / f"{name}.npy", self._decode(len(self.batches)))
            trained = [each for each in self.model.parameters() if each.requires_grad]
            count = sum(each.numel() for each in trained)
            return {**self.describe(), "parameters": count}

        def first(self) -> None:
            """Nothing compiles."""
            self._decode(1)

        def round(self) -> dict[str, Any]:
            """See `benchmark_worker.Measured`."""
            begin = time.perf_counter()
            self._decode(len(self.batches))
            return {"seconds": time.perf_counter() - begin}

        def _decode(self, batches: int) -> np.ndarray:
            if name != "torch_batches":
                return np.concatenate(list(map(self._of_batch, self.batches[:batches])))
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return np.concatenate(
                    list(pool.map(self._of_batch, self.batches[:batches]))
                )

        def _of_batch(self, batch: torch.Tensor) -> np.ndarray:
            with torch.inference_mode():
                return self.model.greedy(batch, LIMIT).T.cpu().numpy()

    return TorchDecoding()


def check_same(folder: Path, name: str) -> None:
    """Ends the benchmark where a peer does not write what s2sjax writes."""
    ours, theirs = np.load(folder / f"{OURS}.npy"), np.load(folder / f"{name}.npy")
    different = int(np.sum(np.any(ours != theirs, axis=1)))
    if different:
        raise SystemExit(
            f"{name} writes another output for {different} of {SEQUENCES} sources: "
            f"nothing to compare"
        )


def report(worker: Worker, chosen: Workload, batch: int) -> dict[str, Any]:
    """The numbers of a worker: medians over its rounds."""
    seconds = worker.median("seconds")
    peak = worker.peak_flops()
    floor = chosen.forward_flops(SEQUENCES) / peak
    about = dict(worker.about)
    first = about.pop("first_seconds")
    return {
        "framework": worker.name,
        "batch": batch,
        "sequences_per_second": SEQUENCES / seconds,
        "tokens_per_second": SEQUENCES * LIMIT / seconds,
        "seconds": seconds,
        "floor_seconds": floor,
        "share_of_peak": floor / seconds,
        "peak_gflops": peak / 1e9,
        "compile_seconds": max(0.0, first - seconds * batch / SEQUENCES),
        "peak_resident_mib": about.pop("peak_resident_mib"),
        "device_peak_mib": about.pop("device_peak_mib"),
        "parameters": about.pop("parameters"),
        "rounds_seconds": [each["seconds"] for each in worker.rounds],
        "about": about,
    }


COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "framework": lambda row: row["framework"],
    "seq/s": lambda row: f"{row['sequences_per_second']:,.0f}",
    "tokens/s": lambda row: f"{row['tokens_per_second']:,.0f}",
    "s": lambda row: f"{row['seconds']:.3f}",
    "floor": lambda row: f"{row['floor_seconds']:.3f}",
    "share": lambda row: f"{row['share_of_peak']:.0%}",
    "GFLOP/s": lambda row: f"{row['peak_gflops']:.0f}",
    "compile s": lambda row: f"{row['compile_seconds']:.1f}",
    "MiB": lambda row: f"{row['peak_resident_mib']:.0f}",
    "parameters": lambda row: f"{row['parameters']:,}",
    "s2sjax is": lambda row: f"{row['ratio']:.2f} x" if "ratio" in row else "",
}


def measure(batch: int, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures one batch size."""
    chosen = workload("attention")
    threads = chosen.config.train.threads
    if arguments.threads is not None:
        threads = arguments.threads
    with tempfile.TemporaryDirectory() as folder:
        passed = [
            f"--batch={batch}",
            f"--folder={folder}",
            f"--device={arguments.device}",
        ]
        workers = start([OURS], passed, arguments.device, threads)
        if arguments.peers:
            workers += start(list(TORCH), passed, arguments.device, threads)
        try:
            for worker in workers[1:]:
                check_same(Path(folder), worker.name)
            in_turn(workers, arguments.rounds)
            rows = [report(worker, chosen, batch) for worker in workers]
        finally:
            for worker in workers:
                worker.stop()
    for row in rows[1:]:
        row["ratio"] = rows[0]["sequences_per_second"] / row["sequences_per_second"]
    return rows


def main() -> None:
    """Parses the arguments and measures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, help="100 and 256 unless said")
    parser.add_argument("--peers", action="store_true", help="PyTorch too")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    add_arguments(parser)
    arguments = parser.parse_args()
    if arguments.worker:
        chosen, folder, batch = workload("attention"), arguments.folder, arguments.batch
        if arguments.worker == OURS:
            serve(lambda: OurDecoding(chosen, batch, folder))
        else:
            name, device = arguments.worker, arguments.device
            serve(lambda: _torch(name, chosen, batch, folder, device))
        return
    for name in ("rounds", "batch"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name}={value}: at least 1")
    for batch in [arguments.batch] if arguments.batch else BATCHES:
        rows = measure(batch, arguments)
        if arguments.json:
            for row in rows:
                print(json.dumps(row))
        else:
            print(f"\ngreedy, batch {batch}, {arguments.rounds} rounds")
            show(rows, COLUMNS)


if __name__ == "__main__":
    main()

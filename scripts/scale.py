"""What a sweep of many trials costs beside the trials themselves.

    python scripts/scale.py --trials=10000 [--backend=ray] [--work=DIR]

A trial is a command of a millisecond or two that leaves what a run leaves which is
over. Measured are a launch of them all, one that finds them done, `report`, and
`s2sjax.trials`: seconds on the clock and of the processor, with the trials' own, and
the memory of the process at its most; and the files. The launcher looks for trials that
have ended every 2 ms here, and else every 50.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RATES = 20  # the others differ in their seeds


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--backend", default="processes")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--launch", type=Path, help="do that alone, in this directory")
    given = parser.parse_args()
    if given.launch:
        launch(given.launch, given.trials, given.backend, given.workers)
        return
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        path = Path(folder) / "sweep"
        again = ["-m", "s2sjax", "sweep", f"--workdir={path}", "--backend=processes"]
        steps = {
            "launch": [__file__, *sys.argv[1:], f"--launch={path}"],
            "launch, all are done": again,
            "report": ["-m", "s2sjax", "report", f"--workdir={path}"],
            "trials": ["-c", f"import s2sjax as s2s; s2s.trials({str(path)!r})"],
        }
        print(f"{given.trials:,} trials, --backend={given.backend}")
        for name, words in steps.items():
            seconds, busy, memory = measured([sys.executable, *words])
            each = f"{1000 * seconds / given.trials:.2f} ms each"
            spent = f"{busy:8.1f} s of the processor"
            print(
                f"{name:22}{seconds:8.1f} s ({each}){spent}{memory:8.0f} MB", flush=True
            )
        for name in ("trials.jsonl", "report/index.html", "report/trials.csv"):
            print(f"{name:22}{(path / name).stat().st_size / 1e6:8.1f} MB")
        sizes = [file.stat().st_size for file in (path / "trials").rglob("*")]
        count = len(sizes) / given.trials
        each = sum(sizes) / given.trials / 1e3
        print(f"{'trials/*':22}{count:8.1f} files and folders, {each:.1f} kB each")


def measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds that a command takes, those of the processor, and megabytes at most."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            said.seek(0)
            sys.exit(f"{shlex.join(command)}: {said.read().decode()}")
    busy = used.ru_utime + used.ru_stime
    return time.monotonic() - begun, busy, used.ru_maxrss / 1024


def launch(path: Path, count: int, backend: str, workers: int | None) -> None:
    """Runs that many trials, as `s2sjax sweep` does."""
    from s2sjax import config as configs
    from s2sjax import json_objects
    from s2sjax.reporting.sweep.console import SweepConsole
    from s2sjax.runs.provenance import SourceCode
    from s2sjax.sweeps import backends, grid, product, scheduler, seeds
    from s2sjax.sweeps import trials as definition
    from s2sjax.sweeps.directory import SweepDirectory
    from s2sjax.sweeps.ledger import Ledger
    from s2sjax.sweeps.protocols import Listed
    from s2sjax.training import interruption

    scheduler.POLL_SECONDS = 0.002
    rates = grid({"train.learning_rate": [0.001 * (1 + i) for i in range(RATES)]})
    base = configs.resolve({"train": {"steps": 4}})
    trials = definition.resolve(base, product(rates, seeds(count // RATES)))
    run = path.with_name("run")
    run.mkdir()
    results = {"exact": 0.5, "nll": 1.5, "examples": 100}
    valid = [{"step": step, "kind": "valid", **results} for step in (2, 4)]
    text = "".join(json.dumps(line) + "\n" for line in valid)
    (run / "metrics.jsonl").write_text(text)
    test = json_objects.encode({**results, "step": 4, "by_length": {}})
    (run / "test.json").write_text(test)
    copy = ["cp", str(run / "metrics.jsonl"), str(run / "test.json")]
    pool = backends.make_pool(backend, path, workers, "")
    with SweepDirectory(path) as sweep, interruption.watch() as signals:
        trials, _ = sweep.add(trials, lambda trial, to: f"s2sjax train --workdir={to}")
        code = SourceCode("0", "", "")
        sweep.record_launch(["s2sjax", "sweep"], code, [], backend, len(trials))
        ledger = Ledger(sweep)
        with SweepConsole(trials, ledger) as console:
            to = sweep, ledger, Listed(trials), pool, lambda at: [*copy, str(at)]
            scheduler.run(*to, signals, observer=console)
    pool.close()


if __name__ == "__main__":
    main()

"""Launches a sweep whose trials are a shell script: `launcher.py DIR BACKEND SCRIPT`.

Prints what it says, and at the end how the trials stand. A program of its own, since it
is to be killed.
"""

import argparse
import json
from pathlib import Path

from s2sjax import config as configs
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import backends, scheduler, seeds
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.pools import slurm
from s2sjax.sweeps.protocols import Listed, SweepObserver
from s2sjax.training import interruption


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("backend")
    parser.add_argument("script")
    parser.add_argument("--ray_address", default="")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--failed", type=int, default=1)
    parser.add_argument("--preempted", type=int, default=10)
    parser.add_argument("--silence", type=float, default=1800.0)
    parser.add_argument("--word", type=float, default=30.0)
    parser.add_argument("--again", type=float, default=30.0)
    given = parser.parse_args()
    scheduler.WORD_SECONDS, slurm.AGAIN_SECONDS = given.word, given.again
    observer = SweepObserver()
    observer.message = lambda line: print(line, flush=True)
    base = configs.resolve({"train": {"steps": 4}})
    pool = backends.make_pool(
        given.backend, given.path, given.workers, given.ray_address
    )
    with SweepDirectory(given.path) as sweep:
        defined = definition.resolve(base, seeds(given.trials))
        trials, _ = sweep.add(defined, lambda trial, path: "command")
        if not sweep.launches:
            code = SourceCode("0", "", "")
            sweep.record_launch(["test"], code, [], given.backend)
        ledger = Ledger(sweep)
        left = [trial for trial in trials if ledger.status(trial) == "pending"]
        with interruption.watch() as signals:
            scheduler.run(
                sweep,
                ledger,
                Listed(left),
                pool,
                lambda path: ["/bin/sh", "-c", given.script, "sh", str(path)],
                signals,
                scheduler.Budgets(given.failed, given.preempted, given.silence),
                observer,
            )
    pool.close()
    rows = {each.index: ledger.row(each) for each in trials}
    print(json.dumps({i: row["status"] for i, row in rows.items()}), flush=True)


if __name__ == "__main__":
    main()

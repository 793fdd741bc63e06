"""Decoding strategies compared, in quality, speed and memory."""

import dataclasses
import datetime
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from s2sjax import environment, spec
from s2sjax.benchmark import run as benchmark
from s2sjax.benchmark.peers import table
from s2sjax.benchmark.plan import Plan, check
from s2sjax.benchmark.result import as_csv
from s2sjax.benchmark.run import Benchmark, comparable
from s2sjax.commands.run import notice
from s2sjax.config import config_hash
from s2sjax.errors import UsageError, writing
from s2sjax.inference.batches import Watch, nobody
from s2sjax.inference.load import Trained, Which, open_trained, with_training
from s2sjax.reporting.benchmark.report import draw_benchmark
from s2sjax.runs import atomic, code, provenance
from s2sjax.runs.journal import plain
from s2sjax.tasks.task import split_name

STRATEGIES = ("greedy", "beam:size=2", "beam:size=5", "beam:size=10", "sample")


class Measured(NamedTuple):
    """What a comparison found."""

    about: dict[str, Any]  # what `bench --json` says, the rows among it
    result: Benchmark
    folder: Path  # of bench.csv, bench.json and the pictures


def bench(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    strategies: Sequence[str] = STRATEGIES,
    batch_sizes: Sequence[int] = (1, 32, 256),
    examples: int = 1000,
    split: str = "test",
    checkpoint: Which = "best",
    reference: str | None = None,
    repeats: int = 5,
    peers: bool = False,
    out: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Compares decoding strategies, as `s2sjax bench` does.

    Args:
      path: the run, or several.
      strategies: specs; all decode the same examples, and rounds are timed in turn.
      batch_sizes: sequences decoded together.
      examples: at most, evenly from the split.
      split: train, valid or test.
      checkpoint: "best", "last" or a step.
      reference: a strategy by which search errors are told; None: the best compared.
      repeats: rounds of timing.
      peers: decode with eager PyTorch too.
      out: where the files go; None: `bench` in the run.

    Returns:
      `environment`, `plan`, `runs`, `notes` and `rows`, a dict for each run, strategy
      and batch size: `pandas.DataFrame(s2s.bench(path)["rows"])` is the table.

    Raises:
      UsageError: no such run, an unknown strategy, or sizes that cannot be.
    """
    single = isinstance(path, str | os.PathLike)
    paths: Any = [path] if single else path
    plan = Plan(
        tuple(strategies),
        tuple(batch_sizes),
        examples,
        split_name(split),
        repeats,
        reference,
        peers,
    )
    return measured(list(map(str, paths)), plan, checkpoint, out).about


def normal(plan: Plan) -> Plan:
    """The plan with each strategy and size once, sizes in order.

    Raises:
      UsageError: numbers below 1, or a spec that is none.
    """
    numbers = [("examples", plan.examples or 0), ("repeats", plan.repeats)]
    for name, value in numbers + [("batch_sizes", each) for each in plan.batch_sizes]:
        spec.between(name, value, 1, 999_999)
    strategies = dict.fromkeys(str(spec.parse(text)) for text in plan.strategies)
    return plan._replace(
        strategies=tuple(strategies), batch_sizes=tuple(sorted(set(plan.batch_sizes)))
    )


def measured(
    paths: Sequence[str],
    plan: Plan,
    checkpoint: Which,
    out: str | os.PathLike[str] | None,
    *,
    command: Sequence[str] = ("s2s.bench",),
    format_: str = "png",
    say: Callable[[str], None] = notice,
    watch: Watch = nobody,
) -> Measured:
    """Measures, and writes what was found.

    Raises:
      UsageError: as `bench`.
    """
    plan = normal(plan)
    runs = _opened(paths, checkpoint, plan.split, say)
    check(runs, plan)
    if plan.peers:
        table.check_installed()
    folder = _folder(out, paths[0])
    precision = next(iter(runs.values())).config.train.precision
    with environment.precision(precision):
        result = benchmark.run(runs, plan, say, watch)
    groups = comparable(runs, result.references)
    about: dict[str, Any] = plain(
        {
            "environment": _environment(plan, command),
            "plan": plan._asdict(),
            "runs": [_about(name, trained) for name, trained in runs.items()],
            "notes": [*result.notes, *_notes(paths, groups)],
            "rows": [dataclasses.asdict(row) for row in result.rows],
        }
    )
    _write(folder, about, result, groups, format_)
    return Measured(about, result, folder)


def _opened(
    paths: Sequence[str], checkpoint: Which, split: str, say: Callable[[str], None]
) -> dict[str, Trained]:
    """The runs by a short name each."""
    runs = {}
    folders = [Path(path).resolve().name for path in paths]
    for path, folder in zip(paths, folders, strict=True):
        name = folder if folders.count(folder) == 1 else path
        trained = open_trained(path, checkpoint, say=say)
        if split == "train":
            code.announce(trained.path, code.pattern(trained.config), say)
            trained = with_training(trained)
        runs[name] = trained
    return runs


def _folder(out: str | os.PathLike[str] | None, path: str) -> Path:
    """The folder that the files go to, made where there is none.

    Raises:
      UsageError: it cannot be written; RunError: the disk is full.
    """
    folder = Path(path) / "bench" if out is None else Path(out)
    with writing(f"out={folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"out={folder}: this folder cannot be written to")
    return folder


def _notes(paths: Sequence[str], groups: Sequence[Sequence[str]]) -> list[str]:
    notes = []
    if len(paths) > 1:
        notes.append(f"all runs are timed with the flags and precision of {paths[0]}")
    if len(groups) > 1:
        listed = "; ".join(", ".join(names) for names in groups)
        notes.append(
            f"the runs have different tasks, so that quality is comparable only "
            f"within each of these groups: {listed}"
        )
    return notes


def _environment(plan: Plan, command: Sequence[str]) -> dict[str, Any]:
    about = provenance.describe(command)
    about["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    about["cores"] = os.cpu_count()
    if plan.peers:
        import torch

        about["versions"]["torch"] = torch.__version__
    return about


def _about(name: str, trained: Trained) -> dict[str, Any]:
    return {
        "run": name,
        "workdir": str(trained.path),
        "task": trained.task.name,
        "step": trained.step,
        "config_hash": config_hash(trained.config),
    }


def _write(
    folder: Path,
    report: dict[str, Any],
    result: Benchmark,
    groups: Sequence[Sequence[str]],
    format_: str,
) -> None:
    with writing(f"out={folder}"):
        atomic.write_text(folder / "bench.json", json.dumps(report, indent=1) + "\n")
        atomic.write_text(folder / "bench.csv", as_csv(result.rows))
    names = ", ".join(dict.fromkeys(row.run for row in result.rows))
    title = f"{names}: {result.rows[0].examples:,} {report['plan']['split']} examples"
    draw_benchmark(result.rows, groups, folder, title, format_)

"""`s2sjax bench`: decoding strategies compared, in quality, speed and memory."""

import dataclasses
import datetime
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from s2sjax import spec
from s2sjax.cli import printing, start
from s2sjax.cli import runs as members
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError, cannot_write

if TYPE_CHECKING:
    from s2sjax.benchmark.plan import Plan
    from s2sjax.benchmark.run import Benchmark
    from s2sjax.inference.load import Trained

STRATEGIES = ("greedy", "beam:size=2", "beam:size=5", "beam:size=10", "sample")
COMMAND = Command(
    "bench",
    "Compares decoding strategies: quality, search errors, calibration, speed.\n"
    "All decode the same examples; rounds are timed in turn. Writes bench.csv,\n"
    "bench.json, and the pictures quality_speed and beam_size.",
    flags=(
        Flag("workdir", "the runs to compare", value="DIR,DIR2", required=True),
        Flag(
            "strategy",
            f"a decoding strategy; unset: {', '.join(STRATEGIES)}",
            value="SPEC",
            many=True,
        ),
        Flag("batch_sizes", "sequences decoded together", "1,32,256", value="N,N2"),
        Flag("examples", "at most, evenly from the split", 1000, type=int, least=1),
        members.SPLIT,
        Flag("checkpoint", "best, last or a step", "best", value="best|last|N"),
        Flag(
            "reference",
            "a strategy by which search errors are told, e.g. exact; each goal's own "
            "normaliser is set; unset: the best of those compared",
            value="SPEC",
        ),
        Flag("repeats", "rounds of timing", 5, type=int, least=1),
        Flag("peers", "decode with eager PyTorch too", False, type=bool),
        Flag("out", "where the files go (default: bench in the run)", value="DIR"),
        start.FORMAT,
        Flag("json", "one JSON object", False, type=bool),
    ),
    memory="--batch_sizes, or size or n of a --strategy",
    examples=(
        "s2sjax bench --workdir=runs/reversed --strategy=greedy --strategy=beam:size=5",
        "s2sjax bench --workdir=runs/one,runs/two --batch_sizes=1,100 --peers",
    ),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    paths = _paths(values.workdir)
    batch_sizes = _batch_sizes(values.batch_sizes)
    strategies = tuple(
        dict.fromkeys(str(spec.parse(text)) for text in values.strategy or STRATEGIES)
    )
    start.check_format(values.format)
    start.reading(paths[0])

    from s2sjax.benchmark.peers import table
    from s2sjax.benchmark.plan import Plan, check
    from s2sjax.benchmark.run import comparable, run
    from s2sjax.reporting.benchmark.report import show_benchmark
    from s2sjax.reporting.progress_line import ProgressLine
    from s2sjax.reporting.screen import Screen
    from s2sjax.runs.journal import plain

    plan = Plan(
        strategies,
        batch_sizes,
        values.examples,
        members.split(values),
        values.repeats,
        values.reference,
        values.peers,
    )
    runs = _open(values, paths, plan.split)
    check(runs, plan)
    if plan.peers:
        table.check_installed()
    folder = _folder(values.out, paths[0])
    result = run(
        runs,
        plan,
        lambda line: start.warn([line]),
        lambda what: ProgressLine(what, "batches"),
    )
    groups = comparable(runs, result.references)
    notes = [*result.notes, *_notes(paths, groups)]
    rows = [dataclasses.asdict(row) for row in result.rows]
    told = plain(
        {
            "environment": _environment(plan),
            "plan": plan._asdict(),
            "runs": [_about(name, trained) for name, trained in runs.items()],
            "notes": notes,
            "rows": rows,
        }
    )
    _write(folder, told, result, groups, values.format)
    if values.json:
        printing.line(json.dumps(told))
    else:
        show_benchmark(result.rows, notes, Screen(), values.split)
    start.warn([f"written: {folder}"])
    return 0


def _paths(text: str) -> list[str]:
    listed = [path.strip() for path in text.split(",")]
    if not all(listed):
        raise UsageError(
            f"--workdir={text} names an empty directory; write DIR or DIR,DIR2"
        )
    return list(dict.fromkeys(listed))


def _batch_sizes(text: str) -> tuple[int, ...]:
    """Whole numbers of at least 1, each once and the smallest first.

    >>> _batch_sizes("32,1,32")
    (1, 32)
    """
    sizes = set()
    for part in text.split(","):
        number = part.strip()
        if not re.fullmatch("0*[1-9][0-9]{0,5}", number):
            raise UsageError(
                f"--batch_sizes={text}: '{number}' is not a whole number from 1 to "
                f"999999; write e.g. 1,32,256"
            )
        sizes.add(int(number))
    return tuple(sorted(sizes))


def _open(
    values: SimpleNamespace, paths: Sequence[str], split: str
) -> "dict[str, Trained]":
    """The runs by a short name each."""
    from s2sjax.inference.load import open_trained

    runs = {}
    folders = [Path(path).resolve().name for path in paths]
    for path, folder in zip(paths, folders, strict=True):
        name = folder if folders.count(folder) == 1 else path
        trained = open_trained(
            path,
            members.checkpoint(values.checkpoint),
            say=lambda line: start.warn([line]),
        )
        runs[name] = members.with_training(trained) if split == "train" else trained
    return runs


def _folder(out: str | None, workdir: str) -> Path:
    """The folder that the files go to, made where there is none.

    Raises:
      UsageError: it cannot be written; RunError: the disk is full.
    """
    folder = Path(workdir) / "bench" if out is None else Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(f"--out={folder}", error) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"--out={folder}: this folder cannot be written to")
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


def _environment(plan: "Plan") -> dict[str, Any]:
    from s2sjax.runs import provenance

    about = provenance.describe(["s2sjax", *sys.argv[1:]])
    about["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    about["cores"] = os.cpu_count()
    if plan.peers:
        import torch

        about["versions"]["torch"] = torch.__version__
    return about


def _about(name: str, trained: "Trained") -> dict[str, Any]:
    from s2sjax.config import config_hash

    return {
        "run": name,
        "workdir": str(trained.path),
        "task": trained.task.name,
        "step": trained.step,
        "config_hash": config_hash(trained.config),
    }


def _write(
    folder: Path,
    told: dict[str, Any],
    result: "Benchmark",
    groups: Sequence[Sequence[str]],
    format_: str,
) -> None:
    from s2sjax.benchmark.result import as_csv
    from s2sjax.reporting.benchmark.report import draw_benchmark
    from s2sjax.runs import atomic

    try:
        atomic.write_text(folder / "bench.json", json.dumps(told, indent=1) + "\n")
        atomic.write_text(folder / "bench.csv", as_csv(result.rows))
    except OSError as error:
        raise cannot_write(f"--out={folder}", error) from None
    names = ", ".join(dict.fromkeys(row.run for row in result.rows))
    title = f"{names}: {result.rows[0].examples:,} {told['plan']['split']} examples"
    draw_benchmark(result.rows, groups, folder, title, format_)

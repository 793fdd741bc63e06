"""`s2sjax bench`: decoding strategies compared, in quality, speed and memory."""

import json
import re
import sys
from functools import partial

from s2sjax.cli import printing, runs, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError

COMMAND = Command(
    "bench",
    "Compares decoding strategies: quality, search errors, calibration, speed.\n"
    "All decode the same examples; rounds are timed in turn. Writes bench.csv,\n"
    "bench.json, and the pictures quality_speed and beam_size.",
    flags=(
        Flag(
            "workdir",
            "the runs to compare",
            value="DIR,DIR2",
            required=True,
            argument="path",
        ),
        Flag(
            "strategy",
            "a decoding strategy; unset: greedy, beams of 2, 5 and 10, and sample",
            value="SPEC",
            many=True,
            argument="strategy",
        ),
        Flag("batch_sizes", "sequences decoded together", "1,32,256", value="N,N2"),
        Flag(
            "examples",
            "at most, evenly from the split",
            1000,
            type=int,
            least=1,
            argument="examples",
        ),
        runs.SPLIT,
        runs.CHECKPOINT,
        Flag(
            "reference",
            "a strategy by which search errors are told, e.g. exact; each goal's own "
            "normaliser is set; unset: the best of those compared",
            value="SPEC",
            argument="reference",
        ),
        Flag("repeats", "rounds of timing", 5, type=int, least=1),
        Flag(
            "peers", "decode with eager PyTorch too", False, type=bool, argument="peers"
        ),
        Flag(
            "out",
            "where the files go (default: bench in the run)",
            value="DIR",
            argument="out",
        ),
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
    paths = runs.directories("workdir", values.workdir)
    sizes = _batch_sizes(values.batch_sizes)
    start.check_format(values.format)
    start.reading(paths[0])

    from s2sjax.benchmark.plan import Plan
    from s2sjax.commands import bench
    from s2sjax.reporting.benchmark.report import show_benchmark
    from s2sjax.reporting.progress_line import ProgressLine
    from s2sjax.reporting.screen import Screen

    plan = Plan(
        values.strategy or bench.STRATEGIES,
        sizes,
        values.examples,
        runs.split(values),
        values.repeats,
        values.reference,
        values.peers,
    )
    measured = bench.measured(
        paths,
        plan,
        runs.checkpoint(values.checkpoint),
        values.out,
        command=["s2sjax", *sys.argv[1:]],
        format_=values.format,
        say=parsed.say,
        watch=partial(ProgressLine, units="batches"),
    )
    if values.json:
        printing.line(json.dumps(measured.about))
    else:
        rows, notes = measured.result.rows, measured.about["notes"]
        show_benchmark(rows, notes, Screen(), values.split)
    printing.warn([f"written: {measured.folder}"])
    return 0


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

"""`s2sjax compare`: two runs, or what they predicted, on the same examples."""

import json
from pathlib import Path

from s2sjax.cli import printing, runs, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError
from s2sjax.schema import STRATEGY

COMMAND = Command(
    "compare",
    "Compares two runs, or two files of predictions, on the same examples.\n"
    "Says which is better and whether by chance (paired bootstrap, McNemar's test),\n"
    "and shows the outputs that differ, those that B does worst first.",
    flags=(
        runs.SPLIT,
        Flag(
            "examples",
            "how many, the same ones for both; unset: the whole split",
            type=int,
            least=1,
            argument="examples",
        ),
        Flag("strategy", STRATEGY, value="SPEC", argument="strategy"),
        runs.CHECKPOINT,
        Flag(
            "differing", "how many outputs that differ are shown", 5, type=int, least=0
        ),
        Flag(
            "out",
            "a picture of accuracy by length",
            value="FILE.png|pdf|svg",
            argument="out",
        ),
        start.NO_USER_CODE,
        Flag("json", "one JSON object, with all that differ", False, type=bool),
    ),
    positional="A B",
    memory="size or n of the decoding strategy, or decode.batch_size",
    examples=(
        "s2sjax compare runs/small runs/large --out=lengths.png",
        "s2sjax compare greedy.jsonl beam.jsonl --json",
    ),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values, given = parsed.values, parsed.positional
    if len(given) != 2:
        raise UsageError(
            f"compare takes A and B, runs or files of predictions; {len(given)} came"
        )
    start.check_output("out", values.out, start.PICTURES)
    split, which = runs.split(values), runs.checkpoint(values.checkpoint)
    for name in given:
        if not Path(name).is_file():
            start.reading(name)

    from s2sjax.commands.compare import compare
    from s2sjax.reporting.comparison import show_comparison
    from s2sjax.reporting.progress_line import ProgressLine
    from s2sjax.reporting.screen import Screen
    from s2sjax.runs.journal import plain

    found = compare(
        *given,
        split,
        examples=values.examples,
        strategy=values.strategy,
        checkpoint=which,
        out=values.out,
        no_user_code=values.no_user_code,
        say=parsed.say,
        watch=ProgressLine,
    )
    if values.json:
        printing.line(json.dumps(plain(found.to_json())))
        return 0
    show_comparison(found, Screen(), values.differing)
    if values.out is not None:
        printing.line(f"picture: {values.out}")
    return 0

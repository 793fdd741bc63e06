"""`s2sjax data`: what is in the data of a config, before anything is trained."""

import json
from pathlib import Path

from s2sjax.cli import printing, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed

COMMAND = Command(
    "data",
    "Shows what is in the data of a config, and what of it will go wrong.\n"
    "Pairs, lengths, vocabularies, what stands twice or on both sides of a split,\n"
    "references that no output can be, padding, and what a step costs. Writes nothing.",
    flags=(
        Flag("json", "one JSON object", False, type=bool),
        Flag("html", "a page, beside what is shown", value="FILE.html"),
        start.NO_USER_CODE,
    ),
    config="required",
    check=start.check_names,
    memory="task.max_length or train.batch_size",
    examples=(
        "s2sjax data --config=experiments/fra_eng.py --config.task.path=fra.tsv",
        "s2sjax data --config=experiments/reversed.py --html=reversed.html",
    ),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    config = parsed.config
    assert config is not None
    start.check_output("html", parsed.values.html, (".html", ".htm"))
    if parsed.values.no_user_code:
        start.refuse_user_code(config, "--config")
    start.prepare(config.train, None, quiet=True)

    from s2sjax.commands.data import data
    from s2sjax.reporting.data import console, page
    from s2sjax.reporting.screen import Screen

    found = data(config)
    if parsed.values.html:
        page.write_page(found, Path(parsed.values.html))
    if parsed.values.json:
        printing.line(json.dumps(found))
    else:
        console.show(found, Screen())
        if parsed.values.html:
            printing.line(f"page: {parsed.values.html}")
    return 0

"""`s2sjax tasks`: lists the tasks, with an example of each."""

import json
from collections.abc import Sequence

from s2sjax.cli import printing
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed

COMMAND = Command(
    "tasks",
    "Lists the tasks with one example each, and the task.* fields that they read.",
    flags=(Flag("json", "one JSON object", False, type=bool),),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    from s2sjax.cli import start
    from s2sjax.config import TrainConfig

    start.prepare(TrainConfig(), None, quiet=True)

    from s2sjax.reporting import table
    from s2sjax.reporting.screen import Screen
    from s2sjax.tasks import TASKS

    if parsed.values.json:
        printing.line(
            json.dumps(
                {
                    name: {
                        "doc": entry.doc,
                        "source": entry.source,
                        "target": entry.target,
                        "uses": sorted(entry.uses),
                    }
                    for name, entry in TASKS.items()
                }
            )
        )
    else:
        rows = [
            table.TaskExample(
                name, entry.doc, *map(_written, (entry.source, entry.target))
            )
            for name, entry in TASKS.items()
        ]
        table.show_tasks(rows, Screen())
    return 0


def _written(symbols: Sequence[object]) -> str:
    """Integers with spaces between, characters without."""
    between = " " if any(isinstance(symbol, int) for symbol in symbols) else ""
    return between.join(map(str, symbols))

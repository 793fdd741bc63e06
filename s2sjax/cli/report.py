"""`s2sjax report`: the answer of a sweep, as tables, pictures and one page."""

import json
from pathlib import Path
from types import SimpleNamespace

from s2sjax.cli import printing, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError, writing

COMMAND = Command(
    "report",
    "Shows what a sweep says, also while it runs; of a run, draws its curves.\n"
    "Prints means over seeds, the sensitivity to each factor and the best trial;\n"
    "writes pictures, CSV files and a page to open in a browser to DIR/report.",
    flags=(
        Flag(
            "workdir",
            "the sweep, or a run",
            value="DIR",
            required=True,
            argument="path",
        ),
        Flag(
            "group_by",
            "the fields whose values are told apart; unset: all that vary, but the "
            "seed",
            value="FIELD,...",
            argument="group_by",
        ),
        Flag(
            "metric",
            "what is compared, on validation examples; test_NAME: on the test's; "
            "unset: train.metric, where trials share it, or exact",
            value="NAME",
            argument="metric",
        ),
        start.FORMAT,
        Flag("html", "write the page here too", value="FILE"),
        Flag("json", "one JSON object instead of tables", False, type=bool),
    ),
    examples=(
        "s2sjax report --workdir=sweeps/lengths",
        "s2sjax report --workdir=sweeps/lengths --group_by=task.length --metric=nll",
        "s2sjax report --workdir=runs/reversed --format=pdf",
    ),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    from s2sjax.runs import run_files

    if (Path(parsed.values.workdir) / run_files.RECORD).is_file():
        return _of_run(parsed.values)

    from s2sjax.reporting.screen import Screen
    from s2sjax.reporting.sweep import table as sweep_table
    from s2sjax.reporting.sweep.findings import as_json, find
    from s2sjax.reporting.sweep.report import show_findings

    values = parsed.values

    say = parsed.say
    table = sweep_table.read(values.workdir, say)
    by = None if values.group_by is None else table.check_fields(values.group_by)
    findings = find(table, values.metric or table.metric, by)
    format = start.check_format(values.format)
    page = None if values.html is None else _page_path(values.html)
    if values.json:
        printing.line(json.dumps(as_json(findings)))
    else:
        show_findings(findings, Screen())
    folder = table.directory / "report"
    with writing(str(folder)):
        folder.mkdir(exist_ok=True)

    # After the tables, since matplotlib takes its time to start.
    from s2sjax.reporting.sweep.csv import write_csv
    from s2sjax.reporting.sweep.page import write_page
    from s2sjax.reporting.sweep.pictures import draw_pictures
    from s2sjax.reporting.sweep.trial_files import read_all

    files = read_all(table, say)
    write_csv(findings, folder, files)
    pages = [folder / "index.html", *([page] if page else [])]
    for path in pages:
        write_page(findings, files, path)
    draw_pictures(findings, files, folder, say, format)
    if not values.json:
        printing.lines(["", f"pictures and CSV files: {folder}", f"page: {pages[-1]}"])
    return 0


def _of_run(values: SimpleNamespace) -> int:
    from s2sjax.metrics import metric
    from s2sjax.reporting.curves import draw_run
    from s2sjax.runs import directory, run_files
    from s2sjax.runs.checkpoint import CheckpointReader

    for name in ("group_by", "metric", "html", "json"):
        if getattr(values, name):
            raise UsageError(
                f"--{name} is for a sweep, and --workdir={values.workdir} is a run"
            )
    format = start.check_format(values.format)
    run = directory.open_for_reading(values.workdir)
    best = run_files.read_test(run.path).get("step")  # a replica has no checkpoints
    if best is None:
        better = metric(run.config.train.metric_name).better
        reader = CheckpointReader(run.checkpoints, metric_better=better)
        best = reader.best_step()
    drawn = draw_run(run.path, best, format)
    printing.line(f"curves: {drawn}" if drawn else f"{run.path} has logged nothing yet")
    return 0


def _page_path(text: str) -> Path:
    """`--html=FILE`, checked before anything is written."""
    path = Path(text).expanduser()
    if path.is_dir():
        raise UsageError(f"--html={text} is a folder; it takes a FILE")
    if not path.parent.is_dir():
        raise UsageError(f"--html={text}: there is no folder '{path.parent}'")
    return path
